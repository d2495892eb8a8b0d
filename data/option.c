/* Options behind the name of a data set. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 16 };

static int unknown(const char *spec, const char *key, const struct qgm_option *options, int count,
                   struct qgm_error *err)
{
    const char *names[MOST_OPTIONS + 1] = { NULL };
    for (int i = 0; i < count; i++) names[i] = options[i].key;
    const char *near = qgm_nearest(key, names);
    if (!count) return qgm_fail(err, QGM_USAGE, "--dataset %s: this data set has no options, found '%s'", spec, key);
    if (!near) near = names[0];
    return qgm_fail(err, QGM_USAGE, "--dataset %s: no option '%s': did you mean '%s'?", spec, key, near);
}

int qgm_read_options(const char *spec, struct qgm_option *options, int count, struct qgm_error *err)
{
    const char *at = spec + strcspn(spec, ":");
    while (*at) { /* on ':' or ',' */
        char key[32], *end;
        size_t length = strcspn(++at, "=,");
        if (at[length] != '=' || length >= sizeof key)
            return qgm_fail(err, QGM_USAGE, "--dataset %s: found '%.*s', expected key=number", spec,
                            (int)strcspn(at, ","), at);
        memcpy(key, at, length);
        key[length] = 0;
        int i = 0;
        while (i < count && strcmp(options[i].key, key) != 0) i++;
        if (i == count) return unknown(spec, key, options, count, err);
        at += length + 1;
        errno = 0;
        long value = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || errno || value < options[i].low || value > options[i].high)
            return qgm_fail(err, QGM_USAGE, "--dataset %s: %s=%.*s: expected a whole number from %ld to %ld", spec, key,
                            (int)strcspn(at, ","), at, options[i].low, options[i].high);
        options[i].value = value;
        at = end;
    }
    return 0;
}
