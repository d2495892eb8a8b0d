#!/bin/sh
# The direction of dependencies: kernels <- layers, kernels <- algos, kernels (its floor: base.h, random.h, dmath.h) <-
# data; all of them <- bench. And what leaks in from outside: mpi.h in one file, the oneDNN header in one, C++ in one.
# usage: includes.sh SOURCE
set -eu
cd "$1"
bad=0
complain() { echo "FAILED: $*"; bad=1; }

# own HEADER...: which folder a quoted header is from.
folder_of() {
    for folder in kernels layers algos data bench; do [ -f "$folder/$1" ] && { echo "$folder"; return; }; done
    echo none
}
allowed() { # FOLDER HEADER-FOLDER HEADER
    case $1/$2 in
    kernels/kernels | layers/layers | layers/kernels | algos/algos | algos/kernels | data/data | bench/* | */none) return 0 ;;
    data/kernels) case $3 in base.h | random.h | dmath.h) return 0 ;; esac ;;
    esac
    return 1
}
for folder in kernels layers algos data bench; do
    for file in "$folder"/*.[ch]; do
        for header in $(sed -n 's/^ *# *include "\([^"]*\)".*/\1/p' "$file"); do
            [ -f "$folder/$header" ] && from=$folder || from=$(folder_of "$header")
            allowed "$folder" "$from" "$header" || complain "$file includes $from/$header"
        done
    done
done
only() { # PATTERN FILE: the header may be included there alone
    found=$(grep -lE "^ *# *include <$1>" kernels/*.[ch] layers/*.[ch] algos/*.[ch] data/*.[ch] bench/*.[ch] | grep -vE "^($2)$" || true)
    [ -z "$found" ] || complain "<$1> is included by $found"
}
only 'mpi\.h' 'algos/exchange_mpi\.h'
only '(oneapi/dnnl/)?dnnl\.h' 'kernels/onednn\.c'
only 'turbojpeg\.h' 'data/jpeg\.c'
only 'cyaml/cyaml\.h' 'bench/study_file\.c'
[ "$(find kernels layers algos data bench -name '*.c[cp]*' | wc -l)" -le 1 ] || complain "more than one C++ file"

# Every public header compiles alone, as C11 and as C++.
for header in kernels/base.h kernels/kernels.h kernels/random.h layers/model.h algos/topology.h algos/engine.h data/dataset.h; do
    for language in "c -std=c11" "c++ -std=c++14"; do
        # shellcheck disable=SC2086  # the language is two words
        printf '#include "%s"\n' "$(basename "$header")" |
            ${CC:-cc} -x $language -fsyntax-only -Wall -Wextra -Werror -Ikernels -Ilayers -Ialgos -Idata - ||
            complain "$header does not compile alone as $language"
    done
done
[ $bad = 0 ] && echo "includes: as they should be"
exit $bad
