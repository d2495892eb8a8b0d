# Toy problems: bias on the quadratic and on least squares, averaging with and without momentum, a bent valley.
#   gnuplot -e "out='paper/out/toys'; plots='plots'" plots/toys.gp
# Reads the CSV files of `qgm-toy --csv` in <out>. Writes <out>/toys.svg and .png. SPDX-License-Identifier: MIT
load plots.'/style.gp'
algos = 'dsgd dsgdm-n qg-dsgdm-n gt d2 momentum-tracking'
of(name, algo) = sprintf("< grep ',%s,' %s/%s.csv", algo, out, name)

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 1060,860 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,1290 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/toys.'.format
    set multiplot layout 2,2 margins 0.085,0.97,0.07,0.95 spacing 0.11,0.14
    unset key
    set format y '10^{%L}'
    set logscale y
    set xlabel 'step'

    set title 'f_i = (x − i)²/2: who keeps a bias (momentum tracking: none)'
    set ylabel 'consensus distance²' offset 1,0
    set yrange [1e-20:1e2]
    plot for [i = 1:words(algos)] of('quadratic', word(algos, i)) using 7:8 with lines lt i

    set key inside left bottom vertical Left reverse samplen 2 spacing 1.05 font ',9'
    set title 'least squares, ζ² = 1: where the mean goes'
    set ylabel 'f(mean) − f(optimum)'
    set yrange [1e-20:1]
    plot for [i = 1:words(algos)] of('least-squares', word(algos, i)) using 7:10 with lines lt i title word(algos, i)

    set title 'averaging alone: quasi-global momentum on rings'
    set ylabel 'consensus distance², share of the start'
    set yrange [1e-16:2]
    plot of('consensus-16', 'dsgd') using 7:10 with lines lt 1 title 'plain, ring of 16', \
         of('consensus-16', 'qg-dsgdm') using 7:10 with lines lt 3 title 'quasi-global, 16', \
         of('consensus-64', 'dsgd') using 7:10 with lines lt 1 dt 2 title 'plain, 64', \
         of('consensus-64', 'qg-dsgdm') using 7:10 with lines lt 3 dt 2 title 'quasi-global, 64'

    set title 'one worker in Rosenbrock''s valley, from (0, 0)'
    set ylabel 'f'
    set yrange [1e-9:2]
    plot of('rosenbrock', 'dsgdm') using 7:10 with lines lt 2 title 'heavy ball', \
         of('rosenbrock', 'qg-dsgdm') using 7:10 with lines lt 3 title 'quasi-global', \
         of('rosenbrock', 'dsgdm-n') using 7:10 with lines lt 2 dt 2 title 'Nesterov', \
         of('rosenbrock', 'qg-dsgdm-n') using 7:10 with lines lt 3 dt 2 title 'quasi-global, Nesterov'
    unset multiplot
    unset output
    reset
    load plots.'/style.gp'
}
