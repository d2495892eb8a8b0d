#!/bin/sh
# The README's example is a file of the project, word for word. usage: readme.sh SOURCE   SPDX-License-Identifier: MIT
set -eu
cd "$1"
if sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' | diff - algos/dpsgd.c; then exit 0; fi
echo "FAILED: the C example in README.md is not algos/dpsgd.c"
exit 1
