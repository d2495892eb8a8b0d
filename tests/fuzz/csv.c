/* Any bytes as a CSV of texts and as a text to cut: refused, or UTF-8 and ids in range. SPDX-License-Identifier: MIT */
#include "input.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct qgm_vocab *vocab;
    struct qgm_texts t;
    struct qgm_error err;
    static const char lines[] = "[UNK]\n[CLS]\n[SEP]\na\n##a\nb\n##b\n\xc3\xa9\n##\xe4\xb8\xad\n,\nab\n##ab\n";
    if (!vocab && qgm_vocab_open(&vocab, input_path((const uint8_t *)lines, sizeof lines - 1), &err) < 0) abort();
    for (int most = 2; most < 20; most += 5) {
        int32_t *ids = malloc((size_t)most * sizeof *ids);
        int n = qgm_wordpiece(vocab, (const char *)bytes, size, ids, most);
        if (n < 2 || n > most || ids[0] != 1 || ids[n - 1] != 2) abort();
        for (int k = 0; k < n; k++)
            if (ids[k] < 0 || ids[k] >= qgm_vocab_size(vocab)) abort();
        free(ids);
    }
    static const char *const names[] = { "a", "b" };
    static const struct qgm_labels kinds[] = { { 4, NULL }, { 2, names }, { 0, NULL } };
    for (int k = 0; k < 3; k++) {
        if (qgm_read_csv(input_path(bytes, size), kinds[k], &t, &err) < 0) continue;
        int classes = kinds[k].classes ? kinds[k].classes : t.names ? 0 : 10000;
        while (t.names && t.names[classes]) classes++;
        if (t.n < 1 || t.start[t.n] != t.used) abort();
        for (long i = 0; i < t.n; i++)
            if (t.label[i] < 0 || t.label[i] >= classes) abort();
        qgm_texts_close(&t);
    }
    return 0;
}
