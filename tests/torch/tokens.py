#!/usr/bin/env python3
"""Compare the tokenizer with Hugging Face's, row by row. SPDX-License-Identifier: MIT

usage: tokens.py BUILD_FOLDER VOCAB.txt FILE.csv...      (exits 77 without transformers and without tokenizers)

References, as far as they are installed: transformers' BertTokenizer in Python ("slow"; before version 5), its
BertTokenizerFast, and BertWordPieceTokenizer of tokenizers. Compared are the ids of whole rows and of rows cut to 128
tokens. Exits 1 at the first difference; prints the XXH3 digest that tests/tokens.c records if xxhash is there."""
import csv
import importlib
import struct
import subprocess
import sys

LENGTH = 128


def of_transformers(transformers, name, vocab):
    # A size far from any row's, so that the tokenizer does not warn of long rows; cutting is asked for by itself.
    t = getattr(transformers, name)(vocab, do_lower_case=True, model_max_length=10**6)
    return lambda text, cut: t(text, truncation=cut, max_length=LENGTH if cut else None)["input_ids"]


def of_tokenizers(tokenizers, vocab):
    whole, cut = (tokenizers.BertWordPieceTokenizer(vocab, lowercase=True) for _ in range(2))
    cut.enable_truncation(LENGTH)
    return lambda text, short: (cut if short else whole).encode(text).ids


def references(vocab):
    found = {}
    try:
        t = importlib.import_module("transformers")
        slow = "BertTokenizer" if int(t.__version__.split(".")[0]) < 5 else None
        for name in filter(None, (slow, "BertTokenizerFast")):
            found[f"{name} {t.__version__}"] = of_transformers(t, name, vocab)
    except ImportError as missing:
        print(f"without transformers: {missing}")
    try:
        t = importlib.import_module("tokenizers")
        found[f"tokenizers {t.__version__}"] = of_tokenizers(t, vocab)
    except ImportError as missing:
        print(f"without tokenizers: {missing}")
    return found


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    dump, vocab, files = sys.argv[1] + "/tests/tokens-dump", sys.argv[2], sys.argv[3:]
    theirs = references(vocab)
    if not theirs:
        sys.exit(77)
    for path in files:
        out = subprocess.run([dump, vocab, path], check=True, capture_output=True, text=True).stdout.splitlines()
        with open(path, newline="", encoding="utf-8") as f:
            rows = [" ".join(row[1:]).replace("\\", "\n") for row in csv.reader(f) if row]
        if len(rows) != len(out):
            sys.exit(f"{path}: {len(rows)} rows, the program gives {len(out)}")
        ours = [[int(x) for x in line.split()] for line in out]
        short = [ids[:LENGTH - 1] + [ids[-1]] if len(ids) > LENGTH else ids for ids in ours]
        for name, encode in theirs.items():
            for i, text in enumerate(rows):
                for got, want in ((ours[i], encode(text, False)), (short[i], encode(text, True))):
                    if got != want:
                        sys.exit(f"{path}: row {i + 1}:\n{text}\nours {got}\n{name} {want}")
            print(f"{path}: {len(rows)} rows, {sum(map(len, ours))} ids, {sum(map(len, short))} cut to {LENGTH}: "
                  f"identical to {name}")
        try:
            import xxhash
            every = [x for ids in short for x in ids]
            print(f"  digest {xxhash.xxh3_64_hexdigest(struct.pack(f'<{len(every)}i', *every))}")
        except ImportError:
            pass


main()
