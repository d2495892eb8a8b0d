/* Errors as sentences, and the nearest valid name. SPDX-License-Identifier: MIT */
#include "base.h"
#include <stdio.h>
#include <string.h>

int qgm_fail(struct qgm_error *err, enum qgm_error_kind kind, const char *format, ...)
{
    if (!err) return -1;
    err->kind = kind;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -1;
}

int qgm_fail_in(struct qgm_error *err, const char *format, ...)
{
    if (!err) return -1;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (at < sizeof err->text) snprintf(err->text + at, sizeof err->text - at, ": %.*s", (int)sizeof old - 3, old);
    return -1;
}

/* Levenshtein distance, cut off at strings of 63 characters: names are short. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t la = strnlen(a, 63), lb = strnlen(b, 63);
    unsigned row[64];
    for (size_t j = 0; j <= lb; j++) row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[lb];
}

const char *qgm_nearest(const char *name, const char *const *names)
{
    const char *best = NULL;
    unsigned limit = (unsigned)(strnlen(name, 63) / 2 + 1), least = limit + 1;
    for (; *names; names++) {
        unsigned d = edit_distance(name, *names);
        if (d < least) {
            least = d;
            best = *names;
        }
    }
    return best;
}
