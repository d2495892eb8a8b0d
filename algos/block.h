/* What the algorithm files see: a block of one client. Files that include this are compiled per ISA.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_BLOCK_H
#define QGM_BLOCK_H
#include "algo.h"
#include "simd.h"

enum { QGM_PARTS = 3 }; /* as many as a client of a ring listens to */

/* `len` elements (a multiple of 16, at most QGM_BLOCK) of one client, from index `at` of its vector on. x and the
 * states persist; x keeps its old value until a map overwrites it. in holds what the last exchange brought and out what
 * the next one takes: both are valid only up to the next exchange; sent only until a map makes the next message.
 * Padding at the end of a vector holds zeros at the start and is never read by anyone. */
struct qgm_block {
    size_t len, at;
    size_t used; /* of len, those that are not padding */
    int client;
    real *x;
    const real *g;
    real *state[QGM_MAX_STATES]; /* where gradients are spent, the one behind the last is g */
    real *out[QGM_MAX_MESSAGES];
    const real *in[QGM_MAX_MESSAGES];
    const real *sent[QGM_MAX_MESSAGES]; /* behind a MIX: this client's own, as it made them */
    /* Of a MIX that is left to the map behind it: what in[m] would be the sum of, ascending, and the weights. */
    bool inside;
    const real *part[QGM_MAX_MESSAGES][QGM_PARTS];
    double weight[QGM_PARTS];
    double norm;                   /* result of the last NORM stage */
    double mass, mass_next;        /* push-sum: this client's weight before and after this step's mixing */
    double own, share;             /* RELAY: x' = own x + share in[0]; own is what has not arrived yet, share is 1/n */
    void (*meanwhile)(void *user); /* NULL, or to be called now and then by what computes for long */
    void *user;
};

/* One statement over all vectors of a block: EACH(b, k) vf_store(b->x + k, ...); Maps take `struct qgm_block *restrict
 * b`: what is stored to rows is not b's own, and its addresses need not be loaded again for each vector. */
#define EACH(b, k) for (size_t k = 0; k < (b)->len; k += VF)

/* Memory gets its turn, if it is waiting for one. */
static inline void meanwhile(const struct qgm_block *b)
{
    if (b->meanwhile) b->meanwhile(b->user);
}

/* EACH for what takes long, in algorithms that compress: memory gets its turn every fourth of a block. */
enum { QGM_TURN = QGM_BLOCK / 4 };
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

/* ---- What came ----
 * A map behind QGM_MIX_INSIDE is written as NAME_(s, b, inside), forced inline, and takes what came by `received`, each
 * element once; QGM_INSIDE(NAME) makes the map of it. Where few are summed up this saves a store and a load of each
 * element, which is what such maps spend their time on. */
struct received {
    bool inside;
    const real *in, *part[QGM_PARTS];
    vf weight[QGM_PARTS];
};
VF_INLINE struct received receives(const struct qgm_block *b, int message, bool inside)
{
    struct received r = { .inside = inside, .in = b->in[message] };
    UNROLL
    for (int j = 0; inside && j < QGM_PARTS; j++) r.part[j] = b->part[message][j], r.weight[j] = vf_of(b->weight[j]);
    return r;
}
VF_INLINE vf received(const struct received *r, size_t k)
{
    if (!r->inside) return vf_load(r->in + k);
    vf sum = vf_mul(r->weight[0], vf_load(r->part[0] + k));
    UNROLL
    for (int j = 1; j < QGM_PARTS; j++) sum = vf_fma(r->weight[j], vf_load(r->part[j] + k), sum);
    return sum;
}
#define QGM_INSIDE(map)                                                                                                \
    static void map(const struct qgm_step *s, struct qgm_block *b)                                                     \
    {                                                                                                                  \
        if (b->inside)                                                                                                 \
            map##_(s, b, true);                                                                                        \
        else                                                                                                           \
            map##_(s, b, false);                                                                                       \
    }

#endif
