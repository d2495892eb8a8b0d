#!/bin/sh
# A run that survives anything: killed at random instants and taken up again it ends as the undisturbed one, with the
# same digest and the same metrics except times. Damaged checkpoints fall back, other flags are refused.
# usage: kills.sh FOLDER-OF-PROGRAMS [KILLS]
set -u
bin=$1
kills=${2:-6}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    tail -n 3 stderr.txt 2>/dev/null | sed 's/^/    /'
}
good() { passed=$((passed + 1)); }

# untimed FILE: metrics.csv without the columns that are measured times.
untimed() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) keep[i] = $i == "simulated_seconds" || $i !~ /seconds|per_s$/ }
        { for (i = 1; i <= NF; i++) if (keep[i]) printf "%s,", $i; print "" }' "$1"
}
seed=${SEED:-1}
random() { # LIMIT: 0 ... LIMIT - 1, reproducible
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    echo $((seed / 65536 % $1))
}

# killed NAME KILLS FLAGS: compare a run that is killed again and again with one that is not.
killed() {
    name=$1 count=$2
    shift 2
    "$bin/qgm-train" "$@" --quiet --out "$name-whole" >whole.txt 2>stderr.txt || { fail "$name: undisturbed"; return; }
    i=0 ended=no
    while [ $i -lt "$count" ]; do
        i=$((i + 1))
        # Another instruction set and number of threads each time: the same bits.
        threads=$((1 + $(random 3))) isa=auto
        [ "$(random 2)" = 1 ] && isa=scalar
        "$bin/qgm-train" "$@" --quiet --out "$name" --resume --threads $threads --isa $isa >out.txt 2>stderr.txt &
        process=$!
        sleep "0.$(printf %03d $((30 + $(random 400))))"
        signal=KILL
        [ "$(random 3)" = 0 ] && signal=INT
        kill -$signal $process 2>/dev/null
        wait $process 2>/dev/null
        code=$?
        if [ $code = 0 ]; then ended=yes; break; fi
        if [ -e "$name" ]; then # killed after its last deed: the record is whole
            grep -q '"record":"end"' "$name/run.jsonl" || { fail "$name: a folder under its name before the run has ended"; return; }
            sed -n 's/.*"record":"end".*"digest":"\([0-9a-f]*\)".*/digest \1/p' "$name/run.jsonl" >out.txt
            rm -f "$name"/checkpoint-* # the very last deed: under its name the record needs them no more
            ended=yes
            break
        fi
        [ $signal = INT ] && [ $code = 1 ] && ! grep -q 'with --resume goes on' stderr.txt && fail "$name: no word on how to go on"
    done
    [ $ended = yes ] || "$bin/qgm-train" "$@" --quiet --out "$name" --resume >out.txt 2>stderr.txt || fail "$name: the last part"
    cmp -s whole.txt out.txt || fail "$name: after $i kills $(cat out.txt), undisturbed $(cat whole.txt)"
    untimed "$name-whole/metrics.csv" >a.txt
    untimed "$name/metrics.csv" >b.txt
    cmp -s a.txt b.txt || fail "$name: metrics differ: $(diff a.txt b.txt | head -n 4)"
    [ "$(grep -c '"record":"evaluation"' "$name/run.jsonl")" = "$(($(wc -l <"$name/metrics.csv") - 1))" ] || fail "$name: lines of run.jsonl"
    [ "$(grep -c '"record":"end"' "$name/run.jsonl")" = 1 ] || fail "$name: no end in run.jsonl"
    [ -e "$name.part" ] && fail "$name.part was left"
    [ "$(ls "$name")" = "$(ls "$name-whole")" ] || fail "$name: files: $(ls "$name")"
    for f in "$name-whole"/*.safetensors; do # of --save
        [ ! -e "$f" ] || cmp -s "$f" "$name/${f##*/}" || fail "$name: ${f##*/} differs"
    done
    good
}
small="--dataset synthetic:n=800,test=100 --clients 4 --batch 8 --eval-every 1 --checkpoint-every 5"
# shellcheck disable=SC2086  # $small is meant to split
{
killed qg "$kills" $small --algo qg-dsgdm-n --model resnet8:norm=bn --steps 40 --dataset synthetic:n=400,test=50 --save average --save-every 0.5
killed push $((kills / 3)) $small --algo sgpm-n --model mlp --topology one-peer-exponential --steps 250 --checkpoint-every 0.05s
killed relay $((kills / 3)) $small --algo relaysgdm --topology chain --model mlp --steps 250 --checkpoint-every 10 \
    --drop 0.1 --crash 0.01 --network ethernet:spread=0.3
killed late $((kills / 3)) $small --algo gt --lr 0.02 --model mlp --steps 200 --checkpoint-every 10 --stale 0.5 --stale-steps 3 --crash 0.01
killed choco $((kills / 3)) $small --algo qg-choco --model mlp --steps 100 --checkpoint-every 10
killed norm $((kills / 3)) $small --algo qg-dadam --model mlp --lr 0.01 --steps 150 --checkpoint-every 10

# A run that is interrupted once, to be taken up in all sorts of ways.
part="--dataset synthetic:n=400,test=50 --clients 4 --batch 8 --model mlp --eval-every 0.2 --checkpoint-every 20"
"$bin/qgm-train" $part --steps 60 --quiet >whole.txt
"$bin/qgm-train" $part --steps 100000000 --eval-every 0 --quiet --out run >out.txt 2>first.txt &
process=$!
while [ "$(ls run.part 2>/dev/null | grep -c 'checkpoint-.*s$')" -lt 2 ]; do sleep 0.02; done
"$bin/qgm-train" $part --steps 100000000 --eval-every 0 --quiet --out run --resume >out.txt 2>stderr.txt && fail "two at once"
grep -q 'another process is writing to run.part' stderr.txt && good || fail "two processes, one record"
kill -TERM $process
wait $process
[ $? = 1 ] && grep -q 'interrupted at step.*the same command with --resume goes on' first.txt && good || fail "interrupted: $(cat first.txt)"
[ "$(ls run.part | wc -l)" = 4 ] && good || fail "not two checkpoints and two files: $(ls run.part)"

refuse() { # WORDS FLAGS
    words=$1
    shift
    "$bin/qgm-train" $part --quiet --out run "$@" >out.txt 2>stderr.txt && fail "accepted: $*"
    if grep -qE -- "$words" stderr.txt && [ "$(wc -l <stderr.txt)" = 1 ] && [ -e run.part ]; then good; else fail "$*: wanted $words"; fi
}
same="--steps 100000000 --eval-every 0"
refuse 'run.part holds the same or another run.*--resume takes it up' $same
refuse -- '--lr 0.1 then, 0.2 now; --seed 1 then, 2 now' $same --lr 0.2 --seed 2 --resume
refuse -- '--steps 100000000 then, 7 now' --eval-every 0 --steps 7 --resume
refuse -- '--bits-dialect sent then, lin2021 now' $same --bits-dialect lin2021 --resume
newest=$(ls run.part | sort | grep checkpoint | tail -n 1)
older=$(ls run.part | sort | grep checkpoint | head -n 1)
cp -r run.part saved
for damage in cut flip empty foreign; do
    rm -rf run.part
    cp -r saved run.part
    case $damage in
    cut) head -c 5000 "saved/$newest" >"run.part/$newest" ;;
    flip) printf 'X' | dd of="run.part/$newest" bs=1 seek=20000 conv=notrunc 2>stderr.txt ;;
    empty) : >"run.part/$newest" ;;
    foreign) printf '\020\0\0\0\0\0\0\0{"a": [1, 2, 3]}' >"run.part/$newest" ;;
    esac
    "$bin/qgm-train" $part $same --out run --resume >out.txt 2>stderr.txt &
    process=$!
    sleep 0.3
    kill -INT $process
    wait $process
    grep -q "note: run.part/$newest: .*: the one before it is used" stderr.txt && good || fail "$damage: no note"
done
rm -rf run.part
cp -r saved run.part
: >"run.part/$newest"
: >"run.part/$older"
refuse 'no checkpoint can be used' $same --resume
"$bin/qgm-train" $part --steps 60 --quiet --out run --force >out.txt 2>stderr.txt && cmp -s out.txt whole.txt && good || fail "--force starts anew"

# Other texts in the same files are other data.
printf '[UNK]\n[CLS]\n[SEP]\ngood\nbad\nvery\n' >vocab.txt
for _ in 1 2 3 4 5 6 7 8; do printf '1,good,very good\n2,bad,bad\n'; done >texts.csv
texts="--dataset csv:texts.csv,texts.csv,length=4 --model bert-tiny:width=16,heads=2,inner=32 --clients 2 --batch 4 --quiet --out texts"
"$bin/qgm-train" $texts --steps 1000000 --eval-every 0 --checkpoint-every 5 >out.txt 2>first.txt &
process=$!
while [ "$(ls texts.part 2>/dev/null | grep -c 'checkpoint-.*s$')" -lt 2 ]; do sleep 0.02; done
kill -TERM $process
wait $process
sed -i '1s/,good/,bad/' texts.csv
"$bin/qgm-train" $texts --steps 1000000 --eval-every 0 --resume >out.txt 2>stderr.txt && fail "other texts are taken up"
grep -q 'training data are not those the run was begun on' stderr.txt && good || fail "other texts"

# A full disk under a checkpoint is a warning; the run goes on.
if mkdir full && mount -t tmpfs -o size=48k tmpfs full 2>/dev/null; then
    "$bin/qgm-train" $part --steps 60 --eval-every 0 --out full/run >out.txt 2>stderr.txt && grep -q 'warning: no checkpoint at step 20' stderr.txt &&
        [ "$(tail -n 1 out.txt)" = "$(cat whole.txt)" ] && good || fail "a full disk"
    umount full
fi

# A study that is interrupted in the middle of its runs takes these up too.
cat >study.yaml <<'YAML'
title: interrupted
base: {dataset: "synthetic:n=800,test=100", model: mlp, clients: 4, batch: 8, steps: 200, partition: iid, eval-every: 1, checkpoint-every: 20}
vary: {seed: [1, 2]}
series:
  - {label: DSGD, set: {algo: dsgd}}
  - {label: QG, set: {algo: qg-dsgdm-n}}
YAML
"$bin/qgm-study" study.yaml --out whole --jobs 2 --quiet >out.txt 2>stderr.txt || fail "the study"
i=0
while [ $i -lt $((kills / 2)) ]; do
    i=$((i + 1))
    # In its own session, so that the signal reaches the runs as Ctrl-C does; or to the study alone.
    setsid "$bin/qgm-study" study.yaml --out st --jobs 2 --quiet >out.txt 2>stderr.txt &
    process=$!
    sleep "0.$(printf %03d $((100 + $(random 300))))"
    case $(random 4) in
    0) kill -INT -$process ;;
    1) kill -INT $process ;;
    2) kill -TERM $process ;;
    *) kill -KILL -$process ;;
    esac 2>/dev/null
    wait $process 2>/dev/null
done
"$bin/qgm-study" study.yaml --out st --jobs 2 --quiet >out.txt 2>stderr.txt || fail "the study, taken up"
for run in whole/runs/*; do
    grep -o '"digest":"[0-9a-f]*"' "$run/run.jsonl" >a.txt
    grep -o '"digest":"[0-9a-f]*"' "st/runs/$(basename "$run")/run.jsonl" >b.txt
    cmp -s a.txt b.txt && good || fail "study: $run"
done
ls -d st/runs/*.part >/dev/null 2>&1 && fail "the study left $(ls -d st/runs/*.part)"

# A signal to the study alone, as a batch system sends it, ends its runs too, long before they would end by themselves.
sed 's/steps: 200/steps: 20000000/' study.yaml >endless.yaml
for signal in TERM INT; do
    "$bin/qgm-study" endless.yaml --out "endless-$signal" --jobs 2 --quiet >out.txt 2>stderr.txt &
    process=$!
    while kill -0 $process && ! ls endless-$signal/runs/*.part/metrics.csv; do sleep 0.1; done >/dev/null 2>&1
    kill -$signal $process
    timeout 60 tail -f /dev/null --pid=$process || { fail "study: $signal to it alone"; kill -KILL $process; }
    wait $process
    [ $? = 1 ] && grep -q 'the same command goes on' stderr.txt && ls endless-$signal/runs/*.part/checkpoint-* >/dev/null && good || fail "study: after $signal"
done
}
echo "kills: $passed passed, $failed failed"
[ $failed = 0 ]
