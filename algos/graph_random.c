/* Random graphs: drawn once from the seed, or anew each step as a pure function of seed and step.
 * SPDX-License-Identifier: MIT */
#include "graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TRIES = 1000 };
#define MOST_PAIRS 1e9 /* of clients, in all draws of one graph: some seconds */

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

/* So many draws as one may wait for: of many clients fewer. */
static int tries(const struct qgm_request *r)
{
    double pairs = (double)r->n * r->n / 2, most = MOST_PAIRS / pairs;
    return most > MAX_TRIES ? MAX_TRIES : most < 3 ? 3 : (int)most;
}

static int erdos_renyi(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    size_t begin = l->count;
    for (int attempt = 0; attempt < tries(r); attempt++) {
        struct qgm_random random = stream(r, draw, attempt);
        l->count = begin;
        for (int i = 0; i < r->n; i++)
            for (int j = i + 1; j < r->n; j++)
                if (qgm_random_double(&random) < r->knob[0]) qgm_edge(l, i, j);
        if (l->out_of_memory || connected(l, r->n, begin)) return 0; /* qgm_rows_make says it */
    }
    return qgm_fail(err, QGM_USAGE,
                    "topology %s: %d draws with p=%g on %d clients were not connected: use a larger p, above ln(n)/n = "
                    "%.2g",
                    r->spec, tries(r), r->knob[0], r->n, log(r->n) / r->n);
}

static int regular_fits(const struct qgm_request *r, struct qgm_error *err)
{
    int degree = (int)r->knob[0];
    if (degree == 1 && r->n > 2)
        return qgm_fail(err, QGM_USAGE,
                        "topology %s: with one neighbour each %d clients are not connected: expected a "
                        "degree of 2 or more",
                        r->spec, r->n);
    if (degree < r->n && r->n * degree % 2 == 0) return 1;
    return qgm_fail(err, QGM_USAGE,
                    "topology %s: no graph of %d clients with %d neighbours each: expected fewer neighbours "
                    "than clients, and an even product",
                    r->spec, r->n, degree);
}

/* Neighbours so far: of each client `degree` places, `count` of them taken. */
struct regular {
    int n, degree;
    uint32_t *to, *count;
};

static bool adjacent(const struct regular *g, uint32_t a, uint32_t b)
{
    const uint32_t *to = g->to + (size_t)a * (size_t)g->degree;
    for (uint32_t k = 0; k < g->count[a]; k++)
        if (to[k] == b) return true;
    return false;
}

static void join(struct regular *g, uint32_t a, uint32_t b)
{
    g->to[(size_t)a * (size_t)g->degree + g->count[a]++] = b;
    g->to[(size_t)b * (size_t)g->degree + g->count[b]++] = a;
}

/* Join random clients that still lack neighbours and are not joined yet, until none lacks any: false when stuck (Steger
 * and Wormald 1999). open: scratch. */
static bool pair_up(struct regular *g, struct qgm_random *random, uint32_t *open)
{
    uint32_t left = g->degree ? (uint32_t)g->n : 0, degree = (uint32_t)g->degree;
    for (int i = 0; i < g->n; i++) open[i] = (uint32_t)i, g->count[i] = 0;
    for (int misses = 0; left && misses < 100 + 10 * g->n;) {
        uint32_t i = qgm_random_below(random, left), j = qgm_random_below(random, left), a = open[i], b = open[j];
        if (a == b || adjacent(g, a, b)) {
            misses++;
            continue;
        }
        join(g, a, b);
        misses = 0;
        if (g->count[a] == degree) {
            open[i] = open[--left];
            if (j == left) j = i;
        }
        if (g->count[b] == degree) open[j] = open[--left];
    }
    return left == 0;
}

/* Who has so many neighbours is the complement of who has the others, which is easier to find if these are fewer; and
 * connected, as whoever is joined to half of all others is (Dirac). */
static bool try_regular(const struct qgm_request *r, struct regular *g, struct qgm_random *random, struct qgm_links *l,
                        size_t begin)
{
    bool complement = g->degree != (int)r->knob[0];
    if (!pair_up(g, random, l->scratch)) return false;
    for (int i = 0; i < g->n; i++)
        for (int j = i + 1; complement && j < g->n; j++)
            if (!adjacent(g, (uint32_t)i, (uint32_t)j)) qgm_edge(l, i, j);
    for (int i = 0; i < g->n && !complement; i++)
        for (int k = 0; k < g->degree; k++) {
            int j = (int)g->to[(size_t)i * (size_t)g->degree + (size_t)k];
            if (i < j) qgm_edge(l, i, j);
        }
    return l->out_of_memory || connected(l, g->n, begin); /* qgm_rows_make says it */
}

static int regular(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    size_t begin = l->count;
    int degree = (int)r->knob[0], others = r->n - 1 - degree;
    struct regular g = { .n = r->n, .degree = others < degree ? others : degree };
    g.count = malloc((size_t)r->n * (size_t)(1 + g.degree) * sizeof *g.count);
    if (!g.count) return qgm_fail(err, QGM_SYSTEM, "out of memory for a graph's links");
    g.to = g.count + r->n;
    bool found = false;
    for (int attempt = 0; attempt < MAX_TRIES && !found; attempt++) {
        struct qgm_random random = stream(r, draw, attempt);
        l->count = begin;
        found = try_regular(r, &g, &random, l, begin);
    }
    free(g.count);
    if (found) return 0;
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
