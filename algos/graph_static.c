/* Graphs that do not change, from a rule. SPDX-License-Identifier: MIT */
#include "graph.h"

int qgm_graph_any(const struct qgm_request *r, struct qgm_error *err)
{
    (void)r, (void)err;
    return 1;
}

int qgm_graph_log2(int n)
{
    int rounds = 1;
    while (rounds < 30 && 1 << rounds < n) rounds++;
    return rounds;
}

static int complete(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < r->n; j++) qgm_link_add(l, i, j, 1.0 / r->n);
    return 0;
}

static int ring(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int i = 0; i < r->n; i++) qgm_edge(l, i, (i + 1) % r->n);
    return 0;
}

static int even(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->n % 2 == 0) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: joins opposite clients, so their number must be even, not %d",
                    r->spec, r->n);
}

static int ring_extended(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    for (int i = 0; i < r->n / 2; i++) qgm_edge(l, i, i + r->n / 2);
    return ring(r, draw, l, err);
}

static int chain(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int i = 0; i + 1 < r->n; i++) qgm_edge(l, i, i + 1);
    return 0;
}

static int star(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int i = 1; i < r->n; i++) qgm_edge(l, 0, i);
    return 0;
}

/* Root 0 over node 1, then node v over 2v and 2v + 1. */
static int binary_tree(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int v = 1; v < r->n; v++) qgm_edge(l, v, v / 2);
    return 0;
}

/* Rows of the grid: as asked, or the largest divisor up to the square root. 1 when there is none. */
static int torus_rows(const struct qgm_request *r)
{
    if (r->knob[0]) return (int)r->knob[0];
    int rows = 1;
    for (int d = 2; d <= r->n / d; d++)
        if (r->n % d == 0) rows = d;
    return rows;
}

static int torus_fits(const struct qgm_request *r, struct qgm_error *err)
{
    int rows = torus_rows(r);
    if (r->n % rows)
        return qgm_fail(err, QGM_USAGE, "topology %s: %d clients do not fill %d rows; expected a divisor", r->spec,
                        r->n, rows);
    bool asked = r->knob[0] > 0;
    if (r->n > 1 && (rows == 1 || rows == r->n))
        return qgm_fail(err, QGM_USAGE, "topology %s: %d clients%s make no grid of at least 2 x 2: take %s, or ring",
                        r->spec, r->n, asked ? " in so many rows" : "",
                        asked ? "another divisor" : "a composite number");
    return 1;
}

static int torus(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    int rows = torus_rows(r), cols = r->n / rows;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            qgm_edge(l, i * cols + j, i * cols + (j + 1) % cols);
            qgm_edge(l, i * cols + j, (i + 1) % rows * cols + j);
        }
    return 0;
}

static int power_of_two(const struct qgm_request *r, struct qgm_error *err)
{
    if ((r->n & (r->n - 1)) == 0) return 1;
    int below = 1;
    while (2 * below < r->n) below *= 2;
    return qgm_fail(err, QGM_USAGE, "topology %s: needs a power of two clients, not %d: %d and %d would do", r->spec,
                    r->n, below, 2 * below);
}

static int hypercube(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    for (int i = 0; i < r->n; i++)
        for (int bit = 1; bit < r->n; bit *= 2) qgm_edge(l, i, i ^ bit);
    return 0;
}

const struct qgm_graph qgm_graphs_static[] = {
    { .name = "ring",
      .about = "each client and its two neighbours (two clients: one pair)",
      .period = qgm_graph_any,
      .draw = ring },
    { .name = "complete",
      .about = "every client with every other, weights 1/n",
      .weighted = true,
      .period = qgm_graph_any,
      .draw = complete },
    { .name = "torus",
      .about = "a grid with wrapped borders",
      .knob = { { "rows", "rows of the grid; 0: as square as it can be", 0, 0, 65536, true } },
      .period = torus_fits,
      .draw = torus },
    { .name = "ring-extended",
      .about = "a ring plus links between opposite clients",
      .period = even,
      .draw = ring_extended },
    { .name = "chain", .about = "a path", .period = qgm_graph_any, .draw = chain },
    { .name = "star", .about = "client 0 with every other", .period = qgm_graph_any, .draw = star },
    { .name = "binary-tree",
      .about = "client v above 2v and 2v + 1 (Vogels et al. 2021)",
      .period = qgm_graph_any,
      .draw = binary_tree },
    { .name = "hypercube",
      .about = "clients whose numbers differ in one bit",
      .period = power_of_two,
      .draw = hypercube },
    { 0 },
};
