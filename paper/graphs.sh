#!/bin/sh
# Drawings of the communication graphs: the social networks, a ring, the exponential graph
#   usage: ./paper/run graphs [--scale smoke|laptop|paper] [--out DIR] [--dry-run]
# Seconds; every scale draws the same. SPDX-License-Identifier: MIT
set -eu
out=paper/out/graphs dry=
while [ $# -gt 0 ]; do
    case $1 in
    --scale)
        case ${2:-} in smoke | laptop | paper) ;; *) echo "graphs: --scale wants smoke, laptop or paper" >&2; exit 2 ;; esac
        shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=1 ;;
    *) echo "graphs: unknown argument '$1' (--scale smoke|laptop|paper, --out DIR, --dry-run)" >&2; exit 2 ;;
    esac
    shift
done
[ -n "$dry" ] || command -v gnuplot >/dev/null || { echo "graphs: gnuplot is missing: ./cmake/deps run" >&2; exit 1; }
for graph in davis:32 florentine:15 karate:34 ring:16 exponential:16; do
    name=${graph%:*} clients=${graph#*:}
    echo "figure  $out/$name-$clients.svg"
    [ -z "$dry" ] || continue
    mkdir -p "$out"
    "$QGM_BIN/qgm-inspect" topology "$name" --clients "$clients" --drawing >"$out/$name-$clients.csv"
    gnuplot -e "drawing='$out/$name-$clients.csv'; to='$out/$name-$clients.svg'; name='$name, $clients clients'" plots/graph.gp
done
