#!/bin/sh
# Figures of runs: plots/runs on runs that are finished, under way and not there. usage: plots.sh PLOTS FOLDER-OF-PROGRAMS
# SPDX-License-Identifier: MIT
set -eu
plots=$1 bin=$2
command -v gnuplot >/dev/null || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for algo in dsgd qg-dsgdm-n; do
    "$bin/qgm-train" --dataset synthetic --model logreg --clients 4 --epochs 2 --threads 1 --quiet --algo $algo --out $algo
done >/dev/null
mv dsgd dsgd.part # as if it were under way
wrong() { echo "FAILED: $*"; exit 1; }
"$plots/runs" -o both dsgd qg-dsgdm-n/ 2>stderr.txt || wrong "two runs: $(cat stderr.txt)"
[ ! -s stderr.txt ] || wrong "two runs: $(cat stderr.txt)"
for word in 'dsgd (under way)' qg-dsgdm-n 'cosine of momentum'; do grep -q "$word" both.svg || wrong "no '$word' in the figure"; done
[ -s both.png ] || wrong "no both.png"
"$plots/runs" dsgd >/dev/null && grep -q 'gradient dissimilarity' runs.svg || wrong "a run without momentum"
if "$plots/runs" nothing 2>stderr.txt; then wrong "a run that is not there is drawn"; fi
grep -q 'nothing: there is no metrics.csv' stderr.txt || wrong "what is missing is not said: $(cat stderr.txt)"

# A study that varies more than its figure's x: a figure a value of the rest, each of that value's runs, and as many of
# the partition as there are partitions, which does not go by the graph.
cat >study.yaml <<'YAML'
title: more axes than a figure has
base: {dataset: "synthetic:n=400,test=100", model: logreg, clients: 4, batch: 10, steps: 20, partition: lin2021, eval-every: 1}
vary: {topology: [ring, complete], alpha: [10, 0.1], lr: [0.1, 0.01], seed: [1, 2]}
series:
  - {label: DSGD, set: {algo: dsgd}}
  - {label: QG, set: {algo: qg-dsgdm-n}}
figures:
  - {plot: accuracy, x: alpha}
  - {plot: partition, x: alpha}
  - {plot: gap, x: topology}
YAML
"$bin/qgm-study" study.yaml --out st --plots "$plots" --quiet >stdout.txt 2>stderr.txt || wrong "the study: $(cat stderr.txt)"
[ ! -s st/figures.log ] || wrong "gnuplot: $(cat st/figures.log)"
mkdir half && printf "set print out.'/'.figure.'.svg'\nprint '<svg>'\n" | tee half/accuracy.gp half/gap.gp >half/partition.gp
if "$bin/qgm-study" study.yaml --out st-half --plots half --quiet >/dev/null 2>stderr.txt; then wrong "half a figure, as of a full disk"; fi
grep -q 'st-half/accuracy.*svg: gnuplot has not written it to its end' stderr.txt || wrong "half a figure: $(cat stderr.txt)"
for graph in ring complete; do
    for lr in 0.1 0.01; do
        name=accuracy_topology-${graph}_lr-$lr
        grep -q "^figure  *st/$name.svg" stdout.txt || wrong "$name is not in the list of figures"
        grep -q "topology = $graph, lr = $lr<" st/$name.svg && [ -s st/$name.png ] || wrong "$name does not say of what it is"
        for alpha in 10 0.1; do # means of the table: DSGD's, then QG's
            want=$(awk -F, -v t=$graph -v a=$alpha -v l=$lr 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
                $at["topology"] == t && $at["alpha"] == a && $at["lr"] == l { printf "%.4f ", $at["accuracy_mean_percent"] }' st/summary.csv)
            have=$(awk -F, -v a=$alpha '$1 == a { printf "%.4f %.4f ", $2, $4 }' st/$name.csv)
            [ -n "$want" ] && [ "$have" = "$want" ] || wrong "$name at alpha $alpha: $have, the table has $want"
        done
        [ "$(wc -l <st/$name-epochs.csv)" = 3 ] || wrong "$name: $(cat st/$name-epochs.csv)"
    done
done
[ -s st/gap_alpha-0.1_lr-0.01.svg ] || wrong "no figure of gaps: $(ls st)"
[ -s st/partition.svg ] && [ "$(ls st/partition*.svg | wc -l)" = 1 ] && [ ! -e st/accuracy.svg ] || wrong "figures: $(ls st)"
sed 's/\[ring, complete\]/[ring]/; s/\[0.1, 0.01\]/[0.1]/' study.yaml >one.yaml # nothing to tell apart: the plain name
"$bin/qgm-study" one.yaml --out st-one --plots "$plots" --quiet >stdout.txt 2>stderr.txt && [ -s st-one/accuracy.svg ] || wrong "one figure: $(cat stderr.txt)"
# One seed has points, and no deviation.
grep -q 'standard deviation over seeds' st-one/accuracy.svg || wrong "two seeds: no word of their deviation"
sed 's/, seed: \[1, 2\]//' one.yaml >single.yaml
"$bin/qgm-study" single.yaml --out st-single --plots "$plots" --quiet >stdout.txt 2>stderr.txt || wrong "one seed: $(cat stderr.txt)"
[ ! -s st-single/figures.log ] || wrong "one seed: $(cat st-single/figures.log)"
grep -q 'one seed' st-single/accuracy.svg && ! grep -q deviation st-single/accuracy.svg || wrong "one seed: a deviation"
for figure in accuracy gap_alpha-10; do # the legend shows each point once, the curves and alpha = 10, 0.1 besides
    [ "$(grep -c "xlink:href='#gpPt" st-single/$figure.svg)" -ge 4 ] || wrong "one seed: $figure has no points"
done

# Runs whose clients agree, one that diverged: no panel is empty for gnuplot to refuse. Folders of one name are told apart.
run() { "$bin/qgm-train" --dataset synthetic:n=400 --model logreg --clients 4 --epochs 2 --threads 1 --quiet "$@" >/dev/null 2>&1 || [ "$1" = --lr ]; }
run --algo dsgd --topology complete --out x_1/run
run --algo sgd-central --out x_2/run
run --lr 1e5 --algo dsgd --model mlp --out diverged
for one in x_1/run x_2/run diverged; do
    "$plots/runs" -o one $one >/dev/null 2>stderr.txt && grep -q '</svg>' one.svg && [ -s one.png ] || wrong "$one: $(cat stderr.txt)"
    rm -f one.svg one.png
done
"$plots/runs" -o named "$PWD/x_1/run" "$PWD/x_2/run" >/dev/null 2>&1 || wrong "runs of one name"
for name in x_1/run x_2/run; do grep -q ">$name<" named.svg || wrong "no '$name' in the figure"; done

# Series that are evaluated at epochs of their own, the first of them diverged: each has its points, and no other's.
cat >epochs.yaml <<'YAML'
title: curves
base: {dataset: "synthetic:n=400,test=100", model: mlp, clients: 4, batch: 10, eval-every: 1, algo: dsgd}
vary: {alpha: [1, 0.1, 10]}
series:
  - {label: gone, set: {lr: 1e5, epochs: 1}}
  - {label: short, set: {epochs: 2}}
  - {label: long, set: {epochs: 3, eval-every: 1.5}}
figures:
  - {plot: accuracy, x: alpha}
YAML
"$bin/qgm-study" epochs.yaml --out st-epochs --plots "$plots" --quiet >stdout.txt 2>stderr.txt || wrong "curves: $(cat stderr.txt)"
have=$(awk -F, '{ print $1, $2 != "nan", $3 != "nan", $4 != "nan" }' st-epochs/accuracy-epochs.csv | tr '\n' ';')
[ "$have" = 'epoch 1 1 1;1 0 1 0;1.5 0 0 1;2 0 1 0;3 0 0 1;' ] || wrong "curves: $have"
# All values of alpha are in the figure, and fall to the right whatever order the study lists them in.
have=$(tr '\n' ' ' <st-epochs/accuracy.svg | grep -oE 'translate.[0-9.]+[^<]*<text><tspan[^>]*>(10|1|0\.1)<' | tr -d '\t' |
    sed -E 's/translate.([0-9.]+).*>([0-9.]+)<$/\1 \2/' | awk '$1 > 90 && $1 < 520' | sort -n | cut -d' ' -f2 | tr '\n' ' ') # of the left panel's axis
[ "$have" = '10 1 0.1 ' ] || wrong "alpha along the axis: $have"

# A rate at which all diverges keeps no other figure from being drawn; a finished run of other flags stays as it is.
cat >rates.yaml <<'YAML'
title: rates
base: {dataset: "synthetic:n=400,test=100", model: mlp, clients: 4, batch: 10, epochs: 1}
vary: {lr: [1e5, 0.1], alpha: [1, 0.1]}
series:
  - {label: DSGD, set: {algo: dsgd}}
figures:
  - {plot: accuracy, x: alpha}
  - {plot: partition, x: alpha}
YAML
study="$bin/qgm-study rates.yaml --out st-rates --plots $plots --quiet"
$study >stdout.txt 2>stderr.txt || wrong "rates: $(cat stderr.txt)"
grep -q 'accuracy_lr-1e5 is not drawn: all of its runs have diverged' stderr.txt || wrong "rates: $(cat stderr.txt)"
grep -q 'accuracy_lr-0.1.svg' stdout.txt && ! grep -q 'accuracy_lr-1e5' stdout.txt || wrong "rates: $(cat stdout.txt)"
[ -s st-rates/partition.svg ] && [ ! -s st-rates/figures.log ] || wrong "rates: $(cat st-rates/figures.log)"
sed -i 's/epochs: 1/epochs: 2/' rates.yaml
before=$(cat st-rates/runs/*/run.jsonl | cksum)
if $study >/dev/null 2>stderr.txt; then wrong "a study of other flags takes the place of a finished one"; fi
grep -q 'is a finished run of other flags.*--force' stderr.txt || wrong "other flags: $(cat stderr.txt)"
[ "$(cat st-rates/runs/*/run.jsonl | cksum)" = "$before" ] || wrong "other flags: finished runs have changed"
$study --force >/dev/null 2>stderr.txt || wrong "--force: $(cat stderr.txt)"
[ "$(cat st-rates/runs/*/run.jsonl | cksum)" != "$before" ] || wrong "--force: finished runs stay"
