#!/usr/bin/env python3
"""Print unicode_tables.h from the Unicode database of this Python. SPDX-License-Identifier: MIT

usage: ./data/unicode.py >data/unicode_tables.h     (only to move to a newer Unicode; the build does not need Python)

What uncased BERT does to a character: decompose canonically (NFD), drop non-spacing marks (Mn), lower-case. For each
code point this is one character, none, or a short sequence. Single ones are kept as runs of code points that move by
the same distance, every one or every second, and where there is no run in one array. Hangul syllables decompose by
arithmetic and are not in the table."""
import sys
import unicodedata as u

RUN, GAP = 5, 4
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)


def fold(c):
    kept = "".join(x for x in u.normalize("NFD", chr(c)) if u.category(x) != "Mn")
    return [ord(x) for x in kept.lower() if u.category(x) != "Mn"]


def ranges(wanted):
    """Maximal runs of code points for which wanted(c)."""
    out = []
    for c in filter(wanted, ALL):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def cells(rows):
    line = "   "
    for cell in rows:
        if len(line) + len(cell) + 2 > 120:
            print(line)
            line = "   "
        line += f" {cell},"
    print(line + "\n};")


def table(name, kind, rows, comment):
    print(f"\n/* {comment} */\nstatic const struct {kind} {name}[] = {{")
    cells("{ " + ", ".join(str(x) for x in row) + " }" for row in rows)


def moves_and_maps():
    """Runs [first, last, distance, step] of at least RUN characters; all else as pieces of one array of targets."""
    single = {c: fold(c)[0] for c in ALL if c not in HANGUL and len(fold(c)) == 1 and fold(c) != [c]}
    runs, rest = [], []
    for c, to in single.items():
        last = runs[-1] if runs else None
        gap = c - last[1] if last else 0
        if last and last[2] == to - c and gap <= 2 and (last[0] == last[1] or gap == last[3]):
            last[1], last[3] = c, gap
        else:
            runs.append([c, c, to - c, 1])
    kept = [r for r in runs if (r[1] - r[0]) // r[3] + 1 >= RUN]
    inside = {c for r in kept for c in range(r[0], r[1] + 1, r[3])}
    pieces, targets = [], []
    for c in (c for c in single if c not in inside):
        if pieces and c - pieces[-1][1] <= GAP:
            targets += range(pieces[-1][1] + 1, c)  # these stay what they are
            pieces[-1][1] = c
        else:
            pieces.append([c, c, len(targets)])
        targets.append(single[c])
    # A piece may span characters that a run or another table owns: those are looked up first.
    return kept, pieces, targets


def main():
    print(f"/* Printed by unicode.py from Unicode {u.unidata_version}. SPDX-License-Identifier: MIT */")
    print("#ifndef QGM_UNICODE_TABLES_H\n#define QGM_UNICODE_TABLES_H\n#include <stdint.h>\n")
    print("struct qgm_unicode_range {\n    uint32_t first, last;\n};")
    print("struct qgm_unicode_move {\n    uint32_t first, last;\n    int32_t distance, step;\n};")
    print("struct qgm_unicode_piece {\n    uint32_t first, last, at;\n};")
    print("struct qgm_unicode_sequence {\n    uint32_t from, to[4];\n};")
    moves, pieces, targets = moves_and_maps()
    table("qgm_unicode_dropped", "qgm_unicode_range", ranges(lambda c: c not in HANGUL and fold(c) == []),
          "Nothing is left: non-spacing marks")
    table("qgm_unicode_moves", "qgm_unicode_move", moves, "One character becomes another: c + distance, every step")
    table("qgm_unicode_pieces", "qgm_unicode_piece", pieces, "One character becomes another: targets[at + c - first]")
    print("\nstatic const uint32_t qgm_unicode_targets[] = {")
    cells(str(x) for x in targets)
    table("qgm_unicode_sequences", "qgm_unicode_sequence",
          [[c] + ["{ " + ", ".join(str(x) for x in fold(c) + [0] * (4 - len(fold(c)))) + " }"]
           for c in ALL if c not in HANGUL and len(fold(c)) > 1],
          "One character becomes several, ended by 0")
    table("qgm_unicode_punctuation", "qgm_unicode_range", ranges(lambda c: u.category(chr(c))[0] == "P"),
          "Categories P*; ASCII symbols are added by the code")
    table("qgm_unicode_spaces", "qgm_unicode_range",
          ranges(lambda c: chr(c).isspace() and not 0x1C <= c <= 0x1F), "The property White_Space")
    table("qgm_unicode_others", "qgm_unicode_range",
          ranges(lambda c: u.category(chr(c)) in ("Cc", "Cf", "Co") and chr(c) not in "\t\n\r"),
          "Categories Cc, Cf, Co: control, format, private use; without tab, line feed, carriage return")
    print("\n#endif")


if __name__ == "__main__":
    sys.exit(main())
