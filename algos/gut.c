/* Global update tracking: tracks neighbours' updates from the models they send anyway. x is the mixed model W z, at
 * which gradients are taken; z is the client's own. SPDX-License-Identifier: MIT */
#include "block.h"

enum { Z, Z_LAST, MIXED_LAST, DELTA, B }; /* own model, and a step ago; W z a step ago; last delta; momentum */
enum { MU };

static bool first(const struct qgm_step *s) { return s->t == 0; }

/* All clients' histories start at their starting point. */
static void begin(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    EACH(b, k)
    {
        vf x = vf_load(b->x + k);
        vf_store(b->state[Z] + k, x);
        vf_store(b->state[Z_LAST] + k, x);
        vf_store(b->state[MIXED_LAST] + k, x);
    }
}

/* delta' = g - (x - z)/lr;  y = delta' - mu delta - mu/lr [(x - x_last) + c (x_last - z_last)], where c = 1 + beta, in
 * Nesterov's form + beta^2;  z <- z - lr (y, or its momentum);  send z */
static void step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    double beta = s->momentum, c = 1 + beta + (s->nesterov ? beta * beta : 0);
    vf lr = vf_of(s->lr), per_lr = vf_of(s->per_lr), wd = vf_of(s->weight_decay), mu = vf_of(s->knob[MU]);
    vf pull = vf_of(s->knob[MU] * s->per_lr), vc = vf_of(c), vb = vf_of(beta);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), z = vf_load(b->state[Z] + k), x_last = vf_load(b->state[MIXED_LAST] + k);
        vf delta = vf_fnma(per_lr, vf_sub(x, z), decayed(b, wd, k));
        vf drift = vf_fma(vc, vf_sub(x_last, vf_load(b->state[Z_LAST] + k)), vf_sub(x, x_last));
        vf y = vf_fnma(pull, drift, vf_fnma(mu, vf_load(b->state[DELTA] + k), delta));
        vf v = vf_fma(vb, vf_load(b->state[B] + k), y), d = s->nesterov ? vf_fma(vb, v, y) : v;
        vf next = vf_fnma(lr, d, z);
        vf_store(b->state[B] + k, v);
        vf_store(b->state[DELTA] + k, delta);
        vf_store(b->state[Z_LAST] + k, z);
        vf_store(b->state[MIXED_LAST] + k, x);
        vf_store(b->state[Z] + k, next);
        vf_store(b->out[0] + k, next);
    }
}

#define COMMON                                                                                                         \
    .source = "Aketi, Hashemi and Roy 2023, Algorithm 1 and released code", .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,      \
    .no_local = "updates are told from how the mixed models have moved, so each step has to be a mixed one",           \
    .states = 5, .messages = 1, .bytes = 52, .velocity = 1 + B,                                                        \
    .stage = { QGM_MAP_WHEN(begin, first), QGM_MAP(step), QGM_MIX_TO_X }
QGM_FAMILY(gut) = {
    { .name = "gut", /* without momentum: its buffer is then y itself */
      .about = "global update tracking, one vector a link; the model in use is the mixed one",
      .knob = { { "mu", "strength of the tracking", 0.9, 0, 1 } },
      COMMON },
    { .name = "qg-gut",
      .about = "global update tracking with momentum",
      .momentum = true,
      .knob = { { "mu", "strength of the tracking", 0.06, 0, 1 } },
      COMMON },
    { .name = "qg-gut-n",
      .about = "global update tracking with Nesterov momentum",
      .momentum = true,
      .nesterov = true,
      .knob = { { "mu", "strength of the tracking", 0.06, 0, 1 } },
      COMMON },
    { 0 },
};
