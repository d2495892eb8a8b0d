# Runs of qgm-train beside each other; plots/runs calls it.
#   gnuplot -e "tables='my-run/metrics.csv other/metrics.csv'; out='runs'; plots='plots'" plots/runs.gp
# Writes <out>.svg and <out>.png. SPDX-License-Identifier: MIT
n = words(tables)
# The folder's name; a run that is under way says so.
name(i) = system(sprintf("basename $(dirname '%s') | sed 's/\\.part$/ (under way)/; s/_/ /g'", word(tables, i)))
# Which of them have a momentum.
moving = system(sprintf("i=0; for t in %s; do i=$((i + 1)); awk -F, '".\
    "NR == 1 { for (c = NF; c && $c != \"momentum_gradient_cosine\"; c--); } ".\
    "$c ~ /^-?[0-9]/ { n++ } END { exit !n }' $t && echo $i; done", tables))
x = 'epoch'

do for [format in 'svg png'] {
    load plots.'/style.gp'
    set datafile columnheaders
    if (format eq 'svg') {
        set terminal svg size 1060,760 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,1140 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'.'.format
    set multiplot layout 2,2 margins 0.075,0.97,0.16,0.95 spacing 0.095,0.12
    unset key
    set xrange [0:*]
    set title 'test accuracy (%): mean over clients; thin: worst and best'
    plot for [i = 1:n] word(tables, i) using x:'accuracy_mean_percent' with linespoints lt i, \
        for [i = 1:n] word(tables, i) using x:'accuracy_worst_percent' with lines lt i lw 0.7, \
        for [i = 1:n] word(tables, i) using x:'accuracy_best_percent' with lines lt i lw 0.7
    set title 'training loss (nats)'
    plot for [i = 1:n] word(tables, i) using x:'train_loss_nats' with linespoints lt i
    set xlabel 'epoch (passes over a client''s own data)'
    set title 'consensus distance'
    set logscale y
    set format y '%.0e'
    plot for [i = 1:n] word(tables, i) using x:'consensus_distance' with linespoints lt i
    unset logscale y
    set format y
    if (words(moving)) {
        set title 'cosine of momentum and gradient'
        plot for [i in moving] word(tables, i + 0) using x:'momentum_gradient_cosine' with linespoints lt i + 0
    } else {
        set title 'gradient dissimilarity ζ²'
        plot for [i = 1:n] word(tables, i) using x:'gradient_dissimilarity_zeta2' with linespoints lt i
    }
    unset xlabel
    unset title

    # The legend, once for all panels.
    set origin 0, 0
    set size 1, 0.09
    set margins 0, 0, 0, 0
    unset tics
    unset border
    set key at screen 0.5, 0.045 center center maxrows 3
    set xrange [0:1]
    set yrange [0:1]
    plot for [i = 1:n] NaN with linespoints lt i title name(i)
    set yrange [*:*]
    set tics
    unset multiplot
}
