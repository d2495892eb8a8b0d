/* Graphs that repeat after a few steps, from powers of two. SPDX-License-Identifier: MIT */
#include "graph.h"

static int log2_rounds(const struct qgm_request *r, struct qgm_error *err)
{
    (void)err;
    return qgm_graph_log2(r->n);
}

/* Static: i sends to i + 2^j for every j, weights 1/(ceil(log2 n) + 1). */
static int exponential(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    int rounds = qgm_graph_log2(r->n);
    for (int i = 0; i < r->n; i++) {
        qgm_link_add(l, i, i, 1.0 / (rounds + 1));
        for (int j = 0; j < rounds; j++) qgm_link_add(l, (int)((i + (1L << j)) % r->n), i, 1.0 / (rounds + 1));
    }
    return 0;
}

/* Draw t: i sends half to i + 2^(t mod ceil(log2 n)). */
static int one_peer(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    for (int i = 0; i < r->n; i++) {
        qgm_link_add(l, i, i, 0.5);
        qgm_link_add(l, (int)((i + (1L << draw)) % r->n), i, 0.5);
    }
    return 0;
}

/* The released code's draws are hop 2^(k mod (P + 1)), P = floor(log2(n - 1)), from k = 1 on: phase 1. */
static long hop(const struct qgm_request *r, long draw)
{
    return 1L << (draw + (long)r->knob[0]) % qgm_graph_log2(r->n);
}

static int two_sided(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    for (int i = 0; i < r->n; i++) qgm_edge(l, i, (int)((i + hop(r, draw)) % r->n));
    return 0;
}

/* floor(log2(n - 1)) draws, at least one; n even. */
static int bipartite_rounds(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->n % 2)
        return qgm_fail(err, QGM_USAGE, "topology %s: pairs odd clients with even ones: needs an even number, not %d",
                        r->spec, r->n);
    if (r->n == 4)
        return qgm_fail(err, QGM_USAGE, "topology %s: its one pairing of 4 clients never joins them all: take another",
                        r->spec);
    int rounds = 1;
    while (2L << rounds <= r->n - 1) rounds++;
    return rounds;
}

/* Draw t: odd i pairs with i + 2^p - 1, p = 1 + (t mod floor(log2(n - 1))). */
static int bipartite(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    long rounds = bipartite_rounds(r, err), p = 1 + (draw + (long)r->knob[0]) % rounds;
    for (int i = 1; i < r->n; i += 2) qgm_edge(l, i, (int)((i + (1L << p) - 1) % r->n));
    return 0;
}

static int hypercube_rounds(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->n & (r->n - 1))
        return qgm_fail(err, QGM_USAGE, "topology %s: needs a power of two clients, not %d; base does with any number",
                        r->spec, r->n);
    return qgm_graph_log2(r->n);
}

static int one_peer_hypercube(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    for (int i = 0; i < r->n; i++)
        if ((i ^ 1 << draw) < r->n) qgm_edge(l, i, i ^ 1 << draw);
    return 0;
}

#define PHASE .knob = { { "phase", "draw of the first step; the released code's is 1", 0, 0, 1e6, true } }
const struct qgm_graph qgm_graphs_periodic[] = {
    { .name = "exponential",
      .about = "i sends to i + 1, 2, 4, ... (directed)",
      .weighted = true,
      .period = qgm_graph_any,
      .draw = exponential },
    { .name = "one-peer-exponential",
      .about = "i sends to i + 2^t (directed, changes each step; exact for a power of two)",
      .weighted = true,
      .period = log2_rounds,
      .draw = one_peer },
    { .name = "two-sided-exponential",
      .about = "i and i +- 2^t (changes each step; the released code's undirected_time_varying)",
      PHASE,
      .period = log2_rounds,
      .draw = two_sided },
    { .name = "bipartite-exponential",
      .about = "odd i pairs with i + 2^p - 1 (changes each step)",
      PHASE,
      .period = bipartite_rounds,
      .draw = bipartite },
    { .name = "one-peer-hypercube",
      .about = "i pairs with i xor 2^t (changes each step; exact after log2 n)",
      .period = hypercube_rounds,
      .draw = one_peer_hypercube },
    { 0 },
};
