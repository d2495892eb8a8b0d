# Cost of a step: share of the triad for each algorithm and size; time against clients; parts of a whole step.
#   gnuplot -e "out='paper/out/step-cost'; plots='plots'" plots/step-cost.gp
# Reads algorithms.csv, clients.csv and full.csv of `paper/run step-cost`. Writes <out>/step-cost.svg and .png.
# SPDX-License-Identifier: MIT
load plots.'/style.gp'
table = out.'/algorithms.csv'
algos = system(sprintf("tail -n +2 '%s' | cut -d, -f1 | awk '!seen[$0]++' | tr '\n' ' '", table))
sizes = system(sprintf("tail -n +2 '%s' | cut -d, -f4 | sort -nu | tr '\n' ' '", table))
n = words(algos)
# Which row of the figure an algorithm has.
of_size(size) = sprintf("< awk -F, -v list='%s' 'BEGIN { n = split(list, a, \" \"); for (i = 1; i <= n; i++) at[a[i]] = i } ".\
    "$4 == %s { print at[$1] \",\" $11 }' %s", algos, size, table)
of_algo(algo) = sprintf("< grep '^%s,[^,]*,[0-9]*,4096,' %s/clients.csv", algo, out)
name_of(size) = size eq '62006' ? 'LeNet' : size eq '270896' ? 'ResNet-20' : size eq '9750922' ? 'VGG-11' : size

do for [format in 'svg png'] {
    height = 180 + 13 * n < 620 ? 620 : 180 + 13 * n
    if (format eq 'svg') {
        set terminal svg size 1060,height font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,(height * 1.5) font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/step-cost.'.format
    set multiplot
    set title 'compulsory traffic a second, as a share of the triad'
    set lmargin at screen 0.155
    set rmargin at screen 0.50
    set tmargin at screen 0.95
    set bmargin at screen 0.12
    set xrange [0:*]
    set yrange [n + 0.5:0.5]
    set ytics () font ',8'
    set for [i = 1:n] ytics add (word(algos, i) i)
    set xlabel 'share of memory bandwidth (above 1: cache)'
    set arrow 1 from 1, graph 0 to 1, graph 1 nohead lc rgb '#444444' dt 2
    set key at graph 1.0, graph -0.095 right top horizontal samplen 1 font ',9'
    plot for [i = 1:words(sizes)] of_size(word(sizes, i)) using 2:1 with points lt i title name_of(word(sizes, i))

    unset arrow
    unset ytics
    set ytics auto nomirror font ',11'
    set lmargin at screen 0.60
    set rmargin at screen 0.97
    set bmargin at screen 0.66
    set title '4096 parameters on a ring'
    set logscale xy
    set xrange [*:*]
    set yrange [*:*]
    set xlabel 'clients'
    set ylabel 'seconds a step'
    set format y '10^{%L}'
    set key inside left top vertical
    plot of_algo('dsgd') using 3:7 with linespoints lt 1 title 'dsgd', \
         of_algo('qg-dsgdm-n') using 3:7 with linespoints lt 3 title 'qg-dsgdm-n', \
         of_algo('qg-dsgdm-n') using 3:12 with linespoints lt 8 title 'plain passes'

    unset logscale
    set tmargin at screen 0.48
    set bmargin at screen 0.17
    set title 'where a training step goes (16 clients, batch 32)'
    set format y '%g %%'
    set ylabel 'share of the parts'
    unset xlabel
    set yrange [0:100]
    set style data histograms
    set style histogram rowstacked
    set style fill solid 0.85 border rgb '#ffffff'
    set boxwidth 0.7
    set xtics font ',9'
    set key outside bottom center horizontal samplen 1 font ',9'
    full = out.'/full.csv'
    all(x) = column(9) + column(10) + column(11) + column(13) + column(14) + column(15) + column(16)
    label(x) = strcol(1)."\n".strcol(2)
    parts = '9 10 11 13 14 15 16'
    titles = 'load forward backward pre exchange mix post'
    plot for [i = 1:7] full every ::1 using (100 * column(int(word(parts, i))) / all(0)):xtic(label(0)) lt i \
        title word(titles, i)
    unset multiplot
    unset output
    reset
    load plots.'/style.gp'
}
