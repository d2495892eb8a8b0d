/* Toy problems: n clients, a function each, no data. Small enough that the answer is known, in closed form or to
 * machine precision, so that what an algorithm does can be told from what training does.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_TOY_H
#define QGM_TOY_H
#include "base.h"
#include "spec.h"

/* A problem, opened: f = 1/n sum_i f_i over R^dim. */
struct qgm_toy {
    const struct qgm_toy_kind *kind;
    int clients;
    size_t dim;
    double knob[QGM_MAX_KNOBS];
    uint64_t seed;
    double *data;    /* the problem's numbers, laid out as its file says; or NULL */
    double *optimum; /* where f is least: dim numbers; NULL for consensus, where any common point will do */
    double zeta2;    /* 1/n sum_i || grad f_i(optimum) ||^2 */
};

struct qgm_toy_kind {
    const char *name, *about;
    const char *algos; /* what is worth comparing on it */
    int clients;
    long steps;
    double lr; /* these three: when the command does not say */
    struct qgm_knob knob[QGM_MAX_KNOBS];
    /* Choose dim; allocate and fill data, optimum and zeta2. */
    int (*open)(struct qgm_toy *toy, struct qgm_error *err);
    void (*start)(const struct qgm_toy *toy, int client, double *x);                       /* NULL: at 0 */
    void (*gradient)(const struct qgm_toy *toy, int client, const double *x, double *out); /* of f_i at x */
    double (*value)(const struct qgm_toy *toy, const double *x); /* f(x) - f(optimum); NULL: there is no f */
};
extern const struct qgm_toy_kind qgm_toys_plain[], qgm_toys_learning[]; /* each ends at a NULL name */

/* spec: a name and options, "least-squares:zeta2=4,dim=20". clients 0: as many as the problem suggests. QGM_USAGE
 * errors say what would work. */
int qgm_toy_open(struct qgm_toy *toy, const char *spec, int clients, uint64_t seed, struct qgm_error *err);
void qgm_toy_close(struct qgm_toy *toy);
const char *const *qgm_toy_names(void);
const struct qgm_toy_kind *qgm_toy_kind(const char *spec); /* NULL: unknown */

/* dim and the two arrays, zeroed. For the kinds' own open. */
int qgm_toy_allocate(struct qgm_toy *toy, size_t dim, size_t data, struct qgm_error *err);

#endif
