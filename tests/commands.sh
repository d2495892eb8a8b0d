#!/bin/sh
# The two commands of a clone, paper/run and tests/run, without building anything. SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
wrong() { echo "FAILED: $*"; exit 1; }
# refused WORDS COMMAND...: exit code 2 and one line on stderr with WORDS.
refused() {
    words=$1
    shift
    "$@" >stdout.txt 2>stderr.txt
    [ $? = 2 ] && grep -qE -- "$words" stderr.txt && [ "$(wc -l <stderr.txt)" = 1 ] && [ ! -s stdout.txt ] || wrong "$*: wanted $words: $(cat stderr.txt)"
}
mkdir -p clone/paper clone/cmake clone/tests path
cp "$here/../paper/run" clone/paper/
cp "$here/run" clone/tests/
echo 'exit 0' >clone/paper/try.sh
# cmake is one that says when it begins and ends.
printf '#!/bin/sh\n' | tee clone/cmake/deps >path/cmake
echo 'echo "$PPID" >>"$BUILDS"; sleep 0.3; echo "$PPID" >>"$BUILDS"; mkdir -p build/release/bench' >>path/cmake
chmod +x clone/cmake/deps path/cmake
export PATH="$PWD/path:$PATH" BUILDS="$PWD/builds.txt"
# Two studies that are started at once build one after the other.
for i in 1 2; do clone/paper/run try 2>/dev/null & done
wait
! command -v flock >/dev/null || { [ "$(wc -l <builds.txt)" = 8 ] && [ "$(uniq builds.txt | wc -l)" = 2 ]; } || wrong "two builds at once: $(cat builds.txt)"
for scale in '--scale=huge' '--scale='; do
    refused 'paper/run: --scale (huge)?: expected smoke, laptop or paper' clone/paper/run try $scale
done
refused 'tests/run: unknown flag --quik' clone/tests/run --quik
[ "$(wc -l <builds.txt)" = 8 ] || wrong "what is refused was built first"
