/* Any bytes as a vocabulary: refused, or every token is found again. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qgm_vocab *v;
    struct qgm_error err;
    if (qgm_vocab_open(&v, input_path(bytes, size), &err) < 0) return 0;
    int32_t ids[64];
    int n = qgm_wordpiece(v, (const char *)bytes, size, ids, 64);
    for (int k = 0; k < n; k++)
        if (ids[k] < 0 || ids[k] >= qgm_vocab_size(v)) abort();
    qgm_vocab_close(&v);
    return 0;
}
