#!/bin/sh
# One seed, one digest: in one process and in 1, 2, 3, 4, 8 and 16 of them, under every MPI of this build, for one
# algorithm of each kind on static and time-varying graphs; and what a group does besides: records, checkpoints that any
# number of processes take up, complaints, death.
#   usage: mpi.sh FOLDER-OF-PROGRAMS FOLDER-OF-PLUGINS [long]      without "long" some of the numbers of processes only
set -u
bin=$1 here=$(cd "$(dirname "$0")" && pwd)
plugins=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    [ -f stderr.txt ] && grep -v '^ *$' stderr.txt | head -n 5 | sed 's/^/    /'
}
good() { passed=$((passed + 1)); }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_base_warn_component_unused=0

kinds=
for kind in openmpi mpich; do
    [ -f "$plugins/qgm-mpi-$kind.so" ] && command -v "mpirun.$kind" >/dev/null && kinds="$kinds $kind"
done
[ -n "$kinds" ] || { echo "mpi: skipped: this build has no MPI (cmake/deps optional installs them)"; exit 77; }

launch() { # KIND PROCESSES FLAGS
    kind=$1 n=$2
    shift 2
    timeout 120 "mpirun.$kind" -n "$n" "$bin/qgm-train" "$@" </dev/null
}
untimed() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) keep[i] = $i == "simulated_seconds" || $i !~ /seconds|per_s$/ }
        { for (i = 1; i <= NF; i++) if (keep[i]) printf "%s,", $i; print "" }' "$1"
}

telemetry() { # to the last digit
    grep -oE '"(consensus_distance|mean_model_norm|gradient_dissimilarity_zeta2|mean_gradient_norm|momentum_gradient_cosine)":[^,}]*' "$1/run.jsonl"
}

# ---- Digests: 16 clients, a vector of several panels ----
common="--dataset synthetic:n=480,test=40 --model mlp:hidden=24 --clients 16 --batch 8 --quiet"
cases='--algo dsgd --topology ring --steps 3
--algo gt --topology one-peer-exponential --steps 3 --force-pairing
--algo gt --topology torus --steps 3
--algo sgp --topology exponential --steps 3
--algo sgp --topology one-peer-exponential --steps 4
--algo choco --topology davis --clients 32 --steps 2 --batch 4
--algo relaysgdm --topology binary-tree --steps 4
--algo relaysgdm-n:local=2 --topology chain --steps 7 --drop 0.1
--algo qg-choco:local=3 --topology ring --steps 7
--algo qg-dsgdm-n --topology random-matching --steps 3
--algo qg-dadam --topology ring --steps 2 --lr 0.01
--algo qg-dsgdm-n --topology ring --steps 6 --drop 0.2 --crash 0.1 --crash-steps 2
--algo relaysgdm --topology binary-tree --steps 6 --drop 0.2 --fail-links 0.1 --crash 0.1 --crash-steps 2
--algo sgp --topology one-peer-exponential --steps 6 --drop 0.2
--algo qg-dsgdm-n --topology ring --steps 8 --stale 0.5 --stale-steps 3
--algo gt --topology torus --steps 8 --stale 0.4 --stale-steps 2 --drop 0.1 --crash 0.05 --crash-steps 2
--algo dsgd:local=2 --topology random-matching --steps 8 --stale 0.5 --stale-steps 2
--algo sgd-central --topology ring --steps 2
--algo dpsgd --topology ring --steps 4
--algo dmsgd --topology one-peer-exponential --steps 6 --drop 0.1 --crash 0.1 --crash-steps 2
--algo dpsgd:local=2 --topology random-matching --steps 6 --stale 0.5 --stale-steps 2
--algo qg-dsgdm --topology ring --model resnet8:norm=bn --clients 16 --steps 1 --batch 2'
echo "$cases" >cases.txt
mode=${3:-short}
counts() { # KIND FLAGS
    case $mode/$1/$2 in
    long/*) echo 1 2 3 4 8 16 ;;
    short/openmpi/*one-peer-exponential* | short/openmpi/*ring*dsgd* | short/openmpi/*binary*) echo 1 2 4 8 16 ;;
    short/openmpi/*) echo 2 3 ;;
    short/*--stale*) echo 2 4 ;;
    *) echo 3 ;;
    esac
}
while read -r flags; do
    # shellcheck disable=SC2086  # flags are meant to split
    for kind in $kinds; do
        want=$("$bin/qgm-train" $common $flags --threads 2 2>stderr.txt)
        for n in $(counts "$kind" "$flags"); do
            threads=1
            [ $n = 2 ] && threads=2
            # Some send messages, some share memory, some both.
            share=$n
            case $n in 3) share=1 ;; 4 | 8) share=2 ;; esac
            export QGM_MPI_SHARE=$share
            got=$(launch "$kind" $n $common $flags --threads $threads 2>stderr.txt)
            [ -n "$want" ] && [ "$got" = "$want" ] && good || fail "$kind, $n processes: $flags: $got, alone $want"
        done
    done
done <cases.txt
# Exchanges that stand: static graphs, one that comes back, one that never does, sends before the gradients.
export QGM_MPI_SHARE=1 QGM_MPI_STANDING=1
while read -r n threads flags; do
    # shellcheck disable=SC2086
    for kind in $kinds; do
        [ $kind = openmpi ] || continue
        want=$("$bin/qgm-train" $common $flags --threads 2 2>stderr.txt)
        got=$(launch "$kind" $n $common $flags --threads $threads 2>stderr.txt)
        [ -n "$want" ] && [ "$got" = "$want" ] && good || fail "$kind, $n processes, standing: $flags: $got, alone $want"
    done
done <<'RUNS'
3 1 --algo gt --topology torus --steps 5
2 2 --algo qg-dsgdm-n --topology ring --steps 6 --drop 0.02
4 1 --algo sgp --topology one-peer-exponential --steps 4
3 1 --algo dpsgd --topology ring --steps 5
4 1 --algo dpsgd:local=2 --topology ring --steps 7
RUNS
# Threads that begin to stand at the same time, in Open MPI: one try in three crashed.
case $kinds in *openmpi*)
    wide="--dataset synthetic:n=64,test=8,size=32 --model mlp:hidden=512 --clients 8 --batch 2 --steps 2 --quiet --algo slowmo:tau=2 --topology complete"
    want=$("$bin/qgm-train" $wide --threads 2 2>stderr.txt)
    for try in 1 2 3 4 5 6; do
        got=$(OMPI_MCA_btl=tcp,self launch openmpi 4 $wide --threads 2 2>stderr.txt)
        [ -n "$want" ] && [ "$got" = "$want" ] && good || fail "openmpi, standing, try $try of two threads at once: $got, alone $want"
    done ;;
esac
case $kinds in *mpich*)
    launch mpich 2 $common --algo dsgd --topology ring --steps 2 >b.txt 2>stderr.txt
    grep -qE '^digest|no persistent neighbourhood collectives that work' b.txt stderr.txt && good || fail "mpich: standing exchanges" ;;
esac
QGM_MPI_STANDING=yes launch "${kinds##* }" 2 $common --algo dsgd --topology ring --steps 2 >b.txt 2>stderr.txt
grep -q 'QGM_MPI_STANDING=yes: expected 0 or 1' stderr.txt && good || fail "QGM_MPI_STANDING=yes was accepted"
unset QGM_MPI_SHARE QGM_MPI_STANDING

for kind in $kinds; do
    # ---- Records: the same lines, except times ----
    run="--dataset synthetic:n=480,test=40 --model resnet8:norm=bn --clients 5 --batch 8 --topology complete --network wan --steps 8 --eval-every 0.3 --threads 1"
    # shellcheck disable=SC2086
    {
    "$bin/qgm-train" $run --quiet --out "alone-$kind" --save clients --save-every 0.3 >a.txt 2>stderr.txt
    launch "$kind" 3 $run --quiet --out "three-$kind" --save clients --save-every 0.3 >b.txt 2>stderr.txt
    cmp -s a.txt b.txt && good || fail "$kind: digest of a recorded run"
    untimed "alone-$kind/metrics.csv" >a.txt
    untimed "three-$kind/metrics.csv" >b.txt
    cmp -s a.txt b.txt && good || fail "$kind: metrics: $(diff a.txt b.txt | head -n 4)"
    # Telemetry is summed in the order in which clients are through a step, some at a time: the same in processes.
    for flags in "--algo gt --topology torus" "--algo gt-nsgdm --topology ring" "--algo qg-dsgdm-n --topology random-matching" "--algo qg-dadam --topology ring" "--algo sgd-central --topology ring"; do
        many="--dataset synthetic:n=480,test=40 --model mlp:hidden=24 --clients 36 --batch 4 --steps 3 --eval-every 0.01 --quiet --force-pairing $flags"
        rm -rf one many
        "$bin/qgm-train" $many --threads 2 --out one >a.txt 2>stderr.txt
        launch "$kind" 3 $many --threads 1 --out many >b.txt 2>stderr.txt
        telemetry one >a.txt
        telemetry many >b.txt
        [ -s a.txt ] && cmp -s a.txt b.txt && good || fail "$kind: telemetry of 36 clients: $flags: $(diff a.txt b.txt | head -n 4)"
    done
    for f in average client-0 client-4 average-step-4 client-4-step-4; do
        cmp -s "alone-$kind/$f.safetensors" "three-$kind/$f.safetensors" && good || fail "$kind: $f.safetensors"
    done

    # ---- A process that dies takes the job with it; any number of processes goes on ----
    long="--dataset synthetic:n=480,test=40 --model mlp:hidden=24 --clients 6 --batch 8 --topology chain --algo relaysgdm --checkpoint-every 50 --threads 1 --quiet"
    [ -n "${long_want:-}" ] || long_want=$("$bin/qgm-train" $long --steps 4000) # some seconds: time enough to be killed in
    launch "$kind" 3 $long --steps 4000 --out "dead-$kind" >b.txt 2>stderr.txt &
    job=$!
    while ! ls dead-$kind.part/checkpoint-*.safetensors >/dev/null 2>&1 && kill -0 $job 2>/dev/null; do sleep 0.05; done
    for victim in $(pgrep -f -- "--out dead-$kind"); do # the last of them, launchers and MPICH's watcher apart
        case $(cat "/proc/$victim/comm") in qgm-train) rank=$(tr '\0' '\n' <"/proc/$victim/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p; s/^PMI_RANK=//p') process=$victim ;; esac
    done
    # The others stand still until it is gone, all its threads: one that reads its memory just then could fail, and be
    # gone, before it. A process whose first thread is gone looks dead, but the others still hold its files.
    others=
    for other in $(pgrep -f -- "--out dead-$kind"); do
        [ "$other" = "$process" ] && continue
        case $(cat "/proc/$other/comm") in qgm-train) others="$others $other" ;; esac
    done
    kill -STOP $others
    kill -KILL "$process"
    begin=$(date +%s)
    while grep -q '^State:[[:space:]]*[^ZX]' "/proc/$process"/task/*/status 2>/dev/null; do sleep 0.01; done
    kill -CONT $others 2>/dev/null # if the launcher has left any
    wait $job
    code=$?
    took=$(($(date +%s) - begin))
    [ $code != 0 ] && [ $took -le 30 ] && [ ! -e dead-$kind ] && good || fail "$kind: a killed process: exit $code after $took s"
    # Open MPI says which one it was; MPICH does not, and the processes say it themselves.
    word="process rank $rank "
    [ $kind = mpich ] && word="qgm-train: rank $rank (process $process on .*) died"
    [ "$(grep -c "$word" stderr.txt)" = 1 ] && good || fail "$kind: no word about rank $rank, which was killed"
    got=$(launch "$kind" 2 $long --steps 4000 --out "dead-$kind" --resume 2>stderr.txt)
    [ "$got" = "$long_want" ] && good || fail "$kind: taken up by two processes: $got, undisturbed $long_want"

    # Of messages this short a busy machine may tell no bandwidth; a negative one it never does.
    for try in 1 2 3 4 5 6; do
        QGM_MPI_SHARE=1 timeout 60 "mpirun.$kind" -n 3 "$bin/qgm-bench-exchange" --most 8192 --rounds 3 </dev/null >b.txt 2>stderr.txt
        grep -qE '^fit +(none: |--network ethernet:latency-us=[0-9.e+-]+,mbit-s=[0-9.]+)' stderr.txt && good || fail "$kind: the fit of an exchange"
    done

    # ---- Complaints: once, and nobody waits ----
    launch "$kind" 4 $long --steps 1 --lr x >b.txt 2>stderr.txt && fail "$kind: a bad flag was accepted"
    [ "$(grep -c 'lr x: expected a number' stderr.txt)" = 1 ] && good || fail "$kind: complaints"
    launch "$kind" 4 $long --steps 1 --clients 3 >b.txt 2>stderr.txt && fail "$kind: more processes than clients"
    grep -q '4 processes for 3 clients' stderr.txt && good || fail "$kind: more processes than clients"
    # What goes wrong in one process alone ends them all: weights that only process 0 has, a full disk under the record.
    mkdir -p with-0 with-1 full
    "$bin/qgm-train" $long --steps 1 --out weights --force --save average >b.txt 2>stderr.txt && cp weights/average.safetensors with-0
    timeout -k 5 60 "mpirun.$kind" -n 2 sh -c 'cd "with-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" && exec "$0" "$@"' \
        "$bin/qgm-train" $long --steps 2 --init average.safetensors </dev/null >b.txt 2>stderr.txt
    code=$?
    [ $code = 1 ] && grep -q 'process 1: --init average.safetensors: there is no such file' stderr.txt && good || fail "$kind: weights that one process lacks: exit $code"
    if mount -t tmpfs -o size=16k tmpfs full 2>/dev/null; then
        timeout -k 5 60 "mpirun.$kind" -n 2 "$bin/qgm-train" $long --steps 400 --eval-every 0.1 --checkpoint-every never --out full/run </dev/null >b.txt 2>stderr.txt
        code=$?
        umount full
        [ $code = 1 ] && grep -q 'cannot write to full/run.part: No space left' stderr.txt && good || fail "$kind: a full disk: exit $code"
    fi
    # A damaged image that one process meets ends them all.
    if "$bin/qgm-train" --version | grep -q jpeg; then
        rm -rf caches pics
        for class in train/cat train/dog val/cat val/dog; do
            mkdir -p pics/$class
            for seed in colour grey progressive cmyk; do cp "$here/fuzz/seeds/jpeg/$seed" pics/$class/$seed.jpg; done
        done
        pics="--dataset folder:pics,size=16,cache=caches --model logreg --clients 4 --batch 2 --partition iid --threads 1 --quiet --steps 100"
        got=$(launch "$kind" 4 $pics 2>stderr.txt)
        [ "$got" = "$("$bin/qgm-train" $pics)" ] && good || fail "$kind: a folder of images: $got"
        printf '\377' | dd of="$(ls caches/*.pack)" bs=1 seek=600 conv=notrunc 2>dd.txt # in the first image
        begin=$(date +%s)
        launch "$kind" 4 $pics >b.txt 2>stderr.txt && fail "$kind: a damaged image was accepted"
        took=$(($(date +%s) - begin))
        grep -q '^qgm-train: caches/.*: the pixels of training image 1 of 8' stderr.txt && [ $took -le 30 ] && good || fail "$kind: a damaged image, after $took s"
    fi
    # A model that a machine has room for twice: four processes are told so, two are not.
    has=$(launch "$kind" 2 $long --steps 1 --dry-run 2>stderr.txt | sed -n 's/.*2 processes on this machine .* of \([0-9.]*\)$/\1/p')
    wide="--dataset synthetic:n=480,test=40 --clients 4 --batch 8 --steps 1 --algo dsgd --dry-run --model mlp:hidden=$(awk "BEGIN { n = int(sqrt($has * 0.25 * 2^30 / 12.7)); print n \"-\" n }")"
    launch "$kind" 2 $wide --clients 2 >b.txt 2>stderr.txt && good || fail "$kind: memory of two processes"
    launch "$kind" 4 $wide >b.txt 2>stderr.txt && fail "$kind: more memory than there is"
    grep -q 'the 4 processes on this machine need .* together, it has' stderr.txt && good || fail "$kind: memory of four processes"
    [ "$(launch "$kind" 2 --help 2>stderr.txt | grep -c '^usage')" = 1 ] && good || fail "$kind: --help"
    }
done
QGM_PLUGINS=nowhere OMPI_COMM_WORLD_SIZE=2 "$bin/qgm-train" --help >b.txt 2>stderr.txt && fail "no plug-in, no complaint"
grep -q 'this build has no MPI' stderr.txt && good || fail "no word about a missing plug-in"
echo "mpi:$kinds: $passed passed, $failed failed"
[ $failed = 0 ]
