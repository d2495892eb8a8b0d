/* The parts of qgm-bench-step. SPDX-License-Identifier: MIT */
#ifndef QGM_STEP_H
#define QGM_STEP_H
#include "topology.h"
#include <stdbool.h>
#include <stdio.h>

enum { QGM_LIST = 4000 }; /* characters of a list of words, at most */
/* A field of a CSV row, quoted where it has to be. */
void qgm_print_field(FILE *to, const char *text);

/* A step of Nesterov quasi-global momentum as plain passes over memory. */
enum { QGM_CHAIN_NEIGHBOURS = 64 };
struct qgm_chain {
    int n;
    size_t dim;
    struct qgm_arena memory;
    float **x, **m, **g, **u, **half;
    const struct qgm_row *rows; /* borrowed from the topology */
};
size_t qgm_chain_bytes(int n, size_t dim);
int qgm_chain_open(struct qgm_chain *chain, int n, size_t dim, struct qgm_topology *topology,
                   int threads); /* -1: it does not fit */
void qgm_chain_close(struct qgm_chain *chain);
double qgm_chain_step(const struct qgm_chain *chain, int threads); /* seconds */

/* Whole training steps, split into their parts: a CSV row for each model, graph and algorithm (lists of words). */
struct qgm_full {
    const char *models, *algos, *graphs;
    long clients, threads, repeats;
    bool lazy;
};
int qgm_full_run(const struct qgm_full *full, struct qgm_error *err);

#endif
