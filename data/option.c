/* Options behind the name of a data set. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 16 };

static int unknown(const char *spec, const char *key, const struct qgm_option *options, int count,
                   struct qgm_error *err)
{
    const char *names[MOST_OPTIONS + 1] = { NULL };
    int keys = 0;
    for (int i = 0; i < count; i++)
        if (options[i].key) names[keys++] = options[i].key;
    const char *near = qgm_nearest(key, names);
    if (!keys) return qgm_fail(err, QGM_USAGE, "--dataset %s: this data set has no options, found '%s'", spec, key);
    if (!near) near = names[0];
    return qgm_fail(err, QGM_USAGE, "--dataset %s: no option '%s': did you mean '%s'?", spec, key, near);
}

static int set_text(const char *spec, const struct qgm_option *option, const char *at, size_t length,
                    struct qgm_error *err)
{
    if (length >= QGM_PATH) return qgm_fail(err, QGM_USAGE, "--dataset %.100s...: a path is too long", spec);
    memcpy(option->text, at, length);
    option->text[length] = 0;
    return 0;
}

static int set_number(const char *spec, struct qgm_option *option, const char *at, size_t length, struct qgm_error *err)
{
    char *end;
    errno = 0;
    long value = strtol(at, &end, 10);
    if (end == at || end != at + length || errno || value < option->low || value > option->high)
        return qgm_fail(err, QGM_USAGE, "--dataset %s: %s=%.*s: expected a whole number from %ld to %ld", spec,
                        option->key, (int)length, at, option->low, option->high);
    option->value = value;
    return 0;
}

int qgm_read_options(const char *spec, struct qgm_option *options, int count, struct qgm_error *err)
{
    size_t length;
    int words = 0; /* without a key, so far */
    unsigned given = 0;
    for (const char *at = spec + strcspn(spec, ":"); *at; at += length) { /* on ':' or ',' */
        char key[32];
        length = strcspn(++at, ",");
        size_t name = strcspn(at, "=,");
        if (at[name] != '=') {
            int i = words++;
            bool path = i < count && !options[i].key;
            if (!length || !path)
                return qgm_fail(err, QGM_USAGE, "--dataset %s: found '%.*s' behind '%c', expected %s", spec,
                                (int)length, at, at[-1], path ? "a path" : "key=value");
            QGM_TRY(set_text(spec, &options[i], at, length, err));
            continue;
        }
        snprintf(key, sizeof key, "%.*s", (int)name, at);
        int i = 0;
        while (i < count && (!options[i].key || strcmp(options[i].key, key) != 0)) i++;
        if (i == count) return unknown(spec, key, options, count, err);
        if (given >> i & 1) return qgm_fail(err, QGM_USAGE, "--dataset %s: %s is given twice", spec, key);
        given |= 1u << i;
        if (options[i].text)
            QGM_TRY(set_text(spec, &options[i], at + name + 1, length - name - 1, err));
        else
            QGM_TRY(set_number(spec, &options[i], at + name + 1, length - name - 1, err));
    }
    return 0;
}
