#!/bin/sh
# qgm-toy in double against figures computed once in numpy from the formulas alone: each must agree to the last digit it
# is written with. usage: toys.sh PROGRAM   SPDX-License-Identifier: MIT
set -u
program=$1
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
bad=0
toy() { "$program" "$@"; }

# check WHAT COLUMN FIGURES: a column of the CSV on stdin, row by row. Half a unit of the last digit written is allowed;
# ~ is anything, 0 anything below 1e-12.
check() {
    got=$(cut -d, -f"$2" | tr '\n' ' ')
    # shellcheck disable=SC2086  # figures are meant to split
    awk -v what="$1" -v got="$got" -v want="$3" '
        function unit(s,   mantissa, power) {
            power = 0
            if (match(s, /e/)) { power = substr(s, RSTART + 1) + 0; s = substr(s, 1, RSTART - 1) }
            if (match(s, /\./)) power -= length(s) - RSTART
            return 10 ^ power
        }
        BEGIN {
            n = split(want, w, " ")
            if (split(got, g, " ") != n) { print "FAILED: " what ": " got ": expected " n " figures"; exit 1 }
            for (i = 1; i <= n; i++) {
                if (w[i] == "~") continue
                room = w[i] == "0" ? 1e-12 : 0.5001 * unit(w[i])
                off = g[i] - w[i]
                if (off < 0) off = -off
                if (!(off <= room)) { print "FAILED: " what ": " g[i] ", expected " w[i]; failed = 1 }
            }
            exit failed
        }' || bad=1
}
rows() { toy "$@" --double --csv | tail -n +2; }

# The quadratic on ring 16: consensus distance, then distance of the mean, at steps 50, 100, 200 and 5000.
while IFS='|' read -r algo lr consensus distance; do
    rows quadratic --algos "$algo" --force-pairing --lr "$lr" --at 50,100,200,5000 >"$rows"
    check "quadratic $algo lr $lr, consensus" 8 "$consensus" <"$rows"
    check "quadratic $algo lr $lr, distance" 9 "$distance" <"$rows"
done <<'TABLE'
dsgd|0.01|3.0337e-1 3.3061e-1 3.3191e-1 3.3191e-1|4.54 2.75 1.00 0
dsgd|0.1|5.8931 5.8974 5.8974 5.8974|3.87e-2 1.99e-4 5e-9 0
dsgdm|0.01|6.0153 5.9025 5.8974 5.8974|0.438 1.98e-2 3.2e-5 0
dsgdm-n|0.01|6.0118 5.8999 5.8974 5.8974|0.372 5.31e-3 5.2e-5 0
dsgdm-sync|0.01|4.2704 4.2113 4.2112 4.2112|0.438 1.98e-2 3.2e-5 0
qg-dsgdm|0.01|4.2577e-1 3.2302e-1 3.3207e-1 3.3191e-1|0.260 2.86 1.07 0
qg-dsgdm-n|0.01|1.0736 9.1568e-1 9.2266e-1 9.2250e-1|1.24 0.783 2.6e-2 0
d2|0.1|1.0949e-3 1.1563e-8 1.65e-13 0|3.87e-2 1.99e-4 5e-9 ~
gt|0.1|1.0897 2.7392e-1 1.7305e-2 0|3.87e-2 1.99e-4 5e-9 0
TABLE

# Averaging: what is left of the consensus distance at steps 25, 50, 100, 200 and 400.
while IFS='|' read -r graph n algo left; do
    rows consensus --topology "$graph" --clients "$n" --algos "$algo" --at 25,50,100,200,400 >"$rows"
    check "consensus $graph $n $algo" 10 "$left" <"$rows"
done <<'TABLE'
ring|16|dsgd|9.87e-3 7.30e-4 3.99e-6 1.20e-10 1.07e-19
ring|16|qg-dsgdm|4.35e-3 5.46e-3 2.15e-4 2.91e-7 1.82e-13
ring|32|dsgd|3.88e-2 1.81e-2 4.90e-3 3.72e-4 2.14e-6
ring|32|qg-dsgdm|1.98e-2 3.17e-3 6.06e-3 4.68e-4 1.34e-6
ring|64|dsgd|5.41e-2 3.37e-2 1.92e-2 8.96e-3 2.43e-3
ring|64|qg-dsgdm|3.54e-2 1.66e-2 3.24e-3 2.57e-3 1.59e-4
davis|32|dsgd|4.88e-4 6.2e-6 1.2e-9 ~ ~
davis|32|qg-dsgdm|3.92e-3 4.3e-5 6.3e-7 ~ ~
TABLE

# One worker in two valleys: steps until f < 1e-1, 1e-2, 1e-3, 1e-4, 1e-6.
while IFS='|' read -r problem lr algo steps; do
    rows "$problem" --lr "$lr" --algos "$algo" --steps 20000 --below 1e-1,1e-2,1e-3,1e-4,1e-6 >"$rows"
    check "$problem lr $lr $algo" 8 "$steps" <"$rows"
done <<'TABLE'
steep-valley|1e-3|dsgdm|56 102 145 191 282
steep-valley|1e-3|qg-dsgdm|101 131 142 145 396
steep-valley|1e-3|dsgdm-n|58 105 152 199 293
steep-valley|1e-3|qg-dsgdm-n|79 109 122 127 129
rosenbrock|1e-3|dsgdm|98 294 544 812 1362
rosenbrock|1e-3|qg-dsgdm|133 213 259 280 290
rosenbrock|1e-3|dsgdm-n|99 296 547 817 1369
rosenbrock|1e-3|qg-dsgdm-n|110 218 354 530 954
rosenbrock|1e-4|dsgdm|1040 3135 5742 8528 14236
rosenbrock|1e-4|qg-dsgdm|983 2953 5456 8142 13654
rosenbrock|1e-4|dsgdm-n|1041 3137 5745 8532 14242
rosenbrock|1e-4|qg-dsgdm-n|1017 3064 5628 8374 14002
TABLE

# What is drawn is what was asked for: heterogeneity exactly, an optimum where every unbiased method agrees to end.
toy least-squares:zeta2=4,dim=20 --algos dsgd --steps 1 | grep -q 'zeta2 at the optimum 4$' || { echo "FAILED: zeta2"; bad=1; }
for problem in least-squares:zeta2=4 logistic; do
    for algo in gt momentum-tracking d2-plus edm; do
        rows $problem --lazy --lr 0.02 --algos $algo --at 30000 >"$rows"
        check "$problem $algo, consensus" 8 0 <"$rows"
        check "$problem $algo, objective" 10 0 <"$rows"
    done
done

# Refusals.
refuse() {
    message=$(toy "$@" 2>&1 >/dev/null) && { echo "FAILED: $* was taken"; bad=1; }
    echo "$message" | grep -Eq -- "$wanted" || { echo "FAILED: $*: '$message' does not match '$wanted'"; bad=1; }
}
wanted="did you mean 'quadratic'" refuse quadratc
wanted="unknown option 'zeta': did you mean 'zeta2'" refuse least-squares:zeta=1
wanted='one client alone cannot differ' refuse rosenbrock:zeta2=1
wanted='expected ascending numbers' refuse quadratic --at 5,3
wanted='expected descending numbers' refuse rosenbrock --below 1e-3,1e-2
wanted='lambda_min' refuse quadratic --algos d2
wanted='--clients 0' refuse quadratic --clients 0
exit $bad
