/* SlowMo: decentralised SGD with momentum, and every tau steps an exact average and a slow momentum step from where the
 * last one ended. SPDX-License-Identifier: MIT */
#include "block.h"

enum { B, S, U };          /* fast momentum, slow model, slow momentum */
enum { TAU, BETA, ALPHA }; /* knobs */

static bool first(const struct qgm_step *s) { return s->t == 0; }
/* As in the released code this fires at t = 0, after the very first step. */
static bool slow(const struct qgm_step *s) { return s->t % (long)s->knob[TAU] == 0; }
static bool quick(const struct qgm_step *s) { return !slow(s); }
static bool moves(const struct qgm_step *s) { return slow(s) && s->lr != 0; }
static bool stands(const struct qgm_step *s) { return slow(s) && s->lr == 0; }

static void begin(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    EACH(b, k) vf_store(b->state[S] + k, vf_load(b->x + k));
}

/* b <- beta b + g;  send x - lr (nesterov ? g + beta b : b) */
static void fast_step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->state[B] + k, v);
        vf_store(b->out[0] + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, v, g) : v, vf_load(b->x + k)));
    }
}

/* x <- what came in; offered to the average */
VF_INLINE void take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received in = receives(b, 0, inside);
    EACH(b, k)
    {
        vf x = received(&in, k);
        vf_store(b->x + k, x);
        vf_store(b->out[0] + k, x);
    }
}
QGM_INSIDE(take)

/* u <- beta u + (s - mean)/lr;  s <- s - alpha lr u;  x <- s */
static void slow_step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf beta = vf_of(s->knob[BETA]), c = vf_of(s->per_lr), step = vf_of(s->knob[ALPHA] * s->lr);
    EACH(b, k)
    {
        vf at = vf_load(b->state[S] + k), moved = vf_sub(at, vf_load(b->in[0] + k));
        vf u = vf_fma(c, moved, vf_mul(beta, vf_load(b->state[U] + k))), next = vf_fnma(step, u, at);
        vf_store(b->state[U] + k, u);
        vf_store(b->state[S] + k, next);
        vf_store(b->x + k, next);
    }
}

/* The same for a learning rate that goes to 0: lr u is then s - mean. */
static void still_step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf beta = vf_of(s->knob[BETA]), alpha = vf_of(s->knob[ALPHA]);
    EACH(b, k)
    {
        vf at = vf_load(b->state[S] + k), next = vf_fnma(alpha, vf_sub(at, vf_load(b->in[0] + k)), at);
        vf_store(b->state[U] + k, vf_mul(beta, vf_load(b->state[U] + k)));
        vf_store(b->state[S] + k, next);
        vf_store(b->x + k, next);
    }
}

#define FAST_STEP QGM_MAP_OF(fast_step, QGM_X | QGM_G | QGM_STATE(B))
#define TAKE                                                                                                           \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = take, .rows = QGM_X, .when = slow                                                     \
    }
#define COMMON                                                                                                         \
    .source = "Wang et al. 2020, Algorithm 1; Lin et al. 2021, released code", .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,   \
    .states = 3, .messages = 1, .bytes = 20, .momentum = true, .local_steps = true, .velocity = 1 + B,                 \
    .knob = { { "tau", "steps between averages", 12, 1, 1e6, true },                                                   \
              { "beta", "slow momentum", 0.7, 0, 0.999999 },                                                           \
              { "alpha", "slow learning rate", 1, 0, 100 } },                                                          \
    .stage = { QGM_MAP_WHEN(begin, first),                                                                             \
               FAST_STEP,                                                                                              \
               QGM_MIX_TO_X_WHEN(quick),                                                                               \
               QGM_MIX_INSIDE_WHEN(1, slow),                                                                           \
               TAKE,                                                                                                   \
               QGM_MEAN_WHEN(1, slow),                                                                                 \
               QGM_MAP_WHEN(slow_step, moves),                                                                         \
               QGM_MAP_WHEN(still_step, stands) }
QGM_FAMILY(slowmo) = {
    { .name = "slowmo", .about = "slow momentum over heavy-ball DSGD; an all-reduce every tau steps", COMMON },
    { .name = "slowmo-n",
      .about = "slow momentum over Nesterov DSGD; an all-reduce every tau steps",
      .nesterov = true,
      COMMON },
    { 0 },
};
