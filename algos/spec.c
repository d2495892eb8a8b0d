/* Reading of specs. SPDX-License-Identifier: MIT */
#include "spec.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t qgm_spec_name(const char *spec) { return strcspn(spec, ":"); }

bool qgm_spec_is(const char *spec, const char *name)
{
    size_t n = qgm_spec_name(spec);
    return strlen(name) == n && strncmp(spec, name, n) == 0;
}

/* The words of a table as one text: "a, b, c". */
static void join(char *text, size_t size, const char *const *words)
{
    size_t at = 0;
    text[0] = 0;
    for (; *words && at < size; words++) at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", *words);
}

static int fail_key(const char *what, const char *spec, const char *key, const struct qgm_knob *knobs,
                    struct qgm_error *err)
{
    const char *names[QGM_MAX_KNOBS + 1];
    char list[200];
    int n = 0;
    for (; n < QGM_MAX_KNOBS && knobs[n].name; n++) names[n] = knobs[n].name;
    names[n] = NULL;
    if (!n) return qgm_fail(err, QGM_USAGE, "%s '%s': it has no options, so drop '%s'", what, spec, key);
    join(list, sizeof list, names);
    const char *near = qgm_nearest(key, names);
    if (near)
        return qgm_fail(err, QGM_USAGE, "%s '%s': unknown option '%s': did you mean '%s'? (it has: %s)", what, spec,
                        key, near, list);
    return qgm_fail(err, QGM_USAGE, "%s '%s': unknown option '%s': it has %s", what, spec, key, list);
}

static int read_choice(const char *what, const char *spec, const struct qgm_knob *knob, const char *text, double *value,
                       struct qgm_error *err)
{
    for (int i = 0; knob->choices[i]; i++)
        if (strcmp(text, knob->choices[i]) == 0) {
            *value = i;
            return 0;
        }
    char list[200];
    join(list, sizeof list, knob->choices);
    return qgm_fail(err, QGM_USAGE, "%s '%s': %s=%s: expected one of %s", what, spec, knob->name, text, list);
}

static int read_value(const char *what, const char *spec, const struct qgm_knob *knob, const char *text, double *value,
                      struct qgm_error *err)
{
    if (knob->choices) return read_choice(what, spec, knob, text, value, err);
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= knob->low && v <= knob->high) || (knob->whole && v != floor(v)))
        return qgm_fail(err, QGM_USAGE, "%s '%s': %s=%s: expected a %snumber from %g to %g", what, spec, knob->name,
                        text, knob->whole ? "whole " : "", knob->low, knob->high);
    *value = v;
    return 0;
}

int qgm_spec_read(const char *spec, const char *what, const struct qgm_knob *knobs, double *value,
                  struct qgm_error *err)
{
    for (int i = 0; i < QGM_MAX_KNOBS && knobs[i].name; i++) value[i] = knobs[i].value;
    const char *at = spec + qgm_spec_name(spec);
    unsigned given = 0;
    while (*at) { /* at a ':' or ',' */
        char pair[128];
        size_t n = strcspn(++at, ",");
        if (n >= sizeof pair) return qgm_fail(err, QGM_USAGE, "%s '%s': an option is too long", what, spec);
        memcpy(pair, at, n);
        pair[n] = 0;
        at += n;
        char *text = strchr(pair, '=');
        if (!text || text == pair)
            return qgm_fail(err, QGM_USAGE, "%s '%s': found '%s', expected key=value", what, spec, pair);
        *text++ = 0;
        int i = 0;
        while (i < QGM_MAX_KNOBS && knobs[i].name && strcmp(knobs[i].name, pair) != 0) i++;
        if (i == QGM_MAX_KNOBS || !knobs[i].name) return fail_key(what, spec, pair, knobs, err);
        if (given >> i & 1) return qgm_fail(err, QGM_USAGE, "%s '%s': %s is given twice", what, spec, pair);
        given |= 1u << i;
        QGM_TRY(read_value(what, spec, &knobs[i], text, &value[i], err));
    }
    return 0;
}

void qgm_spec_about(char *text, size_t size, const char *about, const struct qgm_knob *knobs)
{
    size_t at = (size_t)snprintf(text, size, "%s", about);
    for (int i = 0; i < QGM_MAX_KNOBS && knobs[i].name && at < size; i++) {
        const char *separator = i ? ", " : "; options: ";
        if (knobs[i].choices)
            at += (size_t)snprintf(text + at, size - at, "%s%s=%s", separator, knobs[i].name,
                                   knobs[i].choices[(int)knobs[i].value]);
        else
            at += (size_t)snprintf(text + at, size - at, "%s%s=%g", separator, knobs[i].name, knobs[i].value);
    }
}

/* "; 0 to 1", "; topk, sign or none" */
static void describe_values(char *text, size_t size, const struct qgm_knob *k)
{
    size_t at = 0;
    if (!k->choices) {
        snprintf(text, size, "; %s%g to %g", k->whole ? "a whole number, " : "", k->low, k->high);
        return;
    }
    for (const char *const *c = k->choices; *c && at < size; c++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", c == k->choices ? "; " : c[1] ? ", " : " or ", *c);
}

void qgm_spec_glossary(char *text, size_t size, const struct qgm_knob *knobs)
{
    for (const struct qgm_knob *k = knobs; k < knobs + QGM_MAX_KNOBS && k->name; k++) {
        char line[200], values[100];
        size_t used = strlen(text);
        describe_values(values, sizeof values, k);
        snprintf(line, sizeof line, "    %-14s %s%s\n", k->name, k->help, values);
        if (!strstr(text, line)) snprintf(text + used, size - used, "%s", line);
    }
}
