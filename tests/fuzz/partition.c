/* Any bytes as a partition file, and as a partition's spec: refused, or a partition. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "input.h"
#include <string.h>

enum { EXAMPLES = 60, CLASSES = 3, CLIENTS = 4 };

static void check(const char *spec)
{
    int32_t labels[EXAMPLES];
    uint8_t seen[EXAMPLES] = { 0 };
    struct qgm_partition p;
    struct qgm_error err;
    for (int k = 0; k < EXAMPLES; k++) labels[k] = k % CLASSES;
    if (qgm_partition_open(&p, spec, 1, CLIENTS, labels, EXAMPLES, CLASSES, 1, &err) < 0) return;
    for (int i = 0; i < CLIENTS; i++)
        if (p.start[i] >= p.start[i + 1]) abort();
    for (uint32_t k = 0; k < p.start[CLIENTS]; k++)
        if (p.index[k] >= EXAMPLES || seen[p.index[k]]++) abort();
    qgm_partition_close(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char spec[100] = { 0 };
    memcpy(spec, bytes, size < sizeof spec ? size : sizeof spec - 1);
    if (strncmp(spec, "file:", 5) != 0) check(spec); /* no other files than ours */
    snprintf(spec, sizeof spec, "file:%s", input_path(bytes, size));
    check(spec);
    return 0;
}
