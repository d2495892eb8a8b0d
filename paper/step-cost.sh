#!/bin/sh
# What a step costs: every algorithm, graph and size against the memory bandwidth of the same minute
#   usage: ./paper/run step-cost [--scale smoke|laptop|paper] [--out DIR] [--dry-run]
# share: compulsory traffic of a step over what the triad a = b + s c moves (bench/triad.h), measured between the same
# steps. At VGG-11's size nothing fits a cache; LeNet's 16 clients do. Wants an otherwise idle machine, 12 GB of memory.
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/.."
out=paper/out/step-cost scale=laptop dry=
while [ $# -gt 0 ]; do
    case $1 in
    --scale) scale=${2:?--scale wants smoke, laptop or paper}; shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=1 ;;
    *) echo "step-cost: unknown flag '$1' (see paper/step-cost.sh)" >&2; exit 2 ;;
    esac
    shift
done
graphs='ring torus hypercube exponential one-peer-exponential complete'
case $scale in
smoke) repeats=3 sizes=lenet algos='dsgd qg-dsgdm-n' big='dsgd' graphs='ring torus' clients='4 16' full=lenet peer_sizes=62006 ;;
laptop) repeats=7 sizes='lenet resnet20' algos=all big=all clients='4 16 64 256 1024 4096' full='lenet resnet20-evonorm' peer_sizes='62006 270896 9750922' ;;
paper) repeats=15 sizes='lenet resnet20' algos=all big=all clients='4 16 64 256 1024 4096' full='lenet resnet20-evonorm vgg11' peer_sizes='62006 270896 9750922' ;;
*) echo "step-cost: --scale $scale: expected smoke, laptop or paper" >&2; exit 2 ;;
esac

# bench NAME FLAGS...: one CSV of the study; a second call with the same name adds rows.
bench() {
    name=$1
    shift
    if [ -n "$dry" ]; then echo "qgm-bench-step $* --repeats $repeats >> $out/$name.csv"; return; fi
    echo "step-cost: $name: $*" >&2
    "${QGM_BIN:?run this as ./paper/run step-cost}/qgm-bench-step" "$@" --repeats $repeats >"$out/part.csv"
    if [ -s "$out/$name.csv" ]; then tail -n +2 "$out/part.csv" >>"$out/$name.csv"; else cp "$out/part.csv" "$out/$name.csv"; fi
    rm "$out/part.csv"
}
if [ -z "$dry" ]; then
    mkdir -p "$out"
    for name in algorithms graphs clients full peer part; do rm -f "$out/$name.csv"; done
fi
# The same step in PyTorch, if some python3 here has it ($TORCH_PYTHON names one).
peer() {
    if [ -n "$dry" ]; then echo "torch_mix.py THREADS $repeats $*"; return; fi
    for p in ${TORCH_PYTHON:-python3 /usr/bin/python3}; do
        "$p" -c 'import torch' 2>/dev/null || continue
        echo "step-cost: PyTorch: $*" >&2
        "$p" paper/peers/torch_mix.py "${OMP_NUM_THREADS:-$(nproc)}" $repeats "$@" >"$out/peer.csv"
        return
    done
    echo "step-cost: no PyTorch here (Debian: python3-torch); ours alone" >&2
}
# Who refuses the ring is timed on the nearest graph that it admits: see the rows.
bench algorithms --algos "$algos" --sizes "$sizes"
bench algorithms --algos "$big" --sizes vgg11
# shellcheck disable=SC2086  # sizes are meant to split
peer $peer_sizes
bench graphs --algos qg-dsgdm-n --sizes resnet20 --graphs "$graphs"
for n in $clients; do bench clients --algos 'dsgd qg-dsgdm-n' --sizes 4096 --clients $n; done
# As many numbers as 4096 clients of 4096 parameters, by few clients: neither is in any cache.
[ $scale = smoke ] || bench clients --algos 'dsgd qg-dsgdm-n' --sizes 1048576
bench full --full "$full" --algos 'dsgd qg-dsgdm-n'
[ -z "$dry" ] || exit 0

{
    echo "# What a step costs"
    echo
    echo "\`./paper/run step-cost --scale $scale\`"
    "$QGM_BIN/qgm-bench-step" --version | sed 's/^/    /'
    grep -m 1 'model name' /proc/cpuinfo 2>/dev/null | sed 's/.*: /    cpu       /' || true
    awk '{ print "    load      " $1 " before the end" }' /proc/loadavg 2>/dev/null || true
    echo
    echo "| algorithm | graph | clients | parameters | ms a step | GB/s | triad GB/s | share | of plain passes | telemetry |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    cat "$out/algorithms.csv" "$out/graphs.csv" "$out/clients.csv" | awk -F, '$1 != "algorithm" {
        printf "| %s | %s | %s | %s | %.4g | %.1f | %.1f | %.2f | %s | %+.0f %% |\n", $1, $2, $3, $4, 1000 * $7, $9, $10, $11,
            $12 == "nan" ? "" : sprintf("1/%.1f", $12 / $7), 100 * $13 }'
    if [ -s "$out/peer.csv" ]; then
        printf '\n| qg-dsgdm-n on a ring of 16 | parameters | ms a step | of ours |\n|---|---|---|---|\n'
        awk -F, 'FNR == 1 { file++; next } file == 1 && $1 == "qg-dsgdm-n" { ours[$4] = $7 }
            file == 2 { printf "| %s | %s | %.4g | %.1f |\n", $1, $2, 1000 * $4, $4 / ours[$2] }' \
            "$out/algorithms.csv" "$out/peer.csv"
    fi
    echo
    echo "Whole training steps of 16 clients, batch 32, seconds; load, forward and backward are busy seconds a thread,"
    echo "update is pre + exchange + mix + post; telemetry comes on top when it is asked for, once an evaluation."
    echo
    awk -F, '{ printf "|"; for (i = 1; i <= NF; i++) printf " %s |", (i > 7 && NR > 1 ? sprintf("%.3g", $i) : $i); print "" }
        NR == 1 { printf "|"; for (i = 1; i <= NF; i++) printf "---|"; print "" }' "$out/full.csv"
} >"$out/step-cost.md"
cat "$out/step-cost.md"
if command -v gnuplot >/dev/null; then
    gnuplot -e "out='$out'; plots='plots'" plots/step-cost.gp
    echo "step-cost: tables and figures are in $out" >&2
else
    echo "step-cost: tables are in $out; no figures: gnuplot is not installed" >&2
fi
