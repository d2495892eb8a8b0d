#!/usr/bin/env python3
"""Compare the tokenizer with Hugging Face's, row by row. SPDX-License-Identifier: MIT

usage: tokens_compare.py DUMP VOCAB FILE.csv...      (needs the Python package tokenizers; not part of the test suite)
DUMP is the program tokens-dump of the build: it prints the ids of each row. Exits 1 at the first difference, and prints
the XXH3 digest that tests/tokens.c records if the package xxhash is there, too."""
import csv
import struct
import subprocess
import sys

from tokenizers import BertWordPieceTokenizer


def main():
    dump, vocab, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    reference = BertWordPieceTokenizer(vocab, lowercase=True)
    for path in files:
        out = subprocess.run([dump, vocab, path], check=True, capture_output=True, text=True).stdout.splitlines()
        with open(path, newline="", encoding="utf-8") as f:
            rows = [" ".join(row[1:]).replace("\\", "\n") for row in csv.reader(f) if row]
        if len(rows) != len(out):
            sys.exit(f"{path}: {len(rows)} rows, the program gives {len(out)}")
        every = []
        for i, (text, line) in enumerate(zip(rows, out)):
            ours, ids = [int(x) for x in line.split()], reference.encode(text).ids
            if ours != ids:
                sys.exit(f"{path}: row {i + 1}:\n{text}\nours {ours}\ntheirs {ids}")
            every += ids[:127] + [ids[-1]] if len(ids) > 128 else ids
        print(f"{path}: {len(rows)} rows, {len(every)} ids at length 128: identical")
        try:
            import xxhash
            print(f"  digest {xxhash.xxh3_64_hexdigest(struct.pack(f'<{len(every)}i', *every))}")
        except ImportError:
            pass


main()
