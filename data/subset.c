/* A part of a data set, the same for everybody. SPDX-License-Identifier: MIT */
#include "random.h"
#include "reader.h"
#include <stdlib.h>
#include <string.h>

uint32_t *qgm_subset(long n, long most, long *count)
{
    uint32_t *order = malloc((size_t)n * sizeof *order);
    char *kept = calloc((size_t)n, 1);
    *count = most && most < n ? most : n;
    if (order && kept) {
        for (uint32_t i = 0; i < n; i++) order[i] = i;
        struct qgm_random r = qgm_random(0, QGM_RANDOM_PARTITION, UINT32_MAX, 0);
        qgm_random_shuffle(&r, order, (uint32_t)n);
        for (long i = 0; i < *count; i++) kept[order[i]] = 1;
        for (uint32_t i = 0, k = 0; i < n; i++)
            if (kept[i]) order[k++] = i;
    } else {
        free(order);
        order = NULL;
    }
    free(kept);
    return order;
}
