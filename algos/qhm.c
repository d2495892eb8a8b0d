/* Quasi-hyperbolic momentum, decentralised: the step is a mean of gradient and averaged buffer. With W = I and
 * discount mu + (1 - mu) beta, nu = beta / discount and learning rate lr / (1 - beta) it is quasi-global momentum.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };
enum { NU, DISCOUNT };

/* b <- discount b + (1 - discount) g;  send x - lr ((1 - nu) g + nu b) */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), nu = vf_of(s->knob[NU]), own = vf_of(1 - s->knob[NU]);
    vf keep = vf_of(s->knob[DISCOUNT]), fresh = vf_of(1 - s->knob[DISCOUNT]);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(fresh, g, vf_mul(keep, vf_load(b->state[B] + k)));
        vf_store(b->state[B] + k, v);
        vf_store(b->out[0] + k, vf_fnma(lr, vf_fma(nu, v, vf_mul(own, g)), vf_load(b->x + k)));
    }
}

QGM_FAMILY(qhm) = {
    { .name = "qhm",
      .source = "Ma and Yarats 2019, Algorithm 1, then mixed",
      .about = "quasi-hyperbolic momentum over decentralised SGD",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 1,
      .messages = 1,
      .bytes = 20,
      .local_steps = true,
      .velocity = 1 + B,
      .knob = { { "nu", "weight of the buffer in the step", 0.7, 0, 1 },
                { "discount", "memory of the buffer", 0.999, 0, 0.999999 } },
      .stage = { QGM_MAP(half), QGM_MIX_TO_X } },
    { 0 },
};
