# A communication graph: edges as wide as their weight, clients as large as their own.
#   gnuplot -e "drawing='davis.csv'; to='davis.svg'; name='davis, 32 clients'" plots/graph.gp
# drawing: what `qgm-inspect topology NAME --clients N --drawing` prints. Weights that differ in the two directions are
# drawn as arrows. SPDX-License-Identifier: MIT
set datafile separator comma
set terminal svg size 640,660 font 'DejaVu Sans,10' background '#ffffff' dynamic
set output to
unset border
unset tics
unset key
set size ratio -1
set xrange [-1.12:1.12]
set yrange [-1.12:1.12]
# Each edge once, or both ways where the weights differ: then the last column says so.
edges = sprintf("< awk -F, 'NR == FNR { w[$1 FS $2] = $3; next } FNR > 1 && $1 != $2 { back = w[$2 FS $1]; if ($1 < $2 || back != $3) print $0 FS (back != $3) }' '%s' '%s'", drawing, drawing)
stats drawing using ($1 == $2 ? NaN : $3) skip 1 nooutput
most = STATS_max
least = STATS_min
set title name.sprintf(least < most ? "\nweights of edges %.3g to %.3g" : "\nall edges have weight %.3g", least, most)
# Sixteen widths; gnuplot has no line width that comes from the data.
do for [i = 1:16] {
    set style arrow i nohead lw 0.4 + 0.3 * i lc rgb sprintf('#%02x%02x%02x', 0xa8 - 9 * i, 0xc4 - 6 * i, 0xdc - 3 * i)
    set style arrow 16 + i head filled size screen 0.016,18 fixed lw 0.4 + 0.18 * i lc rgb '#7d9bb5'
}
style(w, directed) = (least == most ? 6 : w >= most ? 16 : 1 + floor(15.999 * w / most)) + 16 * int(directed)
length(directed) = directed > 0 ? 0.955 : 1
plot edges using 6:7:(length($8) * ($4 - $6)):(length($8) * ($5 - $7)):(style($3, $8)) with vectors arrowstyle variable, \
     drawing using ($1 == $2 ? $4 : NaN):5:(1.5 + 2.2 * sqrt($3)) skip 1 with points pt 7 ps variable lc rgb '#D55E00', \
     drawing using ($1 == $2 ? $4 : NaN):5:(sprintf('%d', $1)) skip 1 with labels font ',9' tc rgb '#ffffff'
