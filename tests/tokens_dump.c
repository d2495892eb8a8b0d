/* Print the token ids of each row of a CSV file, for torch/tokens.py. SPDX-License-Identifier: MIT */
#include "text.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct qgm_error err;
    struct qgm_vocab *vocab;
    struct qgm_texts texts;
    if (argc != 3) return fprintf(stderr, "usage: tokens-dump VOCAB FILE.csv\n"), 2;
    if (qgm_vocab_open(&vocab, argv[1], &err) < 0 || qgm_read_csv(argv[2], (struct qgm_labels){ 0 }, &texts, &err) < 0)
        return fprintf(stderr, "tokens-dump: %s\n", err.text), 1;
    for (long i = 0; i < texts.n; i++) {
        size_t size = texts.start[i + 1] - texts.start[i];
        int most = (int)size + 2; /* a token is at least a byte */
        int32_t *ids = malloc((size_t)most * sizeof *ids);
        if (!ids) return 1;
        int n = qgm_wordpiece(vocab, texts.byte + texts.start[i], size, ids, most);
        for (int k = 0; k < n; k++) printf("%d%c", ids[k], k + 1 < n ? ' ' : '\n');
        free(ids);
    }
    qgm_texts_close(&texts);
    qgm_vocab_close(&vocab);
    return 0;
}
