#!/bin/sh
# Images per second of ResNet-20 training, batch 32, against PyTorch on the same cores
# Rounds of all programs in turn, so that what else the machine does falls on all alike; medians over the rounds.
# "gradient": forward and backward alone; "step": the whole decentralised step of 16 clients, QG-DSGDm-N on a ring.
#   usage: ./paper/run train-speed [--scale smoke|laptop|paper] [--out DIR] [--dry-run]
# PyTorch (Debian: python3-torch) is measured where python3 has it: $TORCH_PYTHON names another interpreter.
set -eu
scale=laptop out=paper/out/train-speed dry=no
while [ $# -gt 0 ]; do
    case $1 in
    --scale) scale=${2:?--scale wants smoke, laptop or paper}; shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=yes ;;
    *) echo "train-speed: unknown argument '$1' (--scale smoke|laptop|paper, --out DIR, --dry-run)" >&2; exit 2 ;;
    esac
    shift
done
case $scale in
smoke) rounds=1 steps=4 ;;
laptop) rounds=9 steps=6 ;;
paper) rounds=21 steps=30 ;;
*) echo "train-speed: --scale $scale: expected smoke, laptop or paper" >&2; exit 2 ;;
esac
cores=$(nproc)
[ "$cores" = 1 ] && threads=1 || threads="1 $cores"
python=
for p in ${TORCH_PYTHON:-python3 /usr/bin/python3}; do
    if "$p" -c 'import torch' 2>/dev/null; then python=$p; break; fi
done
[ -n "$python" ] || echo "train-speed: no PyTorch here (Debian: python3-torch); ours alone" >&2
echo "plan    $rounds rounds, threads $threads, norms bn gn evonorm; results in $out"
[ $dry = no ] || exit 0
mkdir -p "$out"
raw=$out/rounds.csv
echo "round,norm,threads,what,images_per_s" >"$raw"

model_of() { case $1 in bn) echo resnet20 ;; gn) echo resnet20:norm=gn ;; *) echo resnet20-evonorm ;; esac; }
ours() { # ROUND NORM THREADS
    run=$out/run.$2.$3
    OMP_NUM_THREADS=$3 "$QGM_BIN/qgm-train" --dataset synthetic:n=2048,test=16,size=32 --model "$(model_of "$2")" \
        --clients 16 --steps $steps --threads "$3" --eval-every 0 --quiet --out "$run" --force >/dev/null
    # Images trained on = rate x time; the gradient's share of the time is busy seconds, mean over threads.
    awk -F, -v r="$1" -v n="$2" -v t="$3" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } END {
        rate = $at["train_images_per_s"]; images = rate * $at["train_seconds"]
        printf "%s,%s,%s,gradient,%.1f\n%s,%s,%s,step,%.1f\n", r, n, t, images / $at["gradient_seconds_per_thread"], r, n, t, rate
    }' "$run/metrics.csv" >>"$raw"
}
theirs() { # ROUND NORM THREADS LAYOUT
    rate=$(OMP_NUM_THREADS=$3 "$python" paper/peers/torch_train.py "$2" "$4" "$3" $((steps * 3)))
    echo "$1,$2,$3,torch-$4,$rate" >>"$raw"
}
round=1
while [ $round -le $rounds ]; do
    for t in $threads; do
        for norm in bn gn evonorm; do
            printf '\rround %d of %d: %s threads, %-8s' $round $rounds "$t" $norm >&2
            ours $round $norm "$t"
            [ -z "$python" ] || for layout in nchw nhwc; do theirs $round $norm "$t" $layout; done
        done
    done
    round=$((round + 1))
done
printf '\n' >&2

# Medians, and the ratio to the faster of PyTorch's layouts with batch norm (its fastest network) and with this norm.
sort -t, -k2,2 -k3,3n -k4,4 -k5,5n "$raw" | awk -F, -v OFS=, '
    $1 == "round" { next }
    { key = $2 FS $3 FS $4; n[key]++; v[key, n[key]] = $5 }
    function median(key) { return n[key] ? (v[key, int((n[key] + 1) / 2)] + v[key, int(n[key] / 2) + 1]) / 2 : 0 }
    function best(norm, t, a, b) { a = median(norm FS t FS "torch-nchw"); b = median(norm FS t FS "torch-nhwc"); return a > b ? a : b }
    END {
        print "norm,threads,gradient_images_per_s,step_images_per_s,torch_images_per_s,torch_bn_images_per_s,ratio,ratio_to_torch_bn,step_over_gradient"
        split("bn gn evonorm", norms, " ")
        for (i = 1; i <= 3; i++) for (key in n) {
            split(key, p, FS)
            if (p[1] != norms[i] || p[3] != "gradient") continue
            g = median(key); s = median(p[1] FS p[2] FS "step"); own = best(p[1], p[2]); bn = best("bn", p[2])
            print p[1], p[2], g, s, own ? own : "nan", bn ? bn : "nan", own ? g / own : "nan", bn ? g / bn : "nan", s / g
        }
    }' >"$out/summary.unsorted"
{ head -n 1 "$out/summary.unsorted"; tail -n +2 "$out/summary.unsorted" | sort -s -t, -k2,2n; } >"$out/summary.csv"
rm -f "$out/summary.unsorted"
"$QGM_BIN/qgm-train" --version >"$out/machine.txt"
awk -F, 'NR == 1 { print "| norm | threads | gradient, images/s | whole step | PyTorch | PyTorch, batch norm | ratio | ratio to its batch norm | step / gradient |"
                   print "|---|---|---|---|---|---|---|---|---|"; next }
    { printf "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f | %.3f |\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }' "$out/summary.csv" | tee "$out/summary.md"
if command -v gnuplot >/dev/null; then
    gnuplot -e "out='$out'; plots='plots'" plots/train-speed.gp
    echo "figure  $out/train-speed.svg .png"
else
    echo "train-speed: tables are in $out; no figures: gnuplot is not installed" >&2
fi
