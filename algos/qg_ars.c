/* Quasi-global momentum with an averaging rate that grows: x <- x + rate (W - I) x. SPDX-License-Identifier: MIT */
#include "block.h"

enum { M };
enum { MU, RATE, GROWTH, PERIOD };
enum { CURRENT };

/* rate growth^(t div period), at most 1 */
static void prepare(struct qgm_step *s)
{
    if (s->t == 0)
        s->derived[CURRENT] = s->knob[RATE];
    else if (s->t % (long)s->knob[PERIOD] == 0)
        s->derived[CURRENT] *= s->knob[GROWTH];
    if (s->derived[CURRENT] > 1) s->derived[CURRENT] = 1;
}

/* send h = x - lr d,  u = beta M + g,  d = nesterov ? g + beta u : u */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), u = vf_fma(beta, vf_load(b->state[M] + k), g);
        vf_store(b->out[0] + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, u, g) : u, vf_load(b->x + k)));
    }
}

/* x' = h + rate (h~ - h);  M <- mu M + (1 - mu) (x - x')/lr */
VF_INLINE void follow_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf rate = vf_of(s->derived[CURRENT]), mu = vf_of(s->knob[MU]), c = vf_of((1 - s->knob[MU]) * s->per_lr);
    EACH(b, k)
    {
        vf h = vf_load(b->sent[0] + k), next = vf_fma(rate, vf_sub(received(&in, k), h), h);
        vf moved = vf_sub(vf_load(b->x + k), next);
        vf_store(b->state[M] + k, vf_fma(c, moved, vf_mul(mu, vf_load(b->state[M] + k))));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(follow)

#define COMMON                                                                                                         \
    .source = "Aketi et al. 2024 (averaging-rate scheduler) on Lin et al. 2021", .needs = QGM_NEEDS_DOUBLY_STOCHASTIC, \
    .states = 1, .messages = 1, .bytes = 20, .momentum = true, .local_steps = true, .velocity = 1 + M,                 \
    .prepare = prepare,                                                                                                \
    .knob = { { "mu", "memory of the buffer", 0.9, 0, 1 },                                                             \
              { "rate", "averaging rate at the start", 0.09, 0, 1 },                                                   \
              { "growth", "factor at the end of a period", 1.01, 1, 1000 },                                            \
              { "period", "steps; an epoch, usually", 97, 1, 1e9, true } },                                            \
    .stage = { QGM_MAP(half), QGM_MIX_INSIDE(1), QGM_MAP(follow) }
QGM_FAMILY(qg_ars) = {
    { .name = "qg-ars", .about = "quasi-global momentum with a growing averaging rate", COMMON },
    { .name = "qg-ars-n",
      .about = "quasi-global Nesterov momentum with a growing averaging rate",
      .nesterov = true,
      COMMON },
    { 0 },
};
