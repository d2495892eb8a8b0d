/* Random graphs: drawn once from the seed, or anew each step as a pure function of seed and step.
 * SPDX-License-Identifier: MIT */
#include "graph.h"
#include <string.h>

enum { MAX_TRIES = 1000 };

static struct qgm_random stream(const struct qgm_request *r, long draw, int attempt)
{
    return qgm_random(r->seed, QGM_RANDOM_GRAPH, (uint32_t)attempt, (uint32_t)draw);
}

static int never_repeats(const struct qgm_request *r, struct qgm_error *err)
{
    (void)r, (void)err;
    return 0;
}

static void permutation(const struct qgm_request *r, long draw, uint32_t *order)
{
    struct qgm_random random = stream(r, draw, 0);
    for (int i = 0; i < r->n; i++) order[i] = (uint32_t)i;
    qgm_random_shuffle(&random, order, (uint32_t)r->n);
}

/* A random perfect matching; with an odd number one client stays alone. */
static int matching(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    permutation(r, draw, l->scratch);
    for (int i = 0; i + 1 < r->n; i += 2) qgm_edge(l, (int)l->scratch[i], (int)l->scratch[i + 1]);
    return 0;
}

static int random_ring(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    permutation(r, draw, l->scratch);
    for (int i = 0; i < r->n; i++) qgm_edge(l, (int)l->scratch[i], (int)l->scratch[(i + 1) % r->n]);
    return 0;
}

/* Are all clients reached from 0? Edges are the links from `begin` on; merges labels until nothing changes. */
static bool connected(const struct qgm_links *l, int n, size_t begin)
{
    uint32_t *label = l->scratch;
    for (int i = 0; i < n; i++) label[i] = (uint32_t)i;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t k = begin; k < l->count; k++) {
            uint32_t *a = &label[l->link[k].to], *b = &label[l->link[k].from], low = *a < *b ? *a : *b;
            changed = changed || *a != *b;
            *a = *b = low;
        }
    }
    for (int i = 0; i < n; i++)
        if (label[i]) return false;
    return true;
}

static int erdos_renyi(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    size_t begin = l->count;
    for (int attempt = 0; attempt < MAX_TRIES; attempt++) {
        struct qgm_random random = stream(r, draw, attempt);
        l->count = begin;
        for (int i = 0; i < r->n; i++)
            for (int j = i + 1; j < r->n; j++)
                if (qgm_random_double(&random) < r->knob[0]) qgm_edge(l, i, j);
        if (l->out_of_memory || connected(l, r->n, begin)) return 0; /* qgm_rows_make says it */
    }
    return qgm_fail(err, QGM_USAGE, "topology %s: %d draws with p=%g on %d clients were not connected: use a larger p",
                    r->spec, MAX_TRIES, r->knob[0], r->n);
}

static int regular_fits(const struct qgm_request *r, struct qgm_error *err)
{
    int degree = (int)r->knob[0];
    if (degree < r->n && r->n * degree % 2 == 0) return 1;
    return qgm_fail(err, QGM_USAGE,
                    "topology %s: no graph of %d clients with %d neighbours each: expected fewer neighbours "
                    "than clients, and an even product",
                    r->spec, r->n, degree);
}

static bool adjacent(const struct qgm_links *l, size_t begin, uint32_t a, uint32_t b)
{
    for (size_t k = begin; k < l->count; k++)
        if (l->link[k].to == (int)a && l->link[k].from == (int)b) return true;
    return false;
}

/* Join random clients that still lack neighbours and are not joined yet, until none lacks any; start again when stuck
 * (Steger and Wormald 1999). */
static bool try_regular(const struct qgm_request *r, struct qgm_random *random, struct qgm_links *l, size_t begin)
{
    uint32_t *open = l->scratch, *lacks = l->scratch + r->n, left = (uint32_t)r->n;
    for (int i = 0; i < r->n; i++) open[i] = (uint32_t)i, lacks[i] = (uint32_t)r->knob[0];
    for (int misses = 0; left && misses < 100 + 10 * r->n;) {
        uint32_t i = qgm_random_below(random, left), j = qgm_random_below(random, left), a = open[i], b = open[j];
        if (a == b || adjacent(l, begin, a, b)) {
            misses++;
            continue;
        }
        qgm_edge(l, (int)a, (int)b);
        misses = 0;
        if (--lacks[a] == 0) {
            open[i] = open[--left];
            if (j == left) j = i;
        }
        if (--lacks[b] == 0) open[j] = open[--left];
    }
    return left == 0 && !l->out_of_memory && connected(l, r->n, begin);
}

static int regular(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    size_t begin = l->count;
    for (int attempt = 0; attempt < MAX_TRIES; attempt++) {
        struct qgm_random random = stream(r, draw, attempt);
        l->count = begin;
        if (try_regular(r, &random, l, begin) || l->out_of_memory) return 0; /* qgm_rows_make says it */
    }
    return qgm_fail(err, QGM_USAGE, "topology %s: %d attempts gave no connected graph: another --seed or degree may",
                    r->spec, MAX_TRIES);
}

/* ---- EquiTopo: sums of A(a) = ((n - 1)/n) P^a + I/n, P the cyclic shift (Song et al., NeurIPS 2022) ---- */

static void add_shift(const struct qgm_request *r, struct qgm_links *l, uint32_t shift, double share, bool both_ways)
{
    int n = r->n;
    double w = share * (n - 1) / n * (both_ways ? 0.5 : 1);
    for (int i = 0; i < n; i++) {
        int j = (int)(((uint32_t)i + shift) % (uint32_t)n);
        qgm_link_add(l, i, i, share / n);
        qgm_link_add(l, i, j, w);
        if (both_ways) qgm_link_add(l, j, i, w);
    }
}

static uint32_t draw_shift(struct qgm_random *random, int n)
{
    return n > 1 ? 1 + qgm_random_below(random, (uint32_t)n - 1) : 0;
}

static void equi_static(const struct qgm_request *r, struct qgm_links *l, bool both_ways)
{
    struct qgm_random random = stream(r, 0, 0);
    for (int m = 0; m < r->knob[0]; m++) add_shift(r, l, draw_shift(&random, r->n), 1 / r->knob[0], both_ways);
}

static int equi_static_directed(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    equi_static(r, l, false);
    return 0;
}

static int equi_static_both(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    equi_static(r, l, true);
    return 0;
}

/* (1 - eta) I + eta A(a), a new shift each step */
static int equi_dyn_directed(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    struct qgm_random random = stream(r, draw, 0);
    for (int i = 0; i < r->n; i++) qgm_link_add(l, i, i, 1 - r->knob[0]);
    add_shift(r, l, draw_shift(&random, r->n), r->knob[0], false);
    return 0;
}

/* The same with a matching in the place of the shift: from a random start on, i takes i + a if both are free. */
static int equi_dyn_both(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    int n = r->n;
    struct qgm_random random = stream(r, draw, 0);
    uint32_t shift = draw_shift(&random, n), start = qgm_random_below(&random, (uint32_t)n);
    memset(l->scratch, 0, (size_t)n * sizeof *l->scratch);
    double w = r->knob[0] * (n - 1) / n;
    for (int k = 0; k < n; k++) {
        uint32_t i = (start + (uint32_t)k) % (uint32_t)n, j = (i + shift) % (uint32_t)n;
        qgm_link_add(l, (int)i, (int)i, 1 - w);
        if (i == j || l->scratch[i] || l->scratch[j]) continue;
        l->scratch[i] = l->scratch[j] = 1;
        qgm_link_add(l, (int)i, (int)j, w);
        qgm_link_add(l, (int)j, (int)i, w);
    }
    for (int i = 0; i < n; i++)
        if (!l->scratch[i]) qgm_link_add(l, i, i, w);
    return 0;
}

#define SHIFTS .weighted = true, .knob = { { "m", "shifts drawn", 5, 1, 1000, true } }, .period = qgm_graph_any
#define ETA    .weighted = true, .knob = { { "eta", "weight of the drawn part", 0.53, 0, 1 } }, .period = never_repeats
const struct qgm_graph qgm_graphs_random[] = {
    { .name = "random-matching",
      .about = "a new random pairing each step",
      .alike = QGM_RENUMBERED,
      .period = never_repeats,
      .draw = matching },
    { .name = "random-ring",
      .about = "a new random order on a ring each step",
      .alike = QGM_RENUMBERED,
      .period = never_repeats,
      .draw = random_ring },
    { .name = "erdos-renyi",
      .about = "each pair with probability p, redrawn until connected",
      .knob = { { "p", "probability of an edge", 0.3, 0, 1 } },
      .period = qgm_graph_any,
      .draw = erdos_renyi },
    { .name = "random-regular",
      .about = "every client with the same number of random neighbours",
      .knob = { { "degree", "neighbours", 4, 1, 1000, true } },
      .period = regular_fits,
      .draw = regular },
    { .name = "equi-static-directed", .about = "EquiTopo D-EquiStatic", SHIFTS, .draw = equi_static_directed },
    { .name = "equi-static", .about = "EquiTopo U-EquiStatic", SHIFTS, .draw = equi_static_both },
    { .name = "equi-dyn-directed",
      .about = "EquiTopo OD-EquiDyn (changes each step)",
      ETA,
      .alike = QGM_RENUMBERED, /* as far as first and second moments go */
      .draw = equi_dyn_directed },
    { .name = "equi-dyn",
      .about = "EquiTopo OU-EquiDyn (changes each step)",
      ETA,
      .alike = QGM_SHIFTED,
      .draw = equi_dyn_both },
    { 0 },
};
