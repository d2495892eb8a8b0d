# Images per second of training, ours and PyTorch's, for each norm and number of threads.
#   gnuplot -e "out='paper/out/train-speed'; plots='plots'" plots/train-speed.gp
# Reads <out>/summary.csv, writes <out>/train-speed.svg and .png. SPDX-License-Identifier: MIT
load plots.'/style.gp'
table = out.'/summary.csv'
label(norm, threads) = sprintf("%s\n%d thr.", norm, threads)
do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 900,420 font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1350,630 font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/train-speed.'.format
    set style data histograms
    set style histogram clustered gap 1.5
    set style fill solid 0.9 noborder
    set ylabel 'images per second'
    set yrange [0:*]
    set bmargin 6
    set key at screen 0.5,0.03 bottom center horizontal width 2
    set title 'ResNet-20 on 32 × 32 images, batch 32: forward and backward'
    plot table skip 1 using 3:xtic(label(strcol(1), column(2))) lt 1 title 'qgm: gradient', \
         '' skip 1 using 4 lt 6 title 'qgm: whole step of 16 clients', \
         '' skip 1 using 5 lt 2 title 'PyTorch: gradient, its faster layout'
    unset output
}
