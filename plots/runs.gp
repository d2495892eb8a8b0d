# Runs of qgm-train beside each other; plots/runs calls it.
#   gnuplot -e "tables='my-run/metrics.csv other/metrics.csv'; out='runs'; plots='plots'" plots/runs.gp
# Writes <out>.svg and <out>.png. SPDX-License-Identifier: MIT
load plots.'/style.gp'
n = words(tables)
# Its folder, without what all of them begin with; a run that is under way says so.
name(i) = system(sprintf("printf '%%s\n' %s | sed 's|/*metrics.csv$||; s/\\.part$/ (under way)/' | awk -F / -v i=%d '".\
    "{ path[NR] = $0; for (k = 1; k < NF && (NR == 1 || k <= common && $k == first[k]); k++) first[k] = $k; common = k - 1 } ".\
    "END { n = split(path[i], part); name = part[common + 1]; for (k = common + 2; k <= n; k++) name = name FS part[k]; print name }'", tables, i))
# Is there a number above `least` in a column? Without any, gnuplot refuses to draw: a run that diverged has none, and on
# a logarithmic axis one whose clients all agree: a single one, a complete graph, centralised SGD.
found(column, least) = system(sprintf("awk -F, 'FNR == 1 { for (c = NF; c && $c != \"%s\"; c--); } ".\
    "c && $c ~ /^-?[0-9]/ && $c > %s { n++ } END { print n + 0 }' %s", column, least, tables)) + 0 > 0
curves(column) = "for [i = 1:n] word(tables, i) using x:'".column."' with linespoints lt i"
panel(column) = 'plot '.(found(column, '-1') ? curves(column) : '[0:1] [0:1] -1')
# Which of them have a momentum.
moving = system(sprintf("i=0; for t in %s; do i=$((i + 1)); awk -F, '".\
    "NR == 1 { for (c = NF; c && $c != \"momentum_gradient_cosine\"; c--); } ".\
    "$c ~ /^-?[0-9]/ { n++ } END { exit !n }' $t && echo $i; done", tables))
x = 'epoch'
# More than three rows in the legend make the page longer.
longest = 0
do for [i = 1:n] { longest = strlen(name(i)) > longest ? strlen(name(i)) : longest }
lines = rows_of(longest, n)
more = 20 * (lines > 3 ? lines - 3 : 0)
page = 760.0 + more

do for [format in 'svg png'] {
    load plots.'/style.gp'
    set datafile columnheaders
    if (format eq 'svg') {
        set terminal svg size 1060,page font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,1.5 * page font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'.'.format
    set multiplot layout 2,2 margins 0.075,0.97,(0.16 * 760 + more) / page,1 - 38 / page spacing 0.095,91.2 / page
    unset key
    set xrange [0:*]
    set title 'test accuracy (%): mean over clients; thin: worst and best'
    plot for [i = 1:n] word(tables, i) using x:'accuracy_mean_percent' with linespoints lt i, \
        for [i = 1:n] word(tables, i) using x:'accuracy_worst_percent' with lines lt i lw 0.7, \
        for [i = 1:n] word(tables, i) using x:'accuracy_best_percent' with lines lt i lw 0.7
    set title 'training loss (nats)'
    eval(panel('train_loss_nats'))
    set xlabel 'epoch (passes over a client''s own data)'
    set title 'consensus distance'
    if (found('consensus_distance', '0')) { set logscale y; set format y '%.0e' } else { set yrange [-0.1:1] }
    eval(panel('consensus_distance'))
    unset logscale y
    set format y
    set yrange [*:*]
    if (words(moving)) {
        set title 'cosine of momentum and gradient'
        plot for [i in moving] word(tables, i + 0) using x:'momentum_gradient_cosine' with linespoints lt i + 0
    } else {
        set title 'gradient dissimilarity ζ²'
        eval(panel('gradient_dissimilarity_zeta2'))
    }
    unset xlabel
    unset title

    # The legend, once for all panels.
    set origin 0, 0
    set size 1, (68.4 + more) / page
    set margins 0, 0, 0, 0
    unset tics
    unset border
    set key at screen 0.5, (34.2 + more / 2) / page center center maxrows (lines > 3 ? lines : 3) noenhanced
    set xrange [0:1]
    set yrange [0:1]
    plot for [i = 1:n] NaN with linespoints lt i title name(i)
    set yrange [*:*]
    set tics
    unset multiplot
}
