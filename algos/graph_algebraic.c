/* Expanders and symmetric graphs from arithmetic. SPDX-License-Identifier: MIT */
#include "graph.h"

static int prime(const struct qgm_request *r, struct qgm_error *err)
{
    for (int d = 2; d <= r->n / d; d++)
        if (r->n % d == 0)
            return qgm_fail(err, QGM_USAGE, "topology %s: needs a prime number of clients; %d is divisible by %d",
                            r->spec, r->n, d);
    return 1;
}

/* i with i + 1, i - 1 and 1/i mod n (0 with 0), a third each. Links that coincide add up, so rows always sum to 1; the
 * released code counts them once. */
static int expander(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    long n = r->n;
    for (long i = 0; i < n; i++) {
        long inverse = i ? 1 : 0, base = i;
        for (long e = n - 2; i && e > 0; e /= 2, base = base * base % n) /* Fermat: i^(n-2) */
            if (e % 2) inverse = inverse * base % n;
        qgm_link_add(l, (int)i, (int)((i + 1) % n), 1.0 / 3);
        qgm_link_add(l, (int)i, (int)((i + n - 1) % n), 1.0 / 3);
        qgm_link_add(l, (int)i, (int)(inverse % n), 1.0 / 3);
    }
    return 0;
}

static int root(int n)
{
    int side = 1;
    while (side * side < n) side++;
    return side;
}

static int square(const struct qgm_request *r, struct qgm_error *err)
{
    int side = root(r->n);
    if (side * side == r->n) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: needs a square number of clients, not %d: %d and %d would do",
                    r->spec, r->n, (side - 1) * (side - 1), side * side);
}

/* Distinct neighbours of (a, b) on Z_side x Z_side: a +- 2b, a +- (2b + 1), b +- 2a, b +- (2a + 1). */
static int margulis_neighbours(int side, int node, int out[8])
{
    int a = node / side, b = node % side, found = 0;
    const int step[4] = { 2 * b, 2 * b + 1, 2 * a, 2 * a + 1 };
    for (int k = 0; k < 8; k++) {
        int move = k % 2 ? 2 * side * side - step[k / 2] : step[k / 2];
        int other = k < 4 ? (a + move) % side * side + b : a * side + (b + move) % side, seen = 0;
        for (int i = 0; i < found; i++) seen |= out[i] == other;
        if (!seen) out[found++] = other;
    }
    return found;
}

/* w_ij = 1 / max(d_i, d_j), d counting a loop once; w_ii the rest. */
static int margulis(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)draw, (void)err;
    int side = root(r->n), mine[8], other[8];
    for (int i = 0; i < r->n; i++) {
        int degree = margulis_neighbours(side, i, mine);
        double rest = 1;
        for (int k = 0; k < degree; k++) {
            if (mine[k] == i) continue;
            int theirs = margulis_neighbours(side, mine[k], other);
            double w = 1.0 / (theirs > degree ? theirs : degree);
            qgm_link_add(l, i, mine[k], w);
            rest -= w;
        }
        qgm_link_add(l, i, i, rest);
    }
    return 0;
}

static int petersen_fits(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->n == 10) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: has 10 clients, not %d: use --clients 10", r->spec, r->n);
}

static int petersen(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)r, (void)draw, (void)err;
    for (int i = 0; i < 5; i++) {
        qgm_edge(l, i, (i + 1) % 5);
        qgm_edge(l, i, i + 5);
        qgm_edge(l, 5 + i, 5 + (i + 2) % 5);
    }
    return 0;
}

static int dyck_fits(const struct qgm_request *r, struct qgm_error *err)
{
    if (r->n == 32) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: has 32 clients, not %d: use --clients 32", r->spec, r->n);
}

/* LCF notation [5, -5, 13, -13]^8: a ring with chords. */
static int dyck(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)r, (void)draw, (void)err;
    static const int chord[4] = { 5, 27, 13, 19 };
    for (int i = 0; i < 32; i++) {
        qgm_edge(l, i, (i + 1) % 32);
        qgm_edge(l, i, (i + chord[i % 4]) % 32);
    }
    return 0;
}

const struct qgm_graph qgm_graphs_algebraic[] = {
    { .name = "expander",
      .about = "i with i +- 1 and its inverse modulo a prime",
      .weighted = true,
      .period = prime,
      .draw = expander },
    { .name = "margulis",
      .about = "Margulis-Gabber-Galil expander on a square",
      .weighted = true,
      .period = square,
      .draw = margulis },
    { .name = "petersen", .about = "the Petersen graph, 10 clients", .period = petersen_fits, .draw = petersen },
    { .name = "dyck", .about = "the Dyck graph, 32 clients", .period = dyck_fits, .draw = dyck },
    { 0 },
};
