/* Any bytes as an idx file: refused, or as many values as the shape says. SPDX-License-Identifier: MIT */
#include "input.h"
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *path = input_path(bytes, size);
    for (int dims = 1; dims <= 4; dims++) {
        uint32_t shape[4];
        uint8_t *values;
        struct qgm_error err;
        if (qgm_read_idx(path, dims, shape, &values, &err) < 0) {
            if (values || !*err.text) abort();
            continue;
        }
        size_t count = 1;
        unsigned sum = 0;
        for (int d = 0; d < dims; d++) count *= shape[d];
        for (size_t k = 0; k < count; k++) sum += values[k]; /* AddressSanitizer looks at each */
        if (sum > 255 * count) abort();
        free(values);
    }
    return 0;
}
