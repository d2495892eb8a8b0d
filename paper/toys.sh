#!/bin/sh
# Algorithms on toy problems whose answer is known: bias, averaging, valleys, least squares.
#   usage: ./paper/run toys [--scale smoke|laptop|paper] [--out DIR] [--dry-run]
# In double precision, so that what is seen is the algorithm. Seconds at any scale; paper runs longer.
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/.."
out=paper/out/toys scale=laptop dry=
while [ $# -gt 0 ]; do
    case $1 in
    --scale) scale=${2:?--scale wants smoke, laptop or paper}; shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=1 ;;
    *) echo "toys: unknown flag '$1' (see paper/toys.sh)" >&2; exit 2 ;;
    esac
    shift
done
case $scale in
smoke) steps=200 ;;
laptop) steps=2000 ;;
paper) steps=20000 ;;
*) echo "toys: --scale $scale: expected smoke, laptop or paper" >&2; exit 2 ;;
esac

# toy NAME FLAGS...: one CSV of the study.
toy() {
    name=$1
    shift
    if [ -n "$dry" ]; then echo "qgm-toy $* --double --csv > $out/$name.csv"; return; fi
    "${QGM_BIN:?run this as ./paper/run toys}/qgm-toy" "$@" --double --csv >"$out/$name.csv.part"
    mv "$out/$name.csv.part" "$out/$name.csv"
}
[ -n "$dry" ] || mkdir -p "$out"
every=$((steps / 200))
[ $every -gt 0 ] || every=1
toy quadratic quadratic --lazy --lr 0.01 --steps $steps --every $every \
    --algos 'dsgd dsgdm-n qg-dsgdm-n gt d2 momentum-tracking'
toy least-squares least-squares:zeta2=1 --lazy --lr 0.02 --steps $steps --every $every \
    --algos 'dsgd dsgdm-n qg-dsgdm-n gt d2 momentum-tracking'
toy logistic logistic --lazy --lr 0.05 --steps $steps --every $every \
    --algos 'dsgd dsgdm-n qg-dsgdm-n gt d2 momentum-tracking'
for n in 16 64; do
    toy consensus-$n consensus --clients $n --steps 400 --every 2 --algos 'dsgd qg-dsgdm'
done
for problem in rosenbrock steep-valley; do
    toy $problem $problem --steps 1500 --every 5 --algos 'dsgdm qg-dsgdm dsgdm-n qg-dsgdm-n'
    toy $problem-steps $problem --steps 20000 --below 1e-1,1e-2,1e-3,1e-4,1e-6 \
        --algos 'dsgdm qg-dsgdm dsgdm-n qg-dsgdm-n'
done
[ -z "$dry" ] || exit 0

{
    echo "# Toy problems"
    echo
    echo "\`./paper/run toys --scale $scale\`, double precision. Consensus: (1/n) sum |x_i - mean|^2, at the last step."
    for problem in quadratic least-squares logistic; do
        printf '\n| %s | consensus | distance of the mean | f(mean) - f(optimum) |\n|---|---|---|---|\n' "$problem"
        awk -F, -v last=$((steps / every * every)) \
            'NR > 1 && $7 == last { printf "| %s | %.3g | %.3g | %.3g |\n", $2, $8, $9, $10 }' "$out/$problem.csv"
    done
    for problem in rosenbrock steep-valley; do
        printf '\n| %s: steps until f < | 1e-1 | 1e-2 | 1e-3 | 1e-4 | 1e-6 |\n|---|---|---|---|---|---|' "$problem"
        awk -F, 'NR > 1 { if ($2 != name) printf "\n| %s |", name = $2; printf " %s |", $8 } END { print "" }' \
            "$out/$problem-steps.csv"
    done
} >"$out/toys.md"
cat "$out/toys.md"
if command -v gnuplot >/dev/null; then
    gnuplot -e "out='$out'; plots='plots'" plots/toys.gp
    echo "toys: tables and figures are in $out" >&2
else
    echo "toys: tables are in $out; no figures: gnuplot is not installed" >&2
fi
