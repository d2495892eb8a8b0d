/* Partitions of a data set over clients: the table of rules. SPDX-License-Identifier: MIT */
#include "partition.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind the colon of a spec. */
enum takes { NOTHING, WHOLE, REAL, WORD, PATH };

static const struct rule {
    const char *name, *about;
    bool alpha;
    enum takes takes;
    bool optional;
    double low, high, value; /* of a number; value: when it is left out */
    const char *what;        /* the number, or the word */
    int (*draw)(struct qgm_draw *, struct qgm_error *);
} rules[] = {
    { .name = "iid", .about = "uniformly at random, equal sizes", .draw = qgm_draw_iid },
    { .name = "lin2021",
      .about = "Dirichlet(alpha) over clients in groups of ten, re-cut into equal parts: the paper's code; "
               "lin2021:drawn is without the re-cut",
      .alpha = true,
      .takes = WORD,
      .optional = true,
      .what = "drawn",
      .draw = qgm_draw_lin2021 },
    { .name = "dirichlet",
      .about = "Dirichlet(alpha) over clients, class by class, sizes as drawn (Yurochkin et al. 2019); dirichlet:M "
               "redraws until every client has M examples (10)",
      .alpha = true,
      .takes = WHOLE,
      .optional = true,
      .low = 1,
      .high = 1e6,
      .value = 10,
      .what = "the fewest examples of a client",
      .draw = qgm_draw_dirichlet },
    { .name = "dirichlet-balanced",
      .about = "every client draws its class mix from Dirichlet(alpha), equal sizes (Acar et al. 2021)",
      .alpha = true,
      .draw = qgm_draw_dirichlet_balanced },
    { .name = "shards",
      .about = "shards:k: sorted by class, cut into k equal shards a client, dealt at random (McMahan et al. 2017)",
      .takes = WHOLE,
      .low = 1,
      .high = 1e6,
      .what = "shards a client",
      .draw = qgm_draw_shards },
    { .name = "classes",
      .about = "classes:k: every client owns k classes, a class is split evenly among its owners (Li et al. 2022)",
      .takes = WHOLE,
      .low = 1,
      .high = 1e6,
      .what = "classes a client",
      .draw = qgm_draw_classes },
    { .name = "skew",
      .about = "skew:p: the fraction p sorted by class, the rest at random, equal sizes (Hsieh et al. 2020)",
      .takes = REAL,
      .low = 0,
      .high = 1,
      .what = "the sorted fraction",
      .draw = qgm_draw_skew },
    { .name = "sorted", .about = "sorted by class, equal sizes: one or two classes a client", .draw = qgm_draw_sorted },
    { .name = "quantity",
      .about = "quantity:s: at random, sizes log-normal with deviation s of the logarithm",
      .takes = REAL,
      .low = 0,
      .high = 10,
      .what = "the deviation of log size",
      .draw = qgm_draw_quantity },
    { .name = "file",
      .about = "file:PATH: one line a client: its examples' numbers, counted from 0, with spaces, tabs or commas "
               "between them; lines with # are comments",
      .takes = PATH,
      .what = "a path",
      .draw = qgm_draw_file },
};

static const struct rule *find(const char *spec)
{
    size_t length = strcspn(spec, ":");
    for (size_t i = 0; i < QGM_COUNT(rules); i++)
        if (strlen(rules[i].name) == length && strncmp(rules[i].name, spec, length) == 0) return &rules[i];
    return NULL;
}
const char *const *qgm_partition_names(void)
{
    static const char *const names[] = { "iid",      "lin2021", "dirichlet", "dirichlet-balanced",
                                         "shards",   "classes", "skew",      "sorted",
                                         "quantity", "file",    NULL };
    _Static_assert(QGM_COUNT(names) == QGM_COUNT(rules) + 1, "every rule has a name");
    return names;
}
const char *qgm_partition_about(const char *name)
{
    const struct rule *r = find(name);
    return r ? r->about : "";
}
bool qgm_partition_uses_alpha(const char *name)
{
    const struct rule *r = find(name);
    return r && r->alpha;
}

static int fail_unknown(const char *spec, struct qgm_error *err)
{
    char name[64] = "";
    strncat(name, spec, strcspn(spec, ":") < 63 ? strcspn(spec, ":") : 63);
    const char *near = qgm_nearest(name, qgm_partition_names());
    if (near) return qgm_fail(err, QGM_USAGE, "--partition %s: unknown: did you mean '%s'?", spec, near);
    return qgm_fail(err, QGM_USAGE, "--partition %s: unknown (--list shows all)", spec);
}

/* Read what stands behind the colon. */
static int read_argument(const struct rule *rule, struct qgm_draw *d, struct qgm_error *err)
{
    const char *text = strchr(d->spec, ':'), *name = rule->name;
    char *end;
    d->value = rule->value;
    d->path = NULL;
    if (!text && (rule->optional || rule->takes == NOTHING)) return 0;
    if (text && rule->takes == NOTHING)
        return qgm_fail(err, QGM_USAGE, "--partition %s: '%s' takes nothing behind a colon", d->spec, name);
    if (!text || !*++text)
        return qgm_fail(err, QGM_USAGE, "--partition %s: expected %s:%s%s%s", d->spec, name,
                        rule->takes == PATH   ? "PATH"
                        : rule->takes == WORD ? rule->what
                                              : "NUMBER",
                        rule->takes == WORD ? "" : ", ", rule->takes == WORD ? "" : rule->what);
    switch (rule->takes) {
    case PATH:
        d->path = text;
        return 0;
    case WORD:
        d->value = 1;
        if (strcmp(text, rule->what) == 0) return 0;
        return qgm_fail(err, QGM_USAGE, "--partition %s: unknown option '%s': did you mean '%s:%s'?", d->spec, text,
                        name, rule->what);
    default:
        d->value = strtod(text, &end);
        if (end == text || *end || !(d->value >= rule->low && d->value <= rule->high) ||
            (rule->takes == WHOLE && d->value != floor(d->value)))
            return qgm_fail(err, QGM_USAGE, "--partition %s: found '%s', expected a %snumber from %g to %g: %s",
                            d->spec, text, rule->takes == WHOLE ? "whole " : "", rule->low, rule->high, rule->what);
        return 0;
    }
}

static int check(const struct rule *rule, const struct qgm_draw *d, long n, struct qgm_error *err)
{
    if (d->clients < 1) return qgm_fail(err, QGM_USAGE, "--clients %d: expected at least 1", d->clients);
    if (n < d->clients)
        return qgm_fail(err, QGM_USAGE, "--clients %d: more than the %ld training examples", d->clients, n);
    if (n > INT32_MAX) return qgm_fail(err, QGM_INPUT, "%ld examples: expected at most %d", n, INT32_MAX);
    if (rule->alpha && !(d->alpha >= 1e-6 && d->alpha <= 1e6))
        return qgm_fail(err, QGM_USAGE, "--alpha %g: expected a number from 1e-6 to 1e6", d->alpha);
    for (long k = 0; k < n; k++)
        if (d->labels[k] < 0 || d->labels[k] >= d->classes)
            return qgm_fail(err, QGM_INPUT, "example %ld: label %d, expected 0 to %d", k, d->labels[k], d->classes - 1);
    return 0;
}

/* Sizes to starts; a client without data could not train. */
static int finish(struct qgm_partition *p, const struct qgm_draw *d, struct qgm_error *err)
{
    for (int i = 0; i < p->clients; i++) {
        if (!d->sizes[i])
            return qgm_fail(err, QGM_USAGE,
                            "--partition %s: client %d of %d gets no examples: use fewer clients or another rule",
                            d->spec, i, p->clients);
        p->start[i + 1] = p->start[i] + d->sizes[i]; /* sizes lies in start + 1: entry i is read before it is written */
    }
    return 0;
}

int qgm_partition_open(struct qgm_partition *p, const char *spec, double alpha, int clients, const int32_t *labels,
                       long n, int classes, uint64_t seed, struct qgm_error *err)
{
    *p = (struct qgm_partition){ .clients = clients };
    const struct rule *rule = find(spec);
    if (!rule) return fail_unknown(spec, err);
    struct qgm_draw d = { .spec = spec,
                          .alpha = alpha,
                          .clients = clients,
                          .classes = classes,
                          .labels = labels,
                          .n = (uint32_t)n,
                          .seed = seed };
    QGM_TRY(read_argument(rule, &d, err));
    QGM_TRY(check(rule, &d, n, err));
    p->start = calloc((size_t)clients + 1, sizeof *p->start);
    p->index = malloc((size_t)n * sizeof *p->index);
    d.index = p->index;
    d.sizes = p->start + 1;
    int result = p->start && p->index ? rule->draw(&d, err) : qgm_fail(err, QGM_SYSTEM, "partition: out of memory");
    if (result == 0) result = finish(p, &d, err);
    if (result < 0) qgm_partition_close(p);
    return result;
}

void qgm_partition_close(struct qgm_partition *p)
{
    free(p->start);
    free(p->index);
    memset(p, 0, sizeof *p);
}
