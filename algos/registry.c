/* The lists of algorithms. SPDX-License-Identifier: MIT */
#include "registry.h"
#include "engine.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

extern const struct qgm_algo_table qgm_algo_table_scalar;
#ifdef QGM_BUILT_AVX2
extern const struct qgm_algo_table qgm_algo_table_avx2;
#endif
#ifdef QGM_BUILT_AVX512
extern const struct qgm_algo_table qgm_algo_table_avx512;
#endif
#ifdef QGM_BUILT_NEON
extern const struct qgm_algo_table qgm_algo_table_neon;
#endif

static const struct qgm_algo_table *const tables[] = {
    &qgm_algo_table_scalar,
#ifdef QGM_BUILT_AVX2
    &qgm_algo_table_avx2,
#endif
#ifdef QGM_BUILT_AVX512
    &qgm_algo_table_avx512,
#endif
#ifdef QGM_BUILT_NEON
    &qgm_algo_table_neon,
#endif
};
enum { MAX_ALGOS = 64 };
static const struct qgm_knob local = {
    .name = "local", .help = "gradient steps per exchange", .value = 1, .low = 1, .high = 1e6, .whole = true
};

int qgm_algo_knobs(const struct qgm_algo *algo, struct qgm_knob knobs[QGM_MAX_KNOBS])
{
    int n = 0;
    memcpy(knobs, algo->knob, QGM_MAX_KNOBS * sizeof *knobs);
    while (n < QGM_MAX_KNOBS && knobs[n].name) n++;
    if (!algo->local_steps) return -1;
    assert(n < QGM_MAX_KNOBS);
    knobs[n] = local;
    return n;
}

/* Where there are none, the reason is worth more than a list of the other options. */
static int refuse_local(const struct qgm_algo *algo, const char *spec, struct qgm_error *err)
{
    for (const char *at = spec; (at = strpbrk(at, ":,"));)
        if (strncmp(++at, "local=", 6) == 0)
            return qgm_fail(err, QGM_USAGE, "algorithm '%s': %s takes no local steps: %s: drop '%.*s'", spec,
                            algo->name, algo->no_local, (int)strcspn(at, ","), at);
    return 0;
}

int qgm_algo_read(const struct qgm_algo *algo, const char *spec, double value[QGM_MAX_KNOBS], int *steps,
                  struct qgm_error *err)
{
    struct qgm_knob knobs[QGM_MAX_KNOBS];
    int at = qgm_algo_knobs(algo, knobs);
    if (at < 0) QGM_TRY(refuse_local(algo, spec, err));
    QGM_TRY(qgm_spec_read(spec, "algorithm", knobs, value, err));
    *steps = at < 0 ? 1 : (int)value[at];
    return 0;
}

const struct qgm_algo_table *qgm_algo_table(const char *isa)
{
    for (size_t i = 0; i < QGM_COUNT(tables); i++)
        if (strcmp(tables[i]->isa, isa) == 0) return tables[i];
    return tables[0];
}

/* Algorithms in the order of algos.def, all tables alike. */
static const struct qgm_algo *nth(const struct qgm_algo_table *table, int n)
{
    for (const struct qgm_algo *const *family = table->families; *family; family++)
        for (const struct qgm_algo *a = *family; a->name; a++)
            if (n-- == 0) return a;
    return NULL;
}

const char *const *qgm_algo_names(void)
{
    static const char *names[MAX_ALGOS + 1];
    const struct qgm_algo *a;
    for (int i = 0; i < MAX_ALGOS && (a = nth(tables[0], i)); i++) names[i] = a->name;
    return names;
}

const struct qgm_algo *qgm_algo_find(const struct qgm_algo_table *table, const char *spec, struct qgm_error *err)
{
    const struct qgm_algo *a;
    for (int i = 0; (a = nth(table, i)); i++)
        if (qgm_spec_is(spec, a->name)) return a;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)qgm_spec_name(spec), spec);
    const char *near = qgm_nearest(name, qgm_algo_names());
    if (near)
        qgm_fail(err, QGM_USAGE, "unknown algorithm '%s': did you mean '%s'?", name, near);
    else
        qgm_fail(err, QGM_USAGE, "unknown algorithm '%s': --list shows all", name);
    return NULL;
}

int qgm_algo_check(const char *spec, struct qgm_error *err)
{
    double value[QGM_MAX_KNOBS];
    int steps;
    const struct qgm_algo *a = qgm_algo_find(tables[0], spec, err);
    return a ? qgm_algo_read(a, spec, value, &steps, err) : -1;
}

const char *qgm_algo_about(const char *name)
{
    static char texts[MAX_ALGOS][240];
    const struct qgm_algo *a;
    for (int i = 0; i < MAX_ALGOS && (a = nth(tables[0], i)); i++)
        if (qgm_spec_is(name, a->name)) {
            struct qgm_knob knobs[QGM_MAX_KNOBS];
            qgm_algo_knobs(a, knobs);
            qgm_spec_about(texts[i], sizeof texts[i], a->about, knobs);
            return texts[i];
        }
    return NULL;
}

const char *qgm_algo_options(void)
{
    static char text[6000];
    const struct qgm_algo *a;
    for (int i = 0; i < MAX_ALGOS && (a = nth(tables[0], i)); i++) {
        struct qgm_knob knobs[QGM_MAX_KNOBS];
        qgm_algo_knobs(a, knobs);
        qgm_spec_glossary(text, sizeof text, knobs);
    }
    return text;
}

const char *qgm_algo_source(const char *name)
{
    const struct qgm_algo *a = qgm_algo_find(tables[0], name, NULL);
    return a ? a->source : NULL;
}

int qgm_algo_traffic(const char *name)
{
    const struct qgm_algo *a = qgm_algo_find(tables[0], name, NULL);
    return a ? a->bytes : 0;
}
