/* Partitions of a data set over clients. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "dmath.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* What a rule reads and what it fills. sizes: NULL for rules that end in an equal cut. */
struct draw {
    double alpha;
    int clients, classes;
    const int32_t *labels;
    uint32_t n;
    uint64_t seed;
    uint32_t *index; /* n entries: clients' examples one after the other */
    uint32_t *sizes; /* clients entries: 0-filled; left at 0: cut the index into equal parts */
};

static int draw_iid(struct draw *d, struct qgm_error *err)
{
    (void)err;
    for (uint32_t k = 0; k < d->n; k++) d->index[k] = k;
    struct qgm_random r = qgm_random(d->seed, QGM_RANDOM_PARTITION, 0, 0);
    qgm_random_shuffle(&r, d->index, d->n);
    return 0;
}

/* Stable by label: every client gets one class, or two. */
static int draw_sorted(struct draw *d, struct qgm_error *err)
{
    (void)err;
    uint32_t at = 0;
    for (int c = 0; c < d->classes; c++)
        for (uint32_t k = 0; k < d->n; k++)
            if (d->labels[k] == c) d->index[at++] = k;
    return 0;
}

/* p ~ Dirichlet(alpha 1) over m bins, in logarithms: gamma variates of a small shape underflow. */
static void dirichlet(struct qgm_random *r, double alpha, int m, double *p)
{
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < m; j++) {
        p[j] = qgm_random_log_gamma(r, alpha);
        if (p[j] > top) top = p[j];
    }
    for (int j = 0; j < m; j++) sum += p[j] = qgm_exp(p[j] - top);
    for (int j = 0; j < m; j++) p[j] /= sum;
}

enum { GROUP = 10, ATTEMPTS = 100000 };

/* One attempt at dealing a group's examples (already shuffled, `s` of them) to m bins (reference-spec 3): class by
 * class, proportions ~ Dirichlet, bins that hold their mean share get no more. bin[k]: the bin of example k. */
static void deal(struct qgm_random *r, const struct draw *d, const uint32_t *group, uint32_t s, int m, uint8_t *bin,
                 uint32_t *held, uint32_t *members)
{
    double p[GROUP];
    memset(held, 0, (size_t)m * sizeof *held);
    for (int c = 0; c < d->classes; c++) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < s; k++)
            if (d->labels[group[k]] == c) members[count++] = k;
        dirichlet(r, d->alpha, m, p);
        double sum = 0, cumulated = 0;
        for (int j = 0; j < m; j++) sum += p[j] = held[j] < (double)s / m ? p[j] : 0;
        uint32_t from = 0;
        for (int j = 0; j < m; j++) {
            cumulated += sum > 0 ? p[j] / sum : 0;
            uint32_t to = j == m - 1 ? count : (uint32_t)(cumulated * count);
            if (to > count) to = count;
            for (uint32_t k = from; k < to; k++) bin[members[k]] = (uint8_t)j;
            held[j] += to > from ? to - from : 0;
            if (to > from) from = to;
        }
    }
}

/* The paper's released scheme: groups of at most ten clients, redrawn until every bin has half its mean share. */
static int draw_dirichlet_groups(struct draw *d, bool recut, struct qgm_error *err)
{
    uint32_t *shuffled = malloc(d->n * sizeof *shuffled), *members = malloc(d->n * sizeof *members), at = 0, first = 0;
    uint8_t *bin = malloc(d->n);
    int groups = (d->clients + GROUP - 1) / GROUP,
        result = shuffled && members && bin ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
    struct qgm_random r = qgm_random(d->seed, QGM_RANDOM_PARTITION, 0, 0);
    for (uint32_t k = 0; result == 0 && k < d->n; k++) shuffled[k] = k;
    if (result == 0) qgm_random_shuffle(&r, shuffled, d->n);
    for (int g = 0; g < groups && result == 0; g++) {
        int m = g < groups - 1 ? GROUP : d->clients - GROUP * (groups - 1);
        uint32_t s = g < groups - 1 ? (uint32_t)((double)GROUP / d->clients * d->n) : d->n - first, held[GROUP],
                 least = 0;
        uint32_t wanted = (uint32_t)(0.5 * s / m);
        int attempt = 0;
        do {
            r = qgm_random(d->seed, QGM_RANDOM_PARTITION, (uint32_t)g + 1, (uint32_t)attempt);
            deal(&r, d, shuffled + first, s, m, bin, held, members);
            least = held[0];
            for (int j = 1; j < m; j++) least = held[j] < least ? held[j] : least;
        } while (least < wanted && ++attempt < ATTEMPTS);
        if (least < wanted)
            result = qgm_fail(err, QGM_USAGE,
                              "--alpha %g: no partition gave every client half its share in %d draws: use a larger "
                              "alpha, or --partition dirichlet",
                              d->alpha, ATTEMPTS);
        for (int j = 0; j < m && result == 0; j++) {
            /* Class by class, as dealt: the cut that follows moves whole classes over a boundary, not a sample of all.
             */
            for (int c = 0; c < d->classes; c++)
                for (uint32_t k = 0; k < s; k++)
                    if (bin[k] == j && d->labels[shuffled[first + k]] == c) d->index[at++] = shuffled[first + k];
            if (!recut) d->sizes[g * GROUP + j] = held[j];
        }
        first += s;
    }
    free(shuffled);
    free(members);
    free(bin);
    return result;
}

static int draw_lin2021(struct draw *d, struct qgm_error *err) { return draw_dirichlet_groups(d, true, err); }
static int draw_lin2021_drawn(struct draw *d, struct qgm_error *err) { return draw_dirichlet_groups(d, false, err); }

static const struct rule {
    const char *name, *about;
    bool alpha;
    int (*draw)(struct draw *, struct qgm_error *);
} rules[] = {
    { "iid", "uniformly at random, equal sizes", false, draw_iid },
    { "lin2021", "Dirichlet(alpha) in groups of ten clients, then re-cut into equal parts: as the paper's code does",
      true, draw_lin2021 },
    { "lin2021-drawn", "the same before the cut: sizes differ by up to a factor of about three", true,
      draw_lin2021_drawn },
    { "sorted", "sorted by class, equal sizes: one or two classes a client", false, draw_sorted },
};

static const struct rule *find(const char *name)
{
    for (size_t i = 0; i < QGM_COUNT(rules); i++)
        if (strcmp(rules[i].name, name) == 0) return &rules[i];
    return NULL;
}
const char *const *qgm_partition_names(void)
{
    static const char *names[QGM_COUNT(rules) + 1];
    for (size_t i = 0; i < QGM_COUNT(rules); i++) names[i] = rules[i].name;
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

int qgm_partition_open(struct qgm_partition *p, const char *spec, double alpha, int clients, const int32_t *labels,
                       long n, int classes, uint64_t seed, struct qgm_error *err)
{
    *p = (struct qgm_partition){ .clients = clients };
    const struct rule *rule = find(spec);
    if (!rule) return qgm_fail(err, QGM_USAGE, "--partition %s: unknown", spec);
    if (clients < 1 || n < clients)
        return qgm_fail(err, QGM_USAGE, "--clients %d: more than the %ld training examples", clients, n);
    if (rule->alpha && !(alpha > 0)) return qgm_fail(err, QGM_USAGE, "--alpha %g: expected a number above 0", alpha);
    p->start = calloc((size_t)clients + 1, sizeof *p->start);
    p->index = malloc((size_t)n * sizeof *p->index);
    if (!p->start || !p->index) {
        qgm_partition_close(p);
        return qgm_fail(err, QGM_SYSTEM, "out of memory");
    }
    struct draw d = { .alpha = alpha,
                      .clients = clients,
                      .classes = classes,
                      .labels = labels,
                      .n = (uint32_t)n,
                      .seed = seed,
                      .index = p->index,
                      .sizes = p->start + 1 };
    if (rule->draw(&d, err) < 0) {
        qgm_partition_close(p);
        return -1;
    }
    bool equal = p->start[clients] == 0;
    for (int i = 0; i < clients; i++)
        p->start[i + 1] = equal ? (uint32_t)(n / clients) * (uint32_t)(i + 1) : p->start[i] + p->start[i + 1];
    return 0;
}
void qgm_partition_close(struct qgm_partition *p)
{
    free(p->start);
    free(p->index);
    memset(p, 0, sizeof *p);
}

void qgm_partition_measure(const struct qgm_partition *p, const int32_t *labels, int classes,
                           struct qgm_heterogeneity *out, long *counts)
{
    *out = (struct qgm_heterogeneity){ .size_min = INT32_MAX, .entropy_min = INFINITY };
    long *own = counts ? counts : malloc((size_t)(p->clients * classes) * sizeof *own);
    memset(own, 0, (size_t)(p->clients * classes) * sizeof *own);
    double *all = calloc((size_t)classes, sizeof *all);
    uint32_t total = p->start[p->clients];
    for (int i = 0; i < p->clients; i++)
        for (uint32_t k = p->start[i]; k < p->start[i + 1]; k++) {
            own[i * classes + labels[p->index[k]]]++;
            all[labels[p->index[k]]] += 1.0 / total;
        }
    for (int i = 0; i < p->clients; i++) {
        long size = p->start[i + 1] - p->start[i];
        double l1 = 0, entropy = 0, largest = 0;
        for (int c = 0; c < classes; c++) {
            double q = size ? (double)own[i * classes + c] / (double)size : 0;
            l1 += fabs(q - all[c]);
            if (q > 0) entropy -= q * qgm_log(q);
            if (q > largest) largest = q;
        }
        out->tv_mean += l1 / 2 / p->clients;
        if (l1 / 2 > out->tv_max) out->tv_max = l1 / 2;
        out->emd_mean += l1 / p->clients;
        out->entropy_mean += entropy / p->clients;
        if (entropy < out->entropy_min) out->entropy_min = entropy;
        out->largest_class_mean += largest / p->clients;
        if (size < out->size_min) out->size_min = size;
        if (size > out->size_max) out->size_max = size;
    }
    out->fingerprint = XXH3_64bits(p->index, total * sizeof *p->index) ^
                       XXH3_64bits(p->start, ((size_t)p->clients + 1) * sizeof *p->start);
    if (!counts) free(own);
    free(all);
}
