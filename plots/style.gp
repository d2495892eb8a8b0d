# Shared look: colour-blind-safe colours (Okabe and Ito, 2008), readable fonts, thin grid. SPDX-License-Identifier: MIT
set datafile separator comma
# Fields of a CSV file, whatever they hold: rows and columns count from 1.
tabbed(file) = sprintf("awk -f '%s/csv.awk' '%s'", plots, file)
field(file, row, column) = system(sprintf("%s | sed -n %dp | cut -f %d", tabbed(file), row, column))
columns_of(file) = system(sprintf("%s | head -n 1 | tr '\\t' '\\n' | wc -l", tabbed(file))) + 0
# Standard deviations in the third, fifth, ... column: none where all means are of one seed.
deviations_in(file) = system(tabbed(file)." | awk -F '\t' 'NR > 1 { for (i = 3; i <= NF; i += 2) n += $i != \"nan\" } END { print n + 0 }'") + 0
set datafile missing 'nan'
set linetype 1 lc rgb '#0072B2' lw 2 pt 7 ps 0.8
set linetype 2 lc rgb '#E69F00' lw 2 pt 5 ps 0.8
set linetype 3 lc rgb '#D55E00' lw 2.5 pt 9 ps 1.0
set linetype 4 lc rgb '#009E73' lw 2 pt 11 ps 0.9
set linetype 5 lc rgb '#CC79A7' lw 2 pt 13 ps 0.9
set linetype 6 lc rgb '#56B4E9' lw 2 pt 6 ps 0.8
set linetype 7 lc rgb '#000000' lw 2 pt 4 ps 0.8
set linetype 8 lc rgb '#999999' lw 2 pt 8 ps 0.9
set linetype 9 lc rgb '#8c510a' lw 2 pt 12 ps 0.9
set linetype 10 lc rgb '#332288' lw 2 pt 10 ps 0.9
# The eleventh to the twentieth: the same colours, dashed.
colours = '#0072B2 #E69F00 #D55E00 #009E73 #CC79A7 #56B4E9 #000000 #999999 #8c510a #332288'
points = '6 4 8 10 12 7 5 9 13 11'
do for [i = 11:20] { set linetype i lc rgb word(colours, i - 10) lw 2 dt 2 pt int(word(points, i - 10)) ps 0.9 }
set linetype cycle 20
set grid lc rgb '#dddddd' lw 0.8
set border 3 lc rgb '#444444'
set tics nomirror
set key outside bottom center horizontal samplen 2 spacing 1.2 width 1
font = 'DejaVu Sans,11'
# Rows of a legend on a page of 1060, in columns as wide as the longest of its names.
rows_of(longest, names) = ceil(names / floor(1020.0 / (longest > 97 ? 1015 : 10 * longest + 45)))
