# Test accuracy against one flag of the study, and against the epoch at that flag's last value.
#   gnuplot -e "out='paper/out/quickstart'; plots='plots'; x='alpha'" plots/accuracy.gp
# Reads <out>/accuracy.csv (x, then mean and standard deviation over seeds for each algorithm) and
# <out>/accuracy-epochs.csv (epoch, then a column an algorithm). Writes <out>/accuracy.svg and .png.
# SPDX-License-Identifier: MIT
load plots.'/style.gp'
table = out.'/accuracy.csv'
curves = out.'/accuracy-epochs.csv'
stats table skip 1 using 1 nooutput
rows = STATS_records
first = STATS_max
last = system(sprintf("tail -n 1 '%s' | cut -d, -f1", table))
series = (system(sprintf("head -n 1 '%s' | tr -cd ',' | wc -c", table)) + 0) / 2

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 1060,470 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,705 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/accuracy.'.format
    set multiplot
    # One legend for both panels, under them.
    set key at screen 0.5, screen 0.045 center bottom maxrows 1
    set bmargin at screen 0.25
    set tmargin at screen 0.92
    set ylabel 'test accuracy, mean over clients (%)' offset 1,0
    set lmargin at screen 0.075
    set rmargin at screen 0.485
    if (x eq 'alpha') {
        set logscale x
        set xrange [*:*] reverse
        set xlabel 'Dirichlet α  (heterogeneity grows to the right)'
        set title 'accuracy against heterogeneity'
    } else {
        set xlabel x
        set title 'accuracy against '.x
    }
    set offsets graph 0.06, graph 0.06, 0, 0
    plot for [i = 1:series] table using 1:(column(2 * i)):(column(2 * i + 1)) with yerrorlines lt i title columnheader(2 * i)
    unset key
    unset logscale x
    unset offsets
    set xrange [0:*] noreverse
    set xlabel 'epoch (passes over a client''s own data)'
    set ylabel ''
    set title 'accuracy during training, '.(x eq 'alpha' ? 'α' : x).' = '.last
    set lmargin at screen 0.56
    set rmargin at screen 0.97
    plot for [i = 1:series] curves using 1:(column(i + 1)) with linespoints lt i title columnheader(i + 1)
    unset multiplot
    unset output
    reset
    load plots.'/style.gp'
}
