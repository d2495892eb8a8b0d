/* Dirichlet partitions: of the paper's released code, plain, and balanced. SPDX-License-Identifier: MIT */
#include "dmath.h"
#include "partition.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP = 10,              /* clients that share a draw in the paper's code */
    MOST_VARIATES = 5000000, /* gamma variates before a draw is given up: about a second */
};

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

/* Examples that are dealt to m clients at once. */
struct group {
    int m;
    bool cap;          /* bins that hold their mean share get no more */
    uint32_t n, least; /* examples; redraw until every bin has `least` */
    uint32_t *order;   /* the examples, by class */
    uint32_t *start;   /* classes + 1: where a class begins in order */
    uint32_t *cut;     /* classes x (m + 1): where a bin begins within its class */
    uint32_t *held;    /* m: examples in a bin */
    double *p;         /* m */
};

/* One attempt, as in the code of Lin et al. (2021): class by class, proportions ~ Dirichlet, cut at the cumulated
 * proportions. If every open bin underflowed, the last one takes the class, as NumPy's NaN does there. Returns the
 * smallest bin. */
static uint32_t attempt(const struct qgm_draw *d, const struct group *g, struct qgm_random *r)
{
    memset(g->held, 0, (size_t)g->m * sizeof *g->held);
    for (int c = 0; c < d->classes; c++) {
        uint32_t count = g->start[c + 1] - g->start[c], *cut = g->cut + (size_t)c * ((size_t)g->m + 1);
        double sum = 0, cumulated = 0;
        cut[0] = 0;
        dirichlet(r, d->alpha, g->m, g->p);
        for (int j = 0; j < g->m; j++) {
            if (g->cap && g->held[j] >= (double)g->n / g->m) g->p[j] = 0;
            sum += g->p[j];
        }
        for (int j = 0; j < g->m; j++) {
            cumulated += sum > 0 ? g->p[j] / sum : 0;
            uint32_t to = j == g->m - 1 ? count : (uint32_t)(cumulated * count);
            cut[j + 1] = to < count ? to : count;
            g->held[j] += cut[j + 1] - cut[j];
        }
    }
    uint32_t least = UINT32_MAX;
    for (int j = 0; j < g->m; j++) least = g->held[j] < least ? g->held[j] : least;
    return least;
}

/* Draw until it succeeds, then write the bins to index and sizes. number: of the group, from 0. */
static int deal(const struct qgm_draw *d, const struct group *g, int number, uint32_t *index, uint32_t *sizes,
                struct qgm_error *err)
{
    long most = MOST_VARIATES / ((long)g->m * d->classes) + 100, tries = 0;
    uint32_t least;
    if ((uint64_t)g->least * (uint64_t)g->m > g->n)
        return qgm_fail(err, QGM_USAGE,
                        "--partition %s: %d clients with %u examples each are more than the %u there are", d->spec,
                        g->m, g->least, g->n);
    do {
        struct qgm_random r = qgm_draw_stream(d, (uint32_t)number + 1, (uint32_t)tries);
        least = attempt(d, g, &r);
    } while (least < g->least && ++tries < most);
    if (least < g->least)
        return qgm_fail(err, QGM_USAGE,
                        "--partition %s: %ld draws with alpha %g gave none where each of %d clients has at least %u of "
                        "%u examples: use a larger --alpha, fewer clients, or --partition dirichlet-balanced",
                        d->spec, most, d->alpha, g->m, g->least, g->n);
    for (int j = 0; j < g->m; j++)
        /* Class by class, as dealt: a cut that follows moves classes over a boundary, not a sample of all. */
        for (int c = 0; c < d->classes; c++) {
            const uint32_t *cut = g->cut + (size_t)c * ((size_t)g->m + 1) + j;
            memcpy(index, g->order + g->start[c] + cut[0], (cut[1] - cut[0]) * sizeof *index);
            index += cut[1] - cut[0];
        }
    memcpy(sizes, g->held, (size_t)g->m * sizeof *sizes);
    return 0;
}

static void close_group(struct group *g)
{
    free(g->order);
    free(g->start);
    free(g->cut);
    free(g->held);
    free(g->p);
}

/* Room for groups of at most n examples and m clients. */
static int open_group(struct group *g, const struct qgm_draw *d, int m, struct qgm_error *err)
{
    *g = (struct group){ .m = m };
    if ((g->order = qgm_draw_memory(d->n, sizeof *g->order, err)) &&
        (g->start = qgm_draw_memory((size_t)d->classes + 1, sizeof *g->start, err)) &&
        (g->cut = qgm_draw_memory((size_t)d->classes * ((size_t)m + 1), sizeof *g->cut, err)) &&
        (g->held = qgm_draw_memory((size_t)m, sizeof *g->held, err)) &&
        (g->p = qgm_draw_memory((size_t)m, sizeof *g->p, err)))
        return 0;
    close_group(g);
    return -1;
}

/* The released scheme: groups of at most ten clients, redrawn until every bin has half its mean share; then, unless
 * "drawn" is asked for, all is cut anew into equal parts, which blurs the boundaries between clients. */
int qgm_draw_lin2021(struct qgm_draw *d, struct qgm_error *err)
{
    bool drawn = d->value > 0;
    int groups = (d->clients + GROUP - 1) / GROUP, result = 0;
    uint32_t first = 0, *shuffled = qgm_draw_memory(d->n, sizeof *shuffled, err);
    struct group g = { 0 };
    if (!shuffled || open_group(&g, d, d->clients < GROUP ? d->clients : GROUP, err) < 0) {
        free(shuffled);
        return -1;
    }
    qgm_draw_shuffled(d, shuffled);
    for (int i = 0; i < groups && result == 0; i++) {
        bool last = i == groups - 1;
        g.m = last ? d->clients - GROUP * i : GROUP;
        g.n = last ? d->n - first : (uint32_t)((double)GROUP / d->clients * d->n);
        g.cap = true;
        g.least = (uint32_t)(0.5 * g.n / g.m);
        qgm_sort_by_class(d, shuffled + first, g.n, g.order, g.start);
        result = deal(d, &g, i, d->index + first, d->sizes + GROUP * i, err);
        first += g.n;
    }
    if (!drawn) qgm_cut_equal(d);
    close_group(&g);
    free(shuffled);
    return result;
}

int qgm_draw_dirichlet(struct qgm_draw *d, struct qgm_error *err)
{
    struct group g;
    uint32_t *shuffled = qgm_draw_memory(d->n, sizeof *shuffled, err), half = d->n / (2 * (uint32_t)d->clients);
    if (!shuffled || open_group(&g, d, d->clients, err) < 0) {
        free(shuffled);
        return -1;
    }
    g.n = d->n;
    g.least = (uint32_t)d->value;
    if (!strchr(d->spec, ':') && g.least > half) g.least = half ? half : 1; /* the default bends to small data sets */
    qgm_draw_shuffled(d, shuffled);
    qgm_sort_by_class(d, shuffled, d->n, g.order, g.start);
    int result = deal(d, &g, 0, d->index, d->sizes, err);
    close_group(&g);
    free(shuffled);
    return result;
}

/* A class for one example of a client with mix p: an inverse-cdf draw over the classes that have examples left; when
 * none of the mix is left, over what is left of all. So it ends, however small alpha is. */
static int pick_class(const double *p, const uint32_t *left, int classes, double u)
{
    double sum = 0;
    for (int c = 0; c < classes; c++) sum += left[c] ? p[c] : 0;
    bool own = sum > 0;
    for (int c = 0; c < classes && !own; c++) sum += left[c];
    int last = -1;
    for (int c = 0; c < classes && u >= 0; c++)
        if (left[c]) {
            u -= (own ? p[c] : left[c]) / sum;
            last = c;
        }
    return last;
}

int qgm_draw_dirichlet_balanced(struct qgm_draw *d, struct qgm_error *err)
{
    uint32_t share = d->n / (uint32_t)d->clients, total = share * (uint32_t)d->clients, classes = (uint32_t)d->classes;
    uint32_t *order = qgm_draw_memory(d->n + (size_t)total + d->n + 2 * (size_t)classes + 1, sizeof *order, err);
    double *p = qgm_draw_memory((size_t)d->clients * classes, sizeof *p, err);
    if (!order || !p) {
        free(order);
        free(p);
        return -1;
    }
    uint32_t *turn = order + d->n, *sorted = turn + total, *left = sorted + d->n, *start = left + classes;
    qgm_draw_shuffled(d, order);
    qgm_sort_by_class(d, order, d->n, sorted, start);
    for (uint32_t c = 0; c < classes; c++) left[c] = start[c + 1] - start[c];
    struct qgm_random r = qgm_draw_stream(d, 1, 0);
    for (int i = 0; i < d->clients; i++) dirichlet(&r, d->alpha, d->classes, p + (size_t)i * classes);
    for (uint32_t k = 0; k < total; k++) turn[k] = k / share; /* clients take turns at random, so that what is scarce */
    qgm_random_shuffle(&r, turn, total);                      /* at the end is scarce for all */
    for (uint32_t k = 0; k < total; k++) {
        int c = pick_class(p + (size_t)turn[k] * classes, left, d->classes, qgm_random_double(&r));
        d->index[(size_t)turn[k] * share + d->sizes[turn[k]]++] = sorted[start[c] + --left[c]];
    }
    free(order);
    free(p);
    return 0;
}
