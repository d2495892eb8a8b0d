#!/bin/sh
# Examples per second of fine-tuning MiniLM-L6 (128 tokens) and training ResNet-18 (224 px), batch 32, against PyTorch
# Rounds of all programs in turn, so that what else the machine does falls on all alike; medians over the rounds.
# "gradient": forward and backward; "step": with the optimiser, here Adam and momentum SGD of as many clients as threads
# on a ring, there torch.optim's on one model.
# Results stay in rounds.csv: a second run of the same build and scale adds the rounds that lack.
#   usage: ./paper/run finetune-speed [--scale smoke|laptop|paper] [--rounds N] [--models 'minilm-l6 resnet18']
#          [--out DIR] [--dry-run]
# PyTorch (Debian: python3-torch) is measured where python3 has it: $TORCH_PYTHON names another interpreter.
# SPDX-License-Identifier: MIT
set -eu
scale=laptop out=paper/out/finetune-speed models='minilm-l6 resnet18' dry= only=
while [ $# -gt 0 ]; do
    case $1 in
    --scale) scale=${2:?--scale wants smoke, laptop or paper}; shift ;;
    --rounds) only=${2:?--rounds wants a number}; shift ;;
    --models) models=${2:?--models wants a list}; shift ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --dry-run) dry=1 ;;
    *) echo "finetune-speed: unknown argument '$1' (see paper/finetune-speed.sh)" >&2; exit 2 ;;
    esac
    shift
done
case $scale in
smoke) rounds=1 steps=1 ;;
laptop) rounds=5 steps=3 ;;
paper) rounds=9 steps=7 ;;
*) echo "finetune-speed: --scale $scale: expected smoke, laptop or paper" >&2; exit 2 ;;
esac
rounds=${only:-$rounds}
cores=$(nproc)
[ "$cores" = 1 ] && threads=1 || threads="1 $cores"
python=
for p in ${TORCH_PYTHON:-python3 /usr/bin/python3}; do
    if "$p" -c 'import torch' 2>/dev/null; then python=$p; break; fi
done
[ -n "$python" ] || echo "finetune-speed: no PyTorch here (Debian: python3-torch); ours alone" >&2
echo "plan    $rounds rounds, threads $threads, models $models; results in $out"
[ -z "$dry" ] || exit 0
mkdir -p "$out"
all=$out/rounds.csv raw=$out/round.csv # of this round
# Rounds of other lengths, builds or machines are not added up.
of="steps $steps, $("$QGM_BIN/qgm-train" --version | head -n 1), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
if [ -s "$all" ] && [ "$(cat "$out/rounds-of.txt" 2>/dev/null)" != "$of" ]; then
    echo "finetune-speed: $all holds rounds of '$(cat "$out/rounds-of.txt" 2>/dev/null)', these would be of '$of': give another --out, or remove it" >&2
    exit 1
fi
echo "$of" >"$out/rounds-of.txt"
[ -s "$all" ] || echo "round,model,threads,what,examples_per_s" >"$all"

# Texts of more than 128 tokens, from a vocabulary of BERT's size. 256 examples, as of the images: 8 batches an epoch.
awk 'BEGIN { print "[PAD]\n[UNK]\n[CLS]\n[SEP]"; for (i = 4; i < 30522; i++) print "w" i }' >"$out/vocab.txt"
awk 'BEGIN { srand(1); for (i = 0; i < 256; i++) { printf "%d,w4", i % 4 + 1
    for (k = 0; k < 140; k++) printf " w%d", 4 + int(rand() * 30518); print "" } }' >"$out/texts.csv"
# Records of every step, so that the first, which touches all memory for the first time, is left out here as it is there.
ours() { # ROUND MODEL THREADS
    case $2 in
    minilm-l6) data="csv:$out/texts.csv,$out/texts.csv,vocab=$out/vocab.txt,test=1" algo=dadam ;;
    *) data="synthetic:n=256,test=1,size=224,classes=1000" algo=dsgdm-n ;;
    esac
    run=$out/run.$2.$3
    OMP_NUM_THREADS=$3 "$QGM_BIN/qgm-train" --dataset "$data" --model "$2" --algo $algo --partition iid --batch 32 \
        --lr 1e-5 --clients "$3" --steps $((steps + 1)) --threads "$3" --eval-every "$(echo "$3" | awk '{ print $1 / 8 }')" \
        --quiet --out "$run" --force >/dev/null
    awk -F, -v r="$1" -v m="$2" -v t="$3" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        NR == 2 { step = $at["step"]; train = $at["train_seconds"]; gradient = $at["gradient_seconds_per_thread"] }
        END {
            examples = 32 * t * ($at["step"] - step)
            printf "%s,%s,%s,gradient,%.2f\n", r, m, t, examples / ($at["gradient_seconds_per_thread"] - gradient)
            printf "%s,%s,%s,step,%.2f\n", r, m, t, examples / ($at["train_seconds"] - train)
        }' "$run/metrics.csv" >>"$raw"
}
theirs() { # ROUND MODEL THREADS: prints what,rate lines
    OMP_NUM_THREADS=$3 "$python" paper/peers/torch_finetune.py "$2" "$3" $steps | sed "s/^/$1,$2,$3,/" >>"$raw"
}
round=$(($(awk -F, 'NR > 1 && $1 > last { last = $1 } END { print last + 0 }' "$all") + 1))
while [ $round -le $rounds ]; do
    : >"$raw"
    for t in $threads; do
        for model in $models; do
            printf '\rround %d of %d: %s threads, %-10s' $round $rounds "$t" "$model" >&2
            ours $round "$model" "$t"
            [ -z "$python" ] || theirs $round "$model" "$t"
        done
    done
    cat "$raw" >>"$all"
    round=$((round + 1))
done
printf '\n' >&2

# Medians, and the ratio to the faster of PyTorch's two ways.
sort -t, -k2,2 -k3,3n -k4,4 -k5,5n "$all" | awk -F, '
    $1 == "round" { next }
    { key = $2 FS $3 FS $4; n[key]++; v[key, n[key]] = $5; if ($4 == "step") cases[$2 FS $3] = 1 }
    function median(key) { return n[key] ? (v[key, int((n[key] + 1) / 2)] + v[key, int(n[key] / 2) + 1]) / 2 : 0 }
    function best(a, b) { return a > b ? a : b }
    function theirs(c, what) {
        return best(best(median(c FS "torch-" what), median(c FS "torch-nhwc-" what)), median(c FS "torch-fused-" what))
    }
    function ratio(a, b) { return b ? sprintf("%.2f", a / b) : "" }
    END {
        print "model,threads,gradient_per_s,step_per_s,torch_gradient_per_s,torch_step_per_s,gradient_ratio,step_ratio"
        for (c in cases) {
            g = median(c FS "gradient"); s = median(c FS "step")
            tg = theirs(c, "gradient"); ts = theirs(c, "step")
            printf "%s,%.2f,%.2f,%.2f,%.2f,%s,%s\n", c, g, s, tg, ts, ratio(g, tg), ratio(s, ts)
        }
    }' >"$out/summary.unsorted"
{ head -n 1 "$out/summary.unsorted"; tail -n +2 "$out/summary.unsorted" | sort -t, -k1,1 -k2,2n; } >"$out/summary.csv"
rm -f "$raw" "$out/summary.unsorted" "$out/vocab.txt" "$out/texts.csv"
"$QGM_BIN/qgm-train" --version >"$out/machine.txt"
awk -F, 'NR == 1 { print "| model | threads | gradient, examples/s | whole step | PyTorch, gradient | PyTorch, step | ratio | ratio of steps |"
                   print "|---|---|---|---|---|---|---|---|"; next }
    { printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6, $7, $8 }' "$out/summary.csv" | tee "$out/summary.md"
