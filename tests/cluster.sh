#!/bin/sh
# Runs on several hosts with a network between them (tests/cluster): delays and lost packets change no bit, and, with
# long, qgm-bench-exchange and --network foretell how long a step takes. That is a matter of clocks: four hosts on the
# cores of one machine keep to it only while nothing else runs there.
#   usage: cluster.sh LINK FOLDER-OF-PROGRAMS [long]      exit 77: not permitted here
set -u
link=$1
bin=$2
here=$(cd "$(dirname "$0")" && pwd)
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
on() { timeout -k 5 60 "$here/cluster" "$link" "$@" 2>stderr.txt; } # HOSTS MBIT-S DELAY-US LOSS-PERCENT PROCESSES COMMAND...

kinds=
for kind in openmpi mpich; do
    ls "$bin"/../lib*/qgm/qgm-mpi-$kind.so >stderr.txt 2>&1 || continue
    QGM_MPI=$kind on 2 1000 0 0 2 true
    [ $? = 77 ] || kinds="$kinds $kind"
done
[ -n "$kinds" ] || { cat stderr.txt; exit 77; }

# ---- The same bits: HOSTS PROCESSES LOSS-PERCENT FLAGS ----
while read -r hosts processes loss flags; do
    flags="--dataset synthetic:n=480,test=40 --model mlp:hidden=24 --clients 16 --batch 8 --quiet --threads 1 $flags"
    # shellcheck disable=SC2086  # flags are meant to split
    want=$("$bin/qgm-train" $flags 2>stderr.txt)
    for kind in $kinds; do
        # shellcheck disable=SC2086
        got=$(QGM_MPI=$kind on "$hosts" 1000 1000 "$loss" "$processes" "$bin/qgm-train" $flags)
        [ -n "$want" ] && [ "$got" = "$want" ] && good || fail "$kind, $hosts hosts, $loss % lost: $flags: $got, one process $want"
    done
done <<'RUNS'
2 2 1 --algo qg-dsgdm-n --topology ring --steps 4
2 4 0 --algo gt --topology one-peer-exponential --steps 4 --force-pairing
3 3 1 --algo relaysgdm --topology binary-tree --steps 4 --drop 0.1
4 4 1 --algo sgp --topology exponential --steps 4
2 4 1 --algo dpsgd --topology ring --steps 4
RUNS

# ---- Measured on two hosts, foretold for four, and measured there; within 20 %, in one of three tries, since all hosts
# share the processors of this machine with whatever else it does ----
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0.8 * b && a < 1.2 * b) }'; }
# Seconds of a step: what thirty take longer than ten, so without connecting and what comes with the evaluation.
seconds() { # FOLDER COLUMN: of FOLDER-10 and FOLDER-30
    paste -d, "$1-10/metrics.csv" "$1-30/metrics.csv" | awk -F, -v name="$2" '
        NR == 1 { for (i = NF; i; i--) if ($i == name) c = i } END { printf "%.5f", ($(c + NF / 2) - $c) / 20 }'
}
network() { # MBIT-S DELAY-US FLAGS
    rate=$1 delay=$2
    shift 2
    for _ in 1 2 3; do
        on 2 "$rate" "$delay" 0 2 "$bin/qgm-bench-exchange" --most 131072 --rounds 5 >table.txt
        fit=$(sed -n 's/^fit *--network //p' stderr.txt)
        near "$(echo "$fit" | sed 's/.*latency-us=\([^,]*\).*/\1/')" "$delay" && near "${fit##*=}" "$rate" && break
        false
    done && good || fail "qgm-bench-exchange: $fit, the network has $delay us and $rate Mbit/s"
    while read -r flags; do
        flags="--dataset synthetic:n=128,test=40 --partition iid --clients 4 --batch 8 --eval-every 0 --threads 1 --quiet $flags"
        rm -rf alone-* foretold-*
        # shellcheck disable=SC2086
        for n in 10 30; do "$bin/qgm-train" $flags --steps $n --out alone-$n >digest.txt 2>stderr.txt; done
        ms=$(awk -v s="$(seconds alone train_seconds)" 'BEGIN { print 1000 * s / 4 }')
        # shellcheck disable=SC2086
        for n in 10 30; do "$bin/qgm-train" $flags --network "$fit,step-ms=$ms" --steps $n --out foretold-$n >digest.txt 2>stderr.txt; done
        foretold=$(seconds foretold simulated_seconds)
        for _ in 1 2 3; do
            rm -rf real-*
            # shellcheck disable=SC2086
            for n in 10 30; do on 4 "$rate" "$delay" 0 4 "$bin/qgm-train" $flags --steps $n --out "$dir/real-$n" >digest.txt; done
            real=$(seconds real train_seconds)
            echo "$rate Mbit/s, $delay us${flags##*--quiet}: a step takes $real s, foretold $foretold s"
            near "$real" "$foretold" && break
            false
        done && good || fail "not within 20 %"
    done
}
finish() {
    echo "cluster: $passed passed, $failed failed"
    [ $failed = 0 ]
    exit
}
[ "${3:-}" = long ] || finish
network 100 1000 <<'RUNS'
--algo gt --topology ring --model mlp:hidden=64
--algo sgp --topology one-peer-exponential --model mlp:hidden=64
RUNS
network 100 5000 <<'RUNS'
--algo qg-dsgdm-n --topology ring --model mlp:hidden=24
RUNS
finish
