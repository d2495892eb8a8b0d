# Test accuracy against one flag of the study, and against the epoch at that flag's last value; where the flag has one
# value only, the second panel alone.
#   gnuplot -e "out='paper/out/quickstart'; plots='plots'; x='alpha'" plots/accuracy.gp
# Reads <out>/accuracy.csv (x, then mean and standard deviation over seeds, nan of one, for each algorithm) and
# <out>/accuracy-epochs.csv (epoch, then a column an algorithm). Writes <out>/accuracy.svg and .png. With figure='...'
# these have that name instead, with where='lr = 0.1' they say of what they are.
# SPDX-License-Identifier: MIT
load plots.'/style.gp'
if (!exists('figure')) figure = 'accuracy' # name of its files
if (!exists('where')) where = '' # which of several such figures it is
table = out.'/'.figure.'.csv'
curves = out.'/'.figure.'-epochs.csv'
n = system(sprintf("wc -l < '%s'", table)) - 1
array values[n]
do for [i = 1:n] { values[i] = field(table, i + 1, 1) }
last = values[n]
numbers = strstrt('0123456789.', substr(last, 1, 1)) > 0 # names, of graphs say, stand side by side
# In the order of the study, whose lines would go back and forth where it lists numbers in none.
rows = '< '.tabbed(table).' | tail -n +2'.(numbers ? ' | sort -g' : '')
at(row) = numbers ? column(1) : row
least = real(values[1])
most = least
do for [i = 2:n] { v = real(values[i]); least = v < least ? v : least; most = v > most ? v : most }
# alpha always falls to the right; a learning rate goes as the study lists it.
falls = x eq 'alpha' || values[1] + 0 > last + 0
series = (columns_of(table) - 1) / 2
name(i) = field(table, 1, 2 * i)
# More than two rows in the legend make the page longer.
longest = 0
do for [i = 1:series] { longest = strlen(name(i)) > longest ? strlen(name(i)) : longest }
lines = rows_of(longest, series)
more = 20 * (lines > 2 ? lines - 2 : 0)
page = 470.0 + more
low(y) = (y * 470 + more) / page # of a page without more
top(y) = 1 - (1 - y) * 470 / page
curved = system(sprintf("wc -l < '%s'", curves)) + 0 > 2 # evaluations besides the last
alone = n == 1 && curved
bars = deviations_in(table)
lines_of_means = 'for [i = 1:series] rows using (at($0)):(column(2 * i)):xtic(1) with linespoints lt i'
bars_of_means = 'for [i = 1:series] rows using (at($0)):(column(2 * i)):(column(2 * i + 1)) with yerrorbars lt i'
title_of(x) = x eq 'alpha' ? 'Dirichlet α' : x eq 'lr' ? 'learning rate' : x eq 'momentum' ? 'momentum β' \
    : x eq 'drop' ? 'probability that a message is lost' : x eq 'stale-steps' ? 'latest that a message is, in exchanges' : x

do for [format in 'svg png'] {
    if (format eq 'svg') {
        set terminal svg size 1060,page font font background '#ffffff' dynamic
    } else {
        set terminal pngcairo size 1590,1.5 * page font 'DejaVu Sans,11' fontscale 1.45 background '#ffffff'
    }
    set output out.'/'.figure.'.'.format
    set multiplot
    set bmargin at screen low(series > 6 || lines > 2 ? 0.29 : 0.23)
    set tmargin at screen top(where eq '' ? 0.92 : 0.87)
    set label 1 where at screen 0.5,top(0.965) center noenhanced font ',12'
    unset key

    set lmargin at screen 0.075
    set rmargin at screen curved ? 0.485 : 0.97
    set ylabel 'test accuracy, mean over clients (%)' offset 1,0
    set xlabel title_of(x).(x eq 'alpha' ? '  (heterogeneity grows to the right)' : '')
    set title 'final accuracy, '.(bars ? 'mean ± standard deviation over seeds' : 'one seed')
    if ((x eq 'alpha' || x eq 'lr') && least > 0) {
        set logscale x
        if (falls) { set xrange [most * 1.6 : least / 1.6] } else { set xrange [least / 1.6 : most * 1.6] }
    } else {
        set offsets graph 0.06, graph 0.06, 0, 0
    }
    if (numbers) { set xtics () } else { set xtics () rotate by 25 right font ',9' noenhanced; unset xlabel }
    set datafile separator tab
    if (!alone && !bars) { plot @lines_of_means }
    if (!alone && bars) { plot @lines_of_means, @bars_of_means }
    set datafile separator comma

    if (!alone) { unset label 1 }
    unset logscale x
    set offsets 0, 0, 0, 0
    set xrange [0:*] noreverse
    set xtics auto norotate font ',11'
    set xlabel 'epoch (passes over a client''s own data)'
    if (!alone) { unset ylabel }
    set title 'accuracy during training, '.title_of(x).' = '.last
    set lmargin at screen alone ? 0.075 : 0.56
    set rmargin at screen 0.97
    if (curved) { plot for [i = 1:series] curves using 1:(column(i + 1)) with linespoints lt i }

    unset label 1
    # The legend, once for both panels: an empty plot as wide as the page, so that it fits in one row.
    set lmargin at screen 0.02
    set rmargin at screen 0.98
    set bmargin at screen 0
    set tmargin at screen (series > 6 || lines > 2 ? 0.16 * 470 + more : 47) / page
    unset border
    unset tics
    unset xlabel
    unset ylabel
    unset title
    set xrange [0:1]
    set yrange [0:1]
    set key inside center center horizontal samplen 3 spacing 1.2 width 2 noenhanced
    plot NaN notitle, for [i = 1:series] keyentry with linespoints lt i title name(i)
    unset multiplot
    unset output
    reset
    load plots.'/style.gp'
}
