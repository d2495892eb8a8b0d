# How much of each class every client has: area of a bubble = number of examples; a panel a value of the varied flag.
#   gnuplot -e "out='paper/out/quickstart'; plots='plots'; x='alpha'" plots/partition.gp
# Reads <out>/partition.csv (value, client, class, examples). Writes <out>/partition.svg and .png; with figure='...'
# these have that name instead, with where='clients = 8' they say of what they are.
# SPDX-License-Identifier: MIT
load plots.'/style.gp'
if (!exists('figure')) figure = 'partition' # name of its files
if (!exists('where')) where = '' # which of several such figures it is
table = out.'/'.figure.'.csv'
n = system(sprintf("%s | tail -n +2 | cut -f 1 | uniq | wc -l", tabbed(table))) + 0
value_of(i) = system(sprintf("%s | tail -n +2 | cut -f 1 | uniq | sed -n %dp", tabbed(table), i))
stats table skip 1 using 4 name 'examples' nooutput
stats table skip 1 using 2 name 'client' nooutput
stats table skip 1 using 3 name 'class' nooutput
# Of a point, its area proportional to k; many classes leave less room.
size(k) = 3.4 * sqrt(k / examples_max) * (class_max < 20 ? 1 : 20 / (class_max + 1))
step(most) = most < 12 ? 1 : most < 24 ? 2 : most < 50 ? 5 : 10 # between numbered tics

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 40 + 340 * n,330 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 60 + 510 * n,495 font 'DejaVu Sans,11' fontscale 1.4 background '#ffffff'
    }
    set output out.'/'.figure.'.'.format
    set multiplot layout 1, n margins 64.0 / (40 + 340 * n), 0.985, 0.17, 0.89 spacing 0.045
    unset key
    set xlabel 'client'
    set xrange [-0.8:client_max + 0.8]
    set yrange [-0.8:class_max + 0.8]
    set xtics step(client_max)
    set ytics step(class_max)
    do for [i = 1:n] {
        set title (x eq 'alpha' ? 'Dirichlet α' : x).' = '.value_of(i).(where eq '' ? '' : ', '.where) noenhanced
        set ylabel (i == 1 ? 'class' : '')
        plot '< '.tabbed(table)." | awk -F '\t' -v OFS=, -v v='".value_of(i)."' '$1 \"\" == v && $4 > 0 { print $2, $3, $4 }'" \
            using 1:2:(size($3)) with points pt 7 ps variable lc rgb '#0072B2'
    }
    unset multiplot
    unset output
}
