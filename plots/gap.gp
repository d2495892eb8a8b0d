# Test accuracy against the spectral gap of the graph, points for each algorithm.
#   gnuplot -e "out='paper/out/topologies'; plots='plots'; x='topology'" plots/gap.gp
# Reads <out>/gap.csv (the graph, then mean and standard deviation for each algorithm) and <out>/summary.csv, which has
# the gaps. Writes <out>/gap.svg and .png; with figure='...' gap.* have that name instead, with where='alpha = 0.1' they
# say of what they are. SPDX-License-Identifier: MIT
load plots.'/style.gp'
if (!exists('figure')) figure = 'gap' # name of its files
if (!exists('where')) where = '' # which of several such figures it is
wide = out.'/'.figure.'.csv'
# One table for all: gap, the highest accuracy, graph, then the columns of gap.csv.
summary = out.'/summary.csv'
column_of(name) = system(sprintf("%s | head -n 1 | tr '\\t' '\\n' | grep -nx '%s' | cut -d: -f1", tabbed(summary), name)) + 0
rows = sprintf("< { %s; echo; %s; } | awk -F '\\t' -v OFS='\\t' '!NF { wide = 1; next } !wide { gap[$%d] = $%d; next } ".\
    "wide++ > 1 { most = 0; for (i = 2; i < NF; i += 2) if ($i + 0 > most) most = $i; print gap[$1], most, $0 }'", \
    tabbed(summary), tabbed(wide), column_of(x), column_of('spectral_gap'))
series = (columns_of(wide) - 1) / 2
name(i) = field(wide, 1, 2 * i)
bars = deviations_in(wide)
means = 'for [i = 1:series] rows using 1:(column(2 * i + 2)) with points lt i title name(i), '. \
    'rows using 1:2:3 with labels left rotate by 25 offset 0.3,0.6 font ",9" noenhanced notitle'
deviations = 'for [i = 1:series] rows using 1:(column(2 * i + 2)):(column(2 * i + 3)) with yerrorbars lt i notitle'
set datafile separator tab

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 760,470 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1140,705 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/'.figure.'.'.format
    set key at screen 0.5,0.02 bottom center horizontal samplen 3 width 2 noenhanced
    set bmargin at screen 0.22
    set xlabel 'spectral gap  (time-varying graphs: of the product over a period)'
    set ylabel 'test accuracy, mean over clients (%)'
    if (where ne '') { set title where noenhanced }
    set logscale x
    set xrange [*:3]
    set offsets 0, 0, graph 0.12, 0
    if (bars) { plot @means, @deviations } else { plot @means } # one seed has no deviation
    unset output
    reset
    load plots.'/style.gp'
    set datafile separator tab
}
