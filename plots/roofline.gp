# Roofline: rate of every kernel that computes against FLOPs a byte of compulsory traffic, under the two measured roofs.
#   gnuplot -e "out='paper/out/kernels'; plots='plots'; isa='avx512'; peak=240; triad=14" plots/roofline.gp
# peak in GFLOP/s, triad in GB/s. Reads <out>/<isa>.csv of `paper/run kernels`. Writes <out>/roofline-<isa>.svg and .png.
# Points above the slope live in a cache; points above the peak are Winograd's. SPDX-License-Identifier: MIT
load plots.'/style.gp'
rows(k) = sprintf("< awk -F, '$2 == \"%s\" && $1 ~ /^%s/ && $5 > 0 { print $5 / $6 \",\" $5 }' %s/%s.csv", isa, k, out, isa)
roof(x) = x * triad < peak ? x * triad : peak

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 860,520 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1290,780 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/roofline-'.isa.'.'.format
    set logscale xy
    set xrange [0.05:1000]
    set yrange [0.5:1000]
    set samples 400
    set xlabel 'FLOPs a byte of compulsory traffic'
    set ylabel 'GFLOP/s, one thread'
    set title sprintf('%s: %.0f GFLOP/s of fma, %.1f GB/s of triad', isa, peak, triad)
    plot roof(x) with lines lc rgb '#444444' lw 2 title 'roof', \
         rows('conv_forward') using 1:2 with points lt 1 title 'convolution, forward', \
         rows('conv_backward_data') using 1:2 with points lt 2 title 'gradient of inputs', \
         rows('conv_backward_weights') using 1:2 with points lt 3 title 'gradient of weights', \
         rows('gemm') using 1:2 with points lt 4 title 'matrix product', \
         rows('(norm|layernorm|softmax|sum|add|mix|dot|distance)') using 1:2 with points lt 5 title 'norms, sums, elements'
    unset output
    reset
    load plots.'/style.gp'
}
