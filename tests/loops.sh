#!/bin/sh
# The inner loop of every register tile: rows x nv full-width fma (or a multiple, where the compiler unrolled) and not
# one operand on the stack. A compiler that runs out of registers, or keeps the tile in memory, fails here instead of
# quietly halving the speed. SPDX-License-Identifier: MIT
# usage: loops.sh OBJDUMP ISA OBJECT
set -eu
objdump=$1 isa=$2 object=$3
case $isa in # fma of one logical vector, what an fma looks like, what the stack looks like
avx512) parts=1 fma='vfn?madd[0-9]+ps.*%zmm' stack='\\(%rsp' ;;
avx2) parts=2 fma='vfn?madd[0-9]+ps.*%ymm' stack='\\(%rsp' ;;
neon) parts=4 fma='fmla[[:space:]]+v[0-9]+\\.4s' stack='\\[sp' ;;
*) echo "loops.sh: no expectations for $isa" >&2; exit 1 ;;
esac
"$objdump" -d --no-show-raw-insn "$object" | awk -v parts="$parts" -v fma="$fma" -v stack="$stack" '
function finish(    i, j, count, spills, good) {
    if (name == "") return
    good = 0
    for (i = 1; i <= n; i++) { # every backward jump closes a loop; the innermost ones hold no other jump
        if (target[i] == "" || !(target[i] in line) || line[target[i]] > i) continue
        count = spills = 0
        for (j = line[target[i]]; j < i; j++) {
            if (target[j] != "") break
            if (text[j] ~ fma) count++
            if (text[j] ~ stack) spills++
        }
        if (j < i || count == 0) continue
        if (count % expected == 0 && spills == 0) { good = 1; break }
        found = count " fma and " spills " stack operands"
    }
    tiles++
    if (!good) { printf "%s: %s in its inner loop, expected %d fma and none\n", name, found == "" ? "no fma" : found, expected; bad = 1 }
}
/^[0-9a-f]+ <.*>:$/ {
    finish()
    name = ""; n = 0; found = ""
    split("", line); split("", target); split("", text)
    if (match($2, /tile_(row|column)_[0-9]+_[0-9]+/)) {
        name = substr($2, RSTART, RLENGTH)
        split(name, part, "_")
        expected = part[3] * part[4] * parts
    }
    next
}
name != "" && /^ +[0-9a-f]+:/ {
    address = $1; sub(":", "", address)
    line[address] = ++n
    text[n] = $0
    if ($2 ~ /^(j[a-z]+|b\..*|b|cbn?z|tbn?z)$/) {
        for (f = 3; f <= NF; f++) if ($f ~ /^</) target[n] = $(f - 1)
        sub(/^0x/, "", target[n])
    }
}
END {
    finish()
    if (tiles == 0) { print "no tile functions in the object"; bad = 1 }
    exit bad
}'
