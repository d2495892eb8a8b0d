/* Any bytes as a CIFAR file: refused, or labels in range. SPDX-License-Identifier: MIT */
#include "input.h"
#include "reader.h"

enum { MOST = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct qgm_cifar formats[] = { { 1, 10 }, { 2, 100 } };
    const char *path = input_path(bytes, size);
    for (size_t i = 0; i < QGM_COUNT(formats); i++)
        for (long records = 1; records <= MOST; records++) {
            uint8_t *pixels = malloc((size_t)records * 3072); /* exactly as much as the contract asks for */
            int32_t *labels = malloc((size_t)records * sizeof *labels);
            struct qgm_error err;
            long n = 0;
            int result = qgm_read_cifar(path, &formats[i], records, pixels, labels, &n, &err);
            if (n > records || (result == 0 && n != records)) abort();
            for (long k = 0; k < n; k++)
                if (labels[k] < 0 || labels[k] >= formats[i].classes) abort();
            free(pixels);
            free(labels);
        }
    return 0;
}
