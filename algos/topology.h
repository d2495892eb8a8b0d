/* Graphs and their mixing matrices. W[i][j] is the weight of j's message at i. SPDX-License-Identifier: MIT */
#ifndef QGM_TOPOLOGY_H
#define QGM_TOPOLOGY_H
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qgm_topology; /* opaque */

/* Row i of W: in-neighbours in ascending order, self included (even with weight 0). */
struct qgm_row {
    int n;
    const int *from;
    const double *w;
};

/* Facts about W. For a time-varying graph gap and eigenvalues are of the product over one period; where there is none,
 * gap is 1 - sqrt(p), p the largest eigenvalue of W'W - 11'/n as expected, and eigenvalues are of W as expected:
 * exactly, but for equi-dyn, from 2048 draws within some percent. Stochastic and symmetric mean every draw; connected,
 * diameter and degrees but the last are of the union of draws. */
struct qgm_spectrum {
    double gap; /* 1 - max(|lambda_2|, |lambda_n|); 1 - ||W - 11'/n||_2 where W is not symmetric */
    /* Eigenvalues of (W + W') / 2: second largest, smallest. Where W is doubly stochastic the 1 of consensus, which
     * weights below 0 can leave anywhere among them, is set aside: largest and smallest of the others. */
    double lambda2, lambda_min;
    double radius; /* largest |eigenvalue| of W; looked for where some weight is below 0, else NaN */
    bool row_stochastic, column_stochastic, symmetric, connected, complete, tree, time_varying;
    bool negative;                   /* some weight is below 0 */
    int diameter;                    /* hops; -1 when not connected */
    int degree_min, degree_max;      /* neighbours, self not counted */
    double degree_mean, degree_step; /* step: in one draw, mean over draws too: the messages of a client's exchange */
    int isolated, first_isolated;    /* clients that nothing joins to another, and the first of them; -1: none */
    int unreached; /* first client that no way leads to from client 0, or back from it; -1: connected */
};

/* spec: a name and options, "ring", "davis", "torus:rows=2". lazy: use (I + W) / 2. seed: random graphs. Unknown names,
 * and client counts that the graph does not have, are QGM_USAGE errors that say what would work. */
int qgm_topology_open(struct qgm_topology **topology, const char *spec, int clients, bool lazy, uint64_t seed,
                      struct qgm_error *err);
/* The same from a list of weights: `count` entries in any order, of draws 0 ... draws - 1, after which W repeats. name
 * is what messages call it. Entries that occur twice add up. */
struct qgm_weight {
    long draw;
    int to, from;
    double w;
};
int qgm_topology_from(struct qgm_topology **topology, const char *name, int clients, int draws,
                      const struct qgm_weight *weights, size_t count, bool lazy, struct qgm_error *err);
void qgm_topology_close(struct qgm_topology **topology);
const char *const *qgm_topology_names(void);
const char *qgm_topology_about(const char *name);
const char *qgm_topology_options(void); /* all there are: a line each, what it means and may be */

const char *qgm_topology_spec(const struct qgm_topology *topology);
int qgm_topology_clients(const struct qgm_topology *topology);
/* All rows of W at an exchange, counted from 0: at a step, where there are no local ones. Valid until the next call. A
 * pure function of that number: static graphs ignore it. NULL when there is no memory for a new draw, which only a
 * graph without a period makes. */
const struct qgm_row *qgm_topology_rows(struct qgm_topology *topology, long exchange);
/* Draws after which W repeats: 1 for a static graph, 0 for one that never does. */
int qgm_topology_period(const struct qgm_topology *topology);
/* Work out the facts, and the spectrum (gap, lambda2, lambda_min and radius, which cost an eigenvalue problem of all
 * clients) besides: once, and not for use by several threads at a time. 0, or -1 (QGM_SYSTEM): no memory, or LAPACK
 * failed. */
int qgm_topology_find_facts(struct qgm_topology *topology, struct qgm_error *err);
int qgm_topology_find_spectrum(struct qgm_topology *topology, struct qgm_error *err);
/* What they found; look for it first where nobody did. What cannot be found is NaN, and false: who decides by it asks
 * the functions above. */
const struct qgm_spectrum *qgm_topology_facts(struct qgm_topology *topology);
const struct qgm_spectrum *qgm_topology_spectrum(struct qgm_topology *topology);

#ifdef __cplusplus
}
#endif
#endif
