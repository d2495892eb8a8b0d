#!/bin/sh
# What the objects compiled per instruction set export and call. An unsuffixed external could be merged by the linker
# with a baseline copy of the same name (an illegal instruction on older CPUs), and a call of libm would make the last
# bit depend on the machine. SPDX-License-Identifier: MIT
# usage: symbols.sh NM SUFFIX OBJECT...
set -eu
nm=$1 suffix=$2
shift 2
[ $# -gt 0 ] || { echo "symbols.sh: no objects of $suffix given" >&2; exit 1; }
# fma, sqrt and rint are exactly rounded wherever they come from; the rest is memory, assert and what sanitizers add.
allowed='^(fmaf?|sqrtf?|rintf?|mem(cpy|set|move|cmp)|__assert_fail|__stack_chk_fail|__(a|ub)san_.*|_GLOBAL_OFFSET_TABLE_|qgm_.*)$'
bad=0
for object; do
    exported=$("$nm" --defined-only --extern-only "$object" | awk 'NF >= 3 && $2 !~ /^[a-z]$/ { print $3 }')
    for name in $exported; do
        case $name in
        *_"$suffix" | __odr_asan*) ;;
        *) echo "$object exports $name, which does not end in _$suffix" >&2; bad=1 ;;
        esac
    done
    for name in $("$nm" --undefined-only "$object" | awk '{ print $NF }'); do
        if ! echo "$name" | grep -Eq "$allowed"; then
            echo "$object calls $name" >&2
            bad=1
        fi
    done
done
exit $bad
