# CSV (RFC 4180, a record a line) to fields between tabs, without quotes: gnuplot, cut and awk split quoted fields at
# the commas inside. SPDX-License-Identifier: MIT
{
    rest = $0
    for (n = 0; n == 0 || rest != ""; n++) {
        rest = n ? substr(rest, 2) : rest # a comma
        if (match(rest, /^"([^"]|"")*"/)) {
            field = substr(rest, 2, RLENGTH - 2)
            gsub(/""/, "\"", field)
        } else {
            match(rest, /^[^,]*/)
            field = substr(rest, 1, RLENGTH)
        }
        rest = substr(rest, RLENGTH + 1)
        gsub(/\t/, " ", field)
        printf "%s%s", n ? "\t" : "", field
    }
    print ""
}
