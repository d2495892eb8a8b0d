/* Decentralised SGD, adapt then combine, with local momentum if wanted. The buffer is never communicated.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };

/* send x - lr (g + wd x) */
static void plain(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k) vf_store(b->out[0] + k, vf_fnma(lr, decayed(b, wd, k), vf_load(b->x + k)));
}

/* b <- beta b + g;  send x - lr (nesterov ? g + beta b : b) */
static void momentum(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->state[B] + k, v);
        vf_store(b->out[0] + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, v, g) : v, vf_load(b->x + k)));
    }
}

#define MOMENTUM QGM_MAP(momentum), QGM_MIX_TO_X
QGM_FAMILY(dsgd) = {
    { .name = "dsgd",
      .source = "Lin et al. 2021, released code; dpsgd is the form of Lian et al. 2017",
      .about = "decentralised SGD, adapt then combine",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .messages = 1,
      .bytes = 12,
      .local_steps = true,
      .stage = { QGM_MAP(plain), QGM_MIX_TO_X } },
    { .name = "dsgdm",
      .source = "Lin et al. 2021, section 2 and released code",
      .about = "decentralised SGD with local heavy-ball momentum",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 1,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .local_steps = true,
      .velocity = 1 + B,
      .stage = { MOMENTUM } },
    { .name = "dsgdm-n",
      .source = "Lin et al. 2021, section 2 and released code",
      .about = "decentralised SGD with local Nesterov momentum",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 1,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .nesterov = true,
      .local_steps = true,
      .velocity = 1 + B,
      .stage = { MOMENTUM } },
    { 0 },
};
