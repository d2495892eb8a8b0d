/* Stochastic gradient push: models and a weight are mixed by any matrix whose columns sum to 1, and their quotient
 * averages correctly on directed graphs. x here is the quotient z, at which gradients are taken; mass is the weight.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { B }; /* momentum: local, or quasi-global */
enum { MU };

/* d = g, or nesterov ? g + beta b : b with b = beta B + g */
VF_INLINE vf direction(const struct qgm_step *s, vf beta, vf b, vf g) { return s->nesterov ? vf_fma(beta, b, g) : b; }

/* send w z - lr g */
static void plain(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), mass = vf_of(b->mass);
    EACH(b, k) vf_store(b->out[0] + k, vf_fnma(lr, decayed(b, wd, k), vf_mul(mass, vf_load(b->x + k))));
}

/* b <- beta b + g;  send w z - lr d */
static void momentum(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum), mass = vf_of(b->mass);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->state[B] + k, v);
        vf_store(b->out[0] + k, vf_fnma(lr, direction(s, beta, v, g), vf_mul(mass, vf_load(b->x + k))));
    }
}

/* The same, but the buffer is left as it was: it follows the displacement. */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum), mass = vf_of(b->mass);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->out[0] + k, vf_fnma(lr, direction(s, beta, v, g), vf_mul(mass, vf_load(b->x + k))));
    }
}

/* z <- what came in / w' */
VF_INLINE void take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received in = receives(b, 0, inside);
    vf mass = vf_of(b->mass_next);
    EACH(b, k) vf_store(b->x + k, vf_div(received(&in, k), mass));
}
QGM_INSIDE(take)

/* z' as above;  B <- mu B + (1 - mu) w (z - z')/lr: a step of lr on w z moves z by lr / w */
VF_INLINE void follow_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf mass = vf_of(b->mass_next), mu = vf_of(s->knob[MU]), c = vf_of((1 - s->knob[MU]) * b->mass * s->per_lr);
    EACH(b, k)
    {
        vf next = vf_div(received(&in, k), mass), moved = vf_sub(vf_load(b->x + k), next);
        vf_store(b->state[B] + k, vf_fma(c, moved, vf_mul(mu, vf_load(b->state[B] + k))));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(follow)

#define COMMON .needs = QGM_NEEDS_COLUMN_STOCHASTIC, .messages = 1, .push_sum = true, .local_steps = true
QGM_FAMILY(push_sum) = {
    { .name = "sgp",
      .source = "Assran et al. 2019, Algorithm 1",
      .about = "stochastic gradient push, for directed graphs",
      COMMON,
      .bytes = 12,
      .stage = { QGM_MAP(plain), QGM_MIX_INSIDE(1), QGM_MAP(take) } },
    { .name = "sgpm-n",
      .source = "Assran et al. 2019, Algorithm 1 with local Nesterov momentum",
      .about = "stochastic gradient push with local Nesterov momentum",
      COMMON,
      .states = 1,
      .bytes = 20,
      .momentum = true,
      .nesterov = true,
      .velocity = 1 + B,
      .stage = { QGM_MAP(momentum), QGM_MIX_INSIDE(1), QGM_MAP(take) } },
    { .name = "qg-sgp",
      .source = "Lin et al. 2021, Algorithm 1, on Assran et al. 2019; as defined in this file",
      .about = "quasi-global Nesterov momentum over stochastic gradient push",
      COMMON,
      .states = 1,
      .bytes = 20,
      .momentum = true,
      .nesterov = true,
      .velocity = 1 + B,
      .knob = { { "mu", "memory of the buffer", 0.9, 0, 1 } },
      .stage = { QGM_MAP(half), QGM_MIX_INSIDE(1), QGM_MAP(follow) } },
    { 0 },
};
