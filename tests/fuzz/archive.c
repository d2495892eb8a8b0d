/* builds with: libs jansson libxxhash */
/* Any bytes as a checkpoint, every checksum taken for right: refused, or what the header says can be read.
 * SPDX-License-Identifier: MIT */
#include <xxhash.h>
#define XXH3_64bits(bytes, size)  ((void)(bytes), (void)(size), UINT64_C(0))
#define XXH3_64bits_digest(state) ((void)(state), UINT64_C(0))
#include "../../bench/archive.c"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qgm_archive a;
    struct qgm_error err;
    if (qgm_archive_open(&a, input_path(bytes, size), &err) < 0) return 0;
    const char *name;
    json_t *value;
    (void)qgm_archive_text(&a, "configuration");
    json_object_foreach(a.header, name, value)
    {
        long long n = qgm_archive_bytes(&a, name);
        if (n < 0 || n > (long long)size) continue;
        struct qgm_array array = { .type = "U8", .count = (size_t)n };
        snprintf(array.name, sizeof array.name, "%s", name);
        void *to = malloc((size_t)n + 1);
        (void)qgm_archive_read(&a, &array, to, &err);
        free(to);
    }
    qgm_archive_close(&a);
    return 0;
}
