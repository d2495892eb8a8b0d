# Effective rate of every product and convolution beside the peers', as a share of the fma peak.
#   gnuplot -e "out='paper/out/kernels'; plots='plots'; isa='avx512'" plots/kernels.gp
# Reads <out>/<isa>-peers.csv of `paper/run kernels`. Writes <out>/kernels-<isa>.svg and .png. SPDX-License-Identifier: MIT
load plots.'/style.gp'
table = out.'/'.isa.'-peers.csv'
kernels = 'conv_forward conv_backward_data conv_backward_weights gemm'
title_of(k) = k eq 'gemm' ? 'matrix product' : k eq 'conv_forward' ? 'convolution, forward' : \
    k eq 'conv_backward_data' ? 'convolution, gradient of inputs' : 'convolution, gradient of weights'
rows(k) = sprintf("< grep '^%s,' %s", k, table)

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 1100,1240 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1650,1860 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/kernels-'.isa.'.'.format
    set multiplot layout 4,1 margins 0.07,0.985,0.09,0.965 spacing 0.02,0.095
    set style data histograms
    set style histogram clustered gap 1
    set style fill solid 0.9 noborder
    set xtics rotate by 40 right font ',9'
    set yrange [0:*]
    set ylabel 'share of fma peak'
    set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#444444' dt 2
    do for [k in kernels] {
        set title title_of(k) offset 0,-0.6
        if (k eq 'gemm') { set key at screen 0.5,0.005 bottom center horizontal width 2 } else { unset key }
        plot rows(k) using (column(3) / column(6)):xtic(2) lt 1 title 'qgm, '.isa, \
             '' using (column(4) / column(6)) lt 2 title 'oneDNN', \
             '' using (column(5) / column(6)) lt 4 title 'OpenBLAS'
    }
    unset multiplot
    unset output
    reset
    load plots.'/style.gp'
}
