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
