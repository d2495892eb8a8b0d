/* An algorithm is a table of stages over blocks. A `map` turns a block of one client's parameters, gradient and states
 * into the messages it sends; MIX replaces messages by sums over neighbours; further maps make the new state. No
 * algorithm knows how many clients there are, where they live or which graph joins them.
 * Algorithm files are compiled once per ISA (and once in double, the reference engine): `real` is float or double.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_ALGO_H
#define QGM_ALGO_H
#include "simd.h"
#include <stdbool.h>

enum { QGM_MAX_STATES = 8, QGM_MAX_MESSAGES = 4, QGM_MAX_STAGES = 16, QGM_MAX_KNOBS = 8 };

/* What is the same for all clients in a step. */
struct qgm_step {
    long t; /* finished steps; 0 at the first */
    double lr, momentum, weight_decay;
    bool nesterov;
    const double *knob; /* the algorithm's own options, in the order of its table */
};

/* What a map sees: `len` floats (a multiple of 16) of one client. x and the states persist; out and in live between
 * two MIX stages. x keeps its old value until a map overwrites it. norm: result of the last NORM stage. */
struct qgm_block {
    size_t len;
    real *x;
    const real *g;
    real *state[QGM_MAX_STATES];
    real *out[QGM_MAX_MESSAGES];
    const real *in[QGM_MAX_MESSAGES];
    double norm;
};

enum qgm_op {
    QGM_OP_END,
    QGM_OP_MAP,  /* call map on every client's block */
    QGM_OP_MIX,  /* arg messages: in[m] = sum_j W_ij out_j[m], j ascending, self included in its place */
    QGM_OP_MEAN, /* arg messages: in[m] = (sum_j out_j[m]) / n, the all-reduce */
    QGM_OP_NORM, /* norm = || out[arg] || over the client's whole vector: a barrier between passes */
};
struct qgm_stage {
    enum qgm_op op;
    int arg;
    void (*map)(const struct qgm_step *, struct qgm_block *);
    bool (*when)(const struct qgm_step *); /* NULL: always. Looks at the step only, so that all clients agree */
};

struct qgm_knob {
    const char *name, *help;
    double value;     /* default */
    double low, high; /* accepted range, inclusive */
};

/* What an algorithm asks of the mixing matrix; the engine refuses a wrong pairing with the reason and a remedy. */
enum qgm_needs {
    QGM_NEEDS_ROW_STOCHASTIC = 1,
    QGM_NEEDS_DOUBLY_STOCHASTIC = 2,
    QGM_NEEDS_SYMMETRIC = 4,
    QGM_NEEDS_LAMBDA_MIN = 8, /* smallest eigenvalue > -1/3 */
    QGM_NEEDS_STATIC = 16,
    QGM_NEEDS_COMPLETE = 32,
};

struct qgm_algo {
    const char *name, *source, *about;
    unsigned needs;
    int states, messages; /* messages: most that are in flight at once */
    double vectors_sent;  /* parameter vectors sent to each neighbour a step, on average */
    int bytes;            /* compulsory traffic of a step: bytes a parameter a client */
    bool momentum;        /* reads step.momentum and step.nesterov */
    struct qgm_knob knob[QGM_MAX_KNOBS];
    struct qgm_stage stage[QGM_MAX_STAGES];
};

#define QGM_MAP(f)                                                                                                     \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f)                                                                                   \
    }
#define QGM_MAP_WHEN(f, condition)                                                                                     \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f), .when = (condition)                                                              \
    }
#define QGM_MIX(messages)                                                                                              \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = (messages)                                                                            \
    }

#endif
