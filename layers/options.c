/* "name:option=value,option=value": which model, how large. SPDX-License-Identifier: MIT */
#include "options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QGM_MODEL(id) extern const struct qgm_model_kind qgm_model_##id;
#include "models.def"
#undef QGM_MODEL
#define QGM_MODEL(id) &qgm_model_##id,
static const struct qgm_model_kind *const kinds[] = {
#include "models.def"
};
#undef QGM_MODEL

const char *const *qgm_model_names(void)
{
    /* Written with the same values by whoever comes first or together: a table that the linker cannot make. */
    static const char *names[QGM_COUNT(kinds) + 1];
    for (size_t i = 0; i < QGM_COUNT(kinds); i++) names[i] = kinds[i]->name;
    return names;
}

/* The kind of a name, and the numbers behind it, if any: "26" of "resnet26". A kind of exactly that name comes first,
 * such as resnet50, which is not resnet:depth=50. */
static const struct qgm_model_kind *find(const char *name, size_t *numbers)
{
    *numbers = strlen(name);
    for (size_t i = 0; i < QGM_COUNT(kinds); i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    *numbers = strcspn(name, "0123456789");
    if (name[*numbers + strspn(name + *numbers, "0123456789-")]) return NULL;
    for (size_t i = 0; i < QGM_COUNT(kinds); i++)
        if (kinds[i]->numbers && strlen(kinds[i]->name) == *numbers && !strncmp(kinds[i]->name, name, *numbers))
            return kinds[i];
    return NULL;
}

const char *qgm_model_about(const char *name)
{
    size_t numbers;
    const struct qgm_model_kind *kind = find(name, &numbers);
    return kind ? kind->about : NULL;
}

static int unknown_model(const char *name, struct qgm_error *err)
{
    const char *near = qgm_nearest(name, qgm_model_names());
    if (near) return qgm_fail(err, QGM_USAGE, "unknown model '%s': did you mean '%s'?", name, near);
    return qgm_fail(err, QGM_USAGE, "unknown model '%s': --list shows all", name);
}

static int unknown_option(const struct qgm_model_kind *kind, const char *name, struct qgm_error *err)
{
    const char *names[QGM_OPTIONS + 1] = { 0 };
    for (int i = 0; i < QGM_OPTIONS && kind->option[i].name; i++) names[i] = kind->option[i].name;
    if (!names[0]) return qgm_fail(err, QGM_USAGE, "model %s has no options, but '%s' was given", kind->name, name);
    const char *near = qgm_nearest(name, names);
    return qgm_fail(err, QGM_USAGE, "model %s has no option '%s': did you mean '%s'?", kind->name, name,
                    near ? near : names[0]);
}

/* One "name=value" into the slot of the option. Both strings live in the caller's copy of the spec. */
static int set_option(struct qgm_builder *b, char *text)
{
    char *value = strchr(text, '=');
    if (!value || value == text || !value[1])
        return qgm_fail(b->err, QGM_USAGE, "model %s: '%s' is not of the form option=value", b->kind->name, text);
    *value++ = 0;
    for (int i = 0; i < QGM_OPTIONS && b->kind->option[i].name; i++)
        if (!strcmp(b->kind->option[i].name, text)) {
            if (b->option[i].value != b->kind->option[i].value)
                return qgm_fail(b->err, QGM_USAGE, "model %s: %s is given twice, as %s and %s", b->kind->name, text,
                                b->option[i].value, value);
            b->option[i].value = value;
            return 0;
        }
    return unknown_option(b->kind, text, b->err);
}

/* Those of a name, between dashes, are the values of the kind's first options. */
static int set_numbers(struct qgm_builder *b, char *text)
{
    for (int i = 0; text; i++) {
        char *dash = strchr(text, '-');
        if (dash) *dash++ = 0;
        if (i == b->kind->numbers || !*text)
            return qgm_fail(b->err, QGM_USAGE, "model %s: expected %s behind the name", b->kind->name,
                            b->kind->numbers == 1 ? "one number" : "one number, or two with a dash between them,");
        b->option[i].value = text;
        text = dash;
    }
    return 0;
}

int qgm_options_read(struct qgm_builder *b, char *spec)
{
    size_t numbers;
    char *rest = strchr(spec, ':');
    if (rest) *rest++ = 0;
    b->kind = find(spec, &numbers);
    if (!b->kind) return unknown_model(spec, b->err);
    memcpy(b->option, b->kind->option, sizeof b->option);
    if (spec[numbers]) QGM_TRY(set_numbers(b, spec + numbers));
    while (rest) {
        char *comma = strchr(rest, ',');
        if (comma) *comma++ = 0;
        QGM_TRY(set_option(b, rest));
        rest = comma;
    }
    return 0;
}

const char *qgm_option(const struct qgm_builder *b, const char *name)
{
    for (int i = 0; i < QGM_OPTIONS && b->option[i].name; i++)
        if (!strcmp(b->option[i].name, name)) return b->option[i].value;
    return NULL;
}

/* set_option points into the spec, never at a default. */
bool qgm_option_given(const struct qgm_builder *b, const char *name)
{
    for (int i = 0; i < QGM_OPTIONS && b->option[i].name; i++)
        if (!strcmp(b->option[i].name, name)) return b->option[i].value != b->kind->option[i].value;
    return false;
}

int qgm_option_int(struct qgm_builder *b, const char *name, int least, int most)
{
    const char *text = qgm_option(b, name);
    char *end;
    long v = strtol(text, &end, 10);
    if (end != text && !*end && v >= least && v <= most) return (int)v;
    qgm_build_fail(b, QGM_USAGE, "%s=%s: expected a whole number from %d to %d", name, text, least, most);
    return least;
}

float qgm_option_fraction(struct qgm_builder *b, const char *name)
{
    const char *text = qgm_option(b, name);
    char *end;
    float v = strtof(text, &end);
    if (end != text && !*end && v >= 0 && v < 1) return v;
    qgm_build_fail(b, QGM_USAGE, "%s=%s: expected a number from 0 to 1, 1 excluded", name, text);
    return 0;
}

int qgm_option_choice(struct qgm_builder *b, const char *name, const char *const *choices)
{
    const char *text = qgm_option(b, name);
    for (int i = 0; choices[i]; i++)
        if (!strcmp(choices[i], text)) return i;
    char list[200] = "";
    for (int i = 0, used = 0; choices[i] && used < (int)sizeof list; i++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", i ? ", " : "", choices[i]);
    qgm_build_fail(b, QGM_USAGE, "%s=%s: expected one of %s", name, text, list);
    return 0;
}
