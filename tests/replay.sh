#!/bin/sh
# Every golden trajectory through qgm-replay, in float on each instruction set and in double; then files that are not
# what they should be. usage: replay.sh SOURCE-OF-TESTS PROGRAM [EMULATOR]   SPDX-License-Identifier: MIT
set -u
program=$2
emulator=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
fail() { echo "FAILED: $*"; bad=1; }
replay() { $emulator "$program" "$@"; }
isas=$(replay --version | sed -n 's/.*this CPU runs: \([^;]*\);.*/\1/p')
[ -n "$isas" ] || fail "no instruction sets listed"

count=0
for file in "$1"/golden/*.csv "$1"/../../shared/golden/*.csv; do
    [ -f "$file" ] || continue
    count=$((count + 1))
    replay "$file" --double >/dev/null || fail "$file in double"
    for isa in $isas; do
        replay "$file" --isa "$isa" --print >"$work/$isa" || fail "$file on $isa"
        cmp -s "$work/scalar" "$work/$isa" || fail "$file: other bits on $isa than on scalar"
    done
done
[ $count -ge 20 ] || fail "only $count trajectories found in $1/golden"

# What --print writes is what it reads.
sample=$1/golden/qg-dsgdm.csv
{ grep -v '^X' "$sample"; replay "$sample" --double --print; } >"$work/again.csv"
replay "$work/again.csv" --double >/dev/null || fail "printed rows do not read back"

# refuse PATTERN NAME: the file $work/NAME must give exit code 1 and a message that matches.
refuse() {
    message=$(replay "$work/$2" 2>&1 >/dev/null)
    status=$?
    [ $status = 1 ] || fail "$2: exit code $status, expected 1: $message"
    echo "$message" | grep -Eq -- "$1" || fail "$2: '$message' does not match '$1'"
}
damage() { sed "$1" "$sample" >"$work/$2"; }
damage '/^X,12,0,0,/s/,[^,]*$/,1.5/' moved.csv;         refuse 'deviates by' moved.csv
damage 's/^LR,3,.*/LR,3,fast/' rate.csv;                refuse "rate.csv:[0-9]+: found 'fast', expected a finite number" rate.csv
damage '/^LR,3,/d' norate.csv;                          refuse 'LR row of step 3 is missing' norate.csv
damage '/^P,2,1,/d' noproblem.csv;                      refuse 'P row of client 2, coordinate 1 is missing' noproblem.csv
damage '/^W/d' nograph.csv;                             refuse 'no W rows' nograph.csv
damage '/^X/d' nopoints.csv;                            refuse 'no X rows' nopoints.csv
damage '/^X,12,/d' cut.csv;                             refuse 'found 0 X rows of step 12, expected' cut.csv
damage '$d' torn.csv;                                   refuse 'X rows of step 12, expected' torn.csv
damage '/^# n=/d' nosize.csv;                           refuse "before the first row" nosize.csv
damage 's/^# n=.*/# n=99999999999999999999/' huge.csv;  refuse 'from 1 to 4096' huge.csv
damage 's/^W,0,1,/W,0,77,/' nobody.csv;                 refuse "nobody.csv:[0-9]+: found '77'" nobody.csv
damage 's/^# algo=.*/# algo=qg-dgsdm/' algo.csv;        refuse "did you mean 'qg-dsgdm'" algo.csv
damage 's/^P,0,0,/Q,0,0,/' kind.csv;                    refuse "found 'Q', expected a row" kind.csv
: >"$work/empty.csv";                                   refuse 'found no rows' empty.csv
head -c 4000 /dev/urandom >"$work/noise.csv";           refuse 'noise.csv' noise.csv
printf '# n=2\n# d=1\n# T=1\nW,0,0,1\0,2\n' >"$work/zero.csv"; refuse 'a zero byte' zero.csv
refuse 'No such file' nowhere.csv

# Several: all are run, whatever becomes of one.
replay "$1"/golden/d2.csv "$sample" "$work/again.csv" >"$work/three.txt" || fail "three files"
[ "$(grep -c . "$work/three.txt")" = 3 ] || fail "three files: $(cat "$work/three.txt")"
if replay "$work/moved.csv" "$work/nowhere.csv" "$sample" >"$work/rest.txt" 2>"$work/why.txt"; then fail "two of three are bad"; fi
grep -q 'moved.csv.*deviates' "$work/why.txt" && grep -q 'nowhere.csv: No such file' "$work/why.txt" &&
    grep -q '2 of 3 files' "$work/why.txt" && grep -q "$sample" "$work/rest.txt" || fail "two of three: $(cat "$work/why.txt")"
exit $bad
