#!/bin/sh
# One seed gives the same bits: every instruction set this CPU runs, any number of threads, and the digests on record
# in golden/bits.txt (made on x86-64, equal on aarch64). usage: same-bits.sh SOURCE-OF-TESTS PROGRAM [EMULATOR]
# To record new digests after a change that is meant to change results: RECORD=1 ./tests/same-bits.sh tests PROGRAM
set -eu
golden=$1/golden/bits.txt
program=$2
emulator=${3:-}
run() { $emulator "$program" --dataset synthetic:n=480,test=16 --batch 8 --quiet "$@"; }
isas=$($emulator "$program" --version | sed -n 's/.*this CPU runs: \([^;]*\);.*/\1/p')
[ -n "$isas" ] || { echo "same-bits: no instruction sets listed"; exit 1; }

bad=0
# The cases: one a line, flags of qgm-train, then the digest.
while IFS='|' read -r flags want; do
    case $flags in '#'* | '') continue ;; esac
    # shellcheck disable=SC2086  # flags are meant to split
    for isa in $isas; do
        got=$(run $flags --isa "$isa" --threads 1 | cut -d' ' -f2)
        [ -z "${RECORD:-}" ] || { echo "$flags|$got"; break; }
        if [ "$got" != "$want" ]; then echo "FAILED: $flags --isa $isa: $got, on record $want"; bad=1; fi
    done
    [ -n "$emulator${RECORD:-}" ] || for threads in 2 3 8; do
        got=$(run $flags --threads $threads | cut -d' ' -f2)
        if [ "$got" != "$want" ]; then echo "FAILED: $flags --threads $threads: $got, on record $want"; bad=1; fi
    done
done <"$golden"
[ $bad = 0 ] && echo "same bits on: $isas" >&2
exit $bad
