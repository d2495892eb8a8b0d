#!/bin/sh
# How fast the kernels are: every layer shape against oneDNN, OpenBLAS and the roofs of the same process
#   usage: ./paper/run kernels [--scale smoke|laptop|paper] [--out DIR] [--dry-run]
# One thread, medians of randomly interleaved runs. The peers run once more held to AVX2, beside our AVX2 kernels. Where
# llvm-mca and an aarch64 compiler are found, a model of two Arm cores reads the NEON micro-kernel's inner loops.
# Wants an otherwise idle machine. SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/.."
out=paper/out/kernels scale=laptop dry=
while [ $# -gt 0 ]; do
    case $1 in
    --scale) scale=${2:?--scale wants smoke, laptop or paper}; shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=1 ;;
    *) echo "kernels: unknown flag '$1' (see paper/kernels.sh)" >&2; exit 2 ;;
    esac
    shift
done
case $scale in
smoke) repeats=3 seconds=0.01 rows='(resnet20-(32|64)|128\^3|4Ki)$' ;;
laptop) repeats=9 seconds=0.02 rows= ;;
paper) repeats=15 seconds=0.1 rows= ;;
*) echo "kernels: --scale $scale: expected smoke, laptop or paper" >&2; exit 2 ;;
esac
bench=${QGM_BIN:?run this as ./paper/run kernels}/qgm-bench-kernels
if [ ! -x "$bench" ]; then
    echo "kernels: this build has no qgm-bench-kernels: it wants Google Benchmark (cmake/deps optional)" >&2
    exit 1
fi

# measure ISA FILTER: <out>/ISA.json as Google Benchmark writes it, and our columns in <out>/ISA.csv.
measure() {
    set -- "$1" "$2" "$bench" --benchmark_filter="$2$rows" --benchmark_repetitions=$repeats \
        --benchmark_min_time=$seconds --benchmark_enable_random_interleaving=true \
        --benchmark_report_aggregates_only=true --benchmark_out="$out/$1.json" --benchmark_out_format=json
    isa=$1
    shift 2
    if [ -n "$dry" ]; then echo "$@"; return; fi
    echo "kernels: $isa and peers; oneDNN up to ${ONEDNN_MAX_CPU_ISA:-all}, OpenBLAS for ${OPENBLAS_CORETYPE:-this CPU}" >&2
    "$@" --benchmark_format=csv >"$out/part.csv" 2>"$out/$isa.log" || { tail -n 5 "$out/$isa.log" >&2; exit 1; }
    # Interleaved runs end in random order: back to that of the list.
    echo "$list" | awk -F, 'BEGIN { OFS = ","; print "kernel,impl,shape,ns,gflops,gbytes_per_s,roof" }
        NR == FNR { order[++rows] = $1; next }
        $1 == "name" { for (i = 1; i <= NF; i++) { gsub("\"", "", $i); at[$i] = i } }
        sub(/_median"?$/, "", $1) { sub(/^"/, "", $1); split($1, part, "/")
            found[$1] = part[1] "," part[2] "," part[3] "," $at["cpu_time"] "," $at["flops_per_s"] / 1e9 "," \
                $at["bytes_per_s"] / 1e9 "," $at["roof"] }
        END { for (i = 1; i <= rows; i++) if (order[i] in found) print found[order[i]] }' - "$out/part.csv" >"$out/$isa.csv"
    rm "$out/part.csv"
    # The same rows side by side, 0 where a peer has none: peak is that of the ISA our kernels used.
    peak=$(sed -n "s/.*\"$isa\": \"\([0-9.]*\) GFLOP.*/\1/p" "$out/$isa.json")
    awk -F, -v isa="$isa" -v peak="$peak" 'BEGIN { OFS = ","; print "kernel,shape,ours,onednn,openblas,peak" }
        $5 > 0 && $1 ~ /^(gemm|conv_)/ { key = $1 "," $3; rate[key, $2] = $5; if (!(key in seen)) { seen[key]; order[++n] = key } }
        END { for (i = 1; i <= n; i++) { k = order[i]
            print k, rate[k, isa] + 0, rate[k, "onednn"] + 0, rate[k, "openblas"] + 0, peak } }' "$out/$isa.csv" >"$out/$isa-peers.csv"
}
# The inner loop of one function of an assembly listing: the shortest backward jump around an fma.
inner_loop() {
    awk -v name="$1:" '$1 == name { on = 1 } on { line[++n] = $0 } on && /\.size/ { exit }
        END { for (i = 1; i <= n; i++) if (line[i] ~ /^\.L[A-Za-z0-9]*:/) { l = line[i]; sub(/:.*/, "", l); at[l] = i }
            for (i = 1; i <= n; i++) { m = split(line[i], word); if (word[1] !~ /^(b|cb|tb)/ || !(word[m] in at) || at[word[m]] > i) continue
                fma = 0; for (j = at[word[m]]; j <= i; j++) fma += line[j] ~ /fmla/
                if (fma && (!best || i - at[word[m]] < best)) { best = i - at[word[m]]; from = at[word[m]] + 1; to = i } }
            for (i = from; i < to; i++) print line[i]; sub(/\.L.*/, ".", line[to]); print line[to] }' "$2"
}
cycles() { "$mca" -mtriple=aarch64 -mcpu="$1" -iterations=200 "$2" 2>/dev/null | awk '/^Total Cycles/ { print $3 / 200; exit }'; }
model_neon() {
    mca=$(for m in llvm-mca-19 llvm-mca-18 llvm-mca-17 llvm-mca-16 llvm-mca llvm-mca-14; do command -v $m && break; done || true)
    cc=$(command -v aarch64-linux-gnu-gcc || { [ "$(uname -m)" = aarch64 ] && command -v gcc; } || true)
    if [ -z "$mca" ] || [ -z "$cc" ]; then
        echo "kernels: no model of the NEON loops: llvm-mca or an aarch64 compiler is missing" >&2
        return
    fi
    $cc -O2 -std=gnu11 -ffp-contract=off -DQGM_SUFFIX=neon -DQGM_TARGET_NEON -Ikernels -S kernels/tile.c -o "$out/neon.s"
    i=0
    while [ $i -lt 24 ]; do echo "fmla v$i.4s, v30.4s, v31.4s"; i=$((i + 1)); done >"$out/roof.s"
    {
        echo "## NEON inner loops, modelled"
        echo
        echo "$("$mca" --version | sed -n 's/.*\(LLVM version [0-9.]*\).*/\1/p'), $($cc -dumpversion): fma a cycle, and its share of 24"
        echo "independent fma in the same model. LLVM models Neoverse cores after relatives where it has no model of their own."
        echo
        echo "| core | loop | fma | cycles | fma a cycle | share of issue |"
        echo "|---|---|---|---|---|---|"
        for core in neoverse-n1 neoverse-v1; do
            roof=$(cycles $core "$out/roof.s")
            for loop in tile_row_1_5 tile_column_1_5; do
                inner_loop $loop "$out/neon.s" >"$out/$loop.s"
                "$mca" -mtriple=aarch64 -mcpu=$core -iterations=200 -timeline -timeline-max-iterations=2 "$out/$loop.s" \
                    >"$out/$loop-$core.txt" 2>&1
                echo "$core $loop $(grep -c fmla "$out/$loop.s") $(cycles $core "$out/$loop.s") $roof" |
                    awk '{ printf "| %s | %s | %d | %.2f | %.2f | %.0f %% |\n", $1, $2, $3, $4, $3 / $4, 100 * $3 / $4 / (24 / $5) }'
            done
        done
    } >"$out/neon.md"
    rm -f "$out/roof.s" "$out/neon.s"
}

[ -n "$dry" ] || mkdir -p "$out"
export OMP_NUM_THREADS=1
list=$("$bench" --list 2>/dev/null)
isas=
for isa in neon avx512 avx2; do
    echo "$list" | grep -q "/$isa/" || continue
    isas="$isas $isa"
    case $isa in
    avx512) OPENBLAS_CORETYPE=SkylakeX measure avx512 '/(avx512|onednn|openblas)/.*' ;;
    avx2) OPENBLAS_CORETYPE=Haswell ONEDNN_MAX_CPU_ISA=AVX2 measure avx2 '(gemm|conv).*/(avx2|onednn|openblas)/.*' ;;
    neon) measure neon '/(neon|onednn|openblas)/.*' ;;
    esac
done
[ -z "$dry" ] || exit 0
model_neon

{
    echo "# Kernels"
    echo
    echo "\`./paper/run kernels --scale $scale\`: one thread, medians of $repeats interleaved runs"
    for isa in $isas; do
        echo
        sed -n 's/^ *"\(cpu\|commit\|compiler\|governor\|load_average\|triad\|'"$isa"'\)": "\(.*\)",*$/    \1: \2/p' "$out/$isa.json" | tr -d '\\"'
        echo
        echo "## $isa: effective rate over the fma peak, and over each peer"
        echo
        echo "| kernel | rows | share of peak | over oneDNN | worst | over OpenBLAS | worst |"
        echo "|---|---|---|---|---|---|---|"
        awk -F, 'function add(what, x, shape) { sum[$1, what] += log(x); num[$1, what]++
                if (!(($1, what) in low) || x < low[$1, what]) { low[$1, what] = x; where[$1, what] = shape } }
            function mean(k, what) { return num[k, what] ? sprintf("%.2f", exp(sum[k, what] / num[k, what])) : "" }
            function worst(k, what) { return num[k, what] ? sprintf("%.2f %s", low[k, what], where[k, what]) : "" }
            NR > 1 && $3 > 0 { if (!($1 in seen)) { seen[$1]; order[++n] = $1 } add("peak", $3 / $6, $2)
                if ($4 > 0) add("onednn", $3 / $4, $2); if ($5 > 0) add("openblas", $3 / $5, $2) }
            END { for (i = 1; i <= n; i++) { k = order[i]
                printf "| %s | %d | %s | %s | %s | %s | %s |\n", k, num[k, "peak"], mean(k, "peak"), mean(k, "onednn"),
                    worst(k, "onednn"), mean(k, "openblas"), worst(k, "openblas") } }' "$out/$isa-peers.csv"
        echo
        echo "| kernel | shape | ours GFLOP/s | oneDNN | OpenBLAS | share of peak |"
        echo "|---|---|---|---|---|---|"
        awk -F, 'function show(x) { return x == 0 ? "" : sprintf("%.1f", x) }
            NR > 1 { printf "| %s | %s | %s | %s | %s | %.2f |\n", $1, $2, show($3), show($4), show($5), $3 / $6 }' "$out/$isa-peers.csv"
    done
    echo
    echo "## What streams"
    echo
    echo "| kernel | impl | shape | µs | GB/s | share of roof |"
    echo "|---|---|---|---|---|---|"
    for isa in $isas; do
        awk -F, 'NR > 1 && $1 !~ /^(gemm|conv_)/ { printf "| %s | %s | %s | %.4g | %.1f | %s |\n", $1, $2, $3, $4 / 1000, $6,
            $7 == "" ? "" : sprintf("%.2f", $7) }' "$out/$isa.csv"
    done
    echo
    if [ -f "$out/neon.md" ]; then cat "$out/neon.md"; fi
} >"$out/kernels.md"
cat "$out/kernels.md"
if command -v gnuplot >/dev/null; then
    for isa in $isas; do
        gnuplot -e "out='$out'; plots='plots'; isa='$isa'" plots/kernels.gp
        triad=$(sed -n 's/.*"triad": "\([0-9.]*\) GB.*/\1/p' "$out/$isa.json")
        peak=$(sed -n "s/.*\"$isa\": \"\([0-9.]*\) GFLOP.*/\1/p" "$out/$isa.json")
        gnuplot -e "out='$out'; plots='plots'; isa='$isa'; peak=$peak; triad=$triad" plots/roofline.gp
    done
    echo "kernels: tables and figures are in $out" >&2
else
    echo "kernels: tables are in $out; no figures: gnuplot is not installed" >&2
fi
