/* From a list of links to rows of W. SPDX-License-Identifier: MIT */
#include "graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WEIGHT 1e6 /* spectra are to be computed */

static bool grow(void **memory, size_t count, size_t size)
{
    void *bigger = realloc(*memory, count * size);
    if (!bigger) return false;
    *memory = bigger;
    return true;
}

void qgm_link_add(struct qgm_links *l, int to, int from, double w)
{
    if (l->out_of_memory) return;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 4 * (size_t)l->n;
        if (!grow((void **)&l->link, capacity, sizeof *l->link) ||
            !grow((void **)&l->sorted, capacity, sizeof *l->sorted)) {
            l->out_of_memory = true;
            return;
        }
        l->capacity = capacity;
    }
    l->link[l->count++] = (struct qgm_link){ to, from, w };
}

void qgm_edge(struct qgm_links *l, int a, int b)
{
    if (a == b) return;
    qgm_link_add(l, a, b, 1);
    qgm_link_add(l, b, a, 1);
}

void qgm_links_clear(struct qgm_links *l)
{
    l->count = 0;
    l->out_of_memory = false; /* there may be memory by now */
    if (!l->start) l->start = calloc((size_t)l->n + 1, sizeof *l->start);
    if (!l->scratch) l->scratch = calloc((size_t)l->n, 2 * sizeof *l->scratch);
    if (!l->start || !l->scratch) l->out_of_memory = true;
    for (int i = 0; i < l->n; i++) qgm_link_add(l, i, i, 0); /* every row has its own client, even with weight 0 */
}

void qgm_links_close(struct qgm_links *l)
{
    free(l->link);
    free(l->sorted);
    free(l->start);
    free(l->scratch);
    *l = (struct qgm_links){ 0 };
}

/* Stable counting sort by `to` or `from`: linear in links, and no allocation inside a run. */
static void sort_by(const struct qgm_links *l, const struct qgm_link *in, struct qgm_link *out, bool to)
{
    memset(l->start, 0, ((size_t)l->n + 1) * sizeof *l->start);
    for (size_t i = 0; i < l->count; i++) l->start[(to ? in[i].to : in[i].from) + 1]++;
    for (int i = 0; i < l->n; i++) l->start[i + 1] += l->start[i];
    for (size_t i = 0; i < l->count; i++) out[l->start[to ? in[i].to : in[i].from]++] = in[i];
}

static void merge(struct qgm_links *l, bool add)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct qgm_link *last = kept ? &l->link[kept - 1] : NULL;
        if (!last || last->to != l->link[i].to || last->from != l->link[i].from)
            l->link[kept++] = l->link[i];
        else if (add)
            last->w += l->link[i].w;
    }
    l->count = kept;
}

/* A link of weight 0 is none: nothing is sent over it, and a tree stays a tree. */
static int check_weights(struct qgm_links *l, struct qgm_error *err)
{
    size_t kept = 0;
    for (const struct qgm_link *k = l->link; k < l->link + l->count; k++) {
        if (!(fabs(k->w) <= MOST_WEIGHT))
            return qgm_fail(err, QGM_INPUT, "the weight of %d's message at %d is %g: expected numbers up to %g",
                            k->from, k->to, k->w, MOST_WEIGHT);
        if (k->w != 0 || k->to == k->from) l->link[kept++] = *k;
    }
    l->count = kept;
    return 0;
}

/* All or nothing: rows that stand point into both buffers. */
static int reserve(struct qgm_rows *r, const struct qgm_links *l)
{
    if (!r->row && !grow((void **)&r->row, (size_t)l->n, sizeof *r->row)) return -1;
    if (l->count <= r->capacity) return 0;
    int *from = malloc(l->count * sizeof *from);
    double *w = malloc(l->count * sizeof *w);
    if (!from || !w) {
        free(from);
        free(w);
        return -1;
    }
    free(r->from);
    free(r->w);
    *r = (struct qgm_rows){ .row = r->row, .from = from, .w = w, .capacity = l->count };
    return 0;
}

/* w_ij = 1/(1 + max(d_i, d_j)) (Metropolis-Hastings), 1/(1 + d_i) (rows only) or 1/(1 + d_max); w_ii is the rest. Where
 * all of a row's weights are the same, w_ii is that weight and not 1 minus a rounded sum. */
static void weigh(struct qgm_rows *r, int n, enum qgm_weighting weighting)
{
    int most = 0;
    for (int i = 0; i < n; i++) most = r->row[i].n > most ? r->row[i].n : most;
    for (int i = 0; i < n; i++) {
        const struct qgm_row *row = &r->row[i];
        double *w = r->w + (row->w - r->w), rest = 1, own = 1.0 / row->n;
        int self = 0;
        bool same = true;
        for (int k = 0; k < row->n; k++) {
            if (row->from[k] == i) self = k;
            int other = r->row[row->from[k]].n, largest = other > row->n ? other : row->n;
            w[k] = weighting == QGM_METROPOLIS ? 1.0 / largest : weighting == QGM_UNIFORM ? own : 1.0 / most;
            same = same && w[k] == own;
            if (row->from[k] != i) rest -= w[k];
        }
        w[self] = same ? own : rest;
    }
}

int qgm_rows_make(struct qgm_rows *r, struct qgm_links *l, enum qgm_weighting weighting, bool lazy,
                  struct qgm_error *err)
{
    if (l->out_of_memory) return qgm_fail(err, QGM_SYSTEM, "out of memory for a graph's links");
    sort_by(l, l->link, l->sorted, false);
    sort_by(l, l->sorted, l->link, true);
    merge(l, weighting == QGM_EXPLICIT);
    if (weighting == QGM_EXPLICIT) QGM_TRY(check_weights(l, err));
    if (reserve(r, l) < 0) return qgm_fail(err, QGM_SYSTEM, "out of memory for %zu mixing weights", l->count);
    size_t at = 0;
    for (int i = 0; i < l->n; i++) {
        struct qgm_row *row = &r->row[i];
        *row = (struct qgm_row){ .from = r->from + at, .w = r->w + at };
        for (; at < l->count && l->link[at].to == i; at++, row->n++) {
            r->from[at] = l->link[at].from;
            r->w[at] = l->link[at].w;
        }
    }
    if (weighting != QGM_EXPLICIT) weigh(r, l->n, weighting);
    for (size_t k = 0; lazy && k < l->count; k++)
        r->w[k] = 0.5 * r->w[k] + (l->link[k].to == l->link[k].from ? 0.5 : 0);
    return 0;
}

void qgm_rows_close(struct qgm_rows *r)
{
    free(r->row);
    free(r->from);
    free(r->w);
    *r = (struct qgm_rows){ 0 };
}
