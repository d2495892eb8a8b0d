/* What the algorithm files see: a block of one client. Files that include this are compiled per ISA.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_BLOCK_H
#define QGM_BLOCK_H
#include "algo.h"
#include "simd.h"

/* `len` elements (a multiple of 16, at most QGM_BLOCK) of one client, from index `at` of its vector on. x and the
 * states persist; x keeps its old value until a map overwrites it. in holds what the last exchange brought and out what
 * the next one takes: both are valid only up to the next exchange. Padding at the end of a vector holds zeros at the
 * start and is never read by anyone. */
struct qgm_block {
    size_t len, at;
    size_t used; /* of len, those that are not padding */
    int client;
    real *x;
    const real *g;
    real *state[QGM_MAX_STATES]; /* where gradients are spent, the one behind the last is g */
    real *out[QGM_MAX_MESSAGES];
    const real *in[QGM_MAX_MESSAGES];
    double norm;                   /* result of the last NORM stage */
    double mass, mass_next;        /* push-sum: this client's weight before and after this step's mixing */
    double own, share;             /* RELAY: x' = own x + share in[0]; own is what has not arrived yet, share is 1/n */
    void (*meanwhile)(void *user); /* NULL, or to be called now and then by what computes for long */
    void *user;
};

/* One statement over all vectors of a block: EACH(b, k) vf_store(b->x + k, ...); */
#define EACH(b, k) for (size_t k = 0; k < (b)->len; k += VF)

/* Memory gets its turn, if it is waiting for one. */
static inline void meanwhile(const struct qgm_block *b)
{
    if (b->meanwhile) b->meanwhile(b->user);
}

/* EACH for what takes long, in algorithms that compress: memory gets its turn every eighth of a block. */
enum { QGM_TURN = QGM_BLOCK / 8 };
static inline size_t next_of_long_(const struct qgm_block *b, size_t k)
{
    if (k % QGM_TURN == 0) meanwhile(b);
    return k;
}
#define EACH_OF_LONG(b, k) for (size_t k = 0; k < (b)->len; k = next_of_long_(b, k + VF))

/* Stages of exchanges, and of local steps, where there is more to it than a MIX that changes nothing. */
__attribute__((unused)) static bool exchanges(const struct qgm_step *s) { return s->exchanges; }
__attribute__((unused)) static bool alone(const struct qgm_step *s) { return !s->exchanges; }

VF_INLINE vf vf_of(double a) { return vf_set1((real)a); }
/* g + wd x: weight decay is part of the gradient, for every algorithm and parameter. */
VF_INLINE vf decayed(const struct qgm_block *b, vf wd, size_t k)
{
    return vf_fma(wd, vf_load(b->x + k), vf_load(b->g + k));
}

#endif
