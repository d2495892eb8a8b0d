/* Centralised SGD: the mean gradient of all clients, one model. SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };

/* g = mean gradient + wd x;  x <- x - lr g */
static void plain(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), g = vf_fma(wd, x, vf_load(b->in[0] + k));
        vf_store(b->x + k, vf_fnma(lr, g, x));
    }
}

/* b <- beta b + g;  x <- x - lr (nesterov ? g + beta b : b) */
static void momentum(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), g = vf_fma(wd, x, vf_load(b->in[0] + k));
        vf v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->state[B] + k, v);
        vf_store(b->x + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, v, g) : v, x));
    }
}

#define SOURCE   "all-reduce SGD; Lin et al. 2021, released code"
#define NO_LOCAL "all clients share one model, which moves by the mean of every step's gradients"
#define MOMENTUM QGM_MEAN_OF_G, QGM_MAP(momentum)
QGM_FAMILY(central) = {
    { .name = "sgd-central",
      .source = SOURCE,
      .about = "centralised SGD: the graph is not used",
      .no_local = NO_LOCAL,
      .messages = 1,
      .bytes = 12,
      .stage = { QGM_MEAN_OF_G, QGM_MAP(plain) } },
    { .name = "sgd-central-m",
      .source = SOURCE,
      .about = "centralised SGD with heavy-ball momentum: the graph is not used",
      .states = 1,
      .no_local = NO_LOCAL,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .velocity = 1 + B,
      .stage = { MOMENTUM } },
    { .name = "sgd-central-m-n",
      .source = SOURCE,
      .about = "centralised SGD with Nesterov momentum: the graph is not used",
      .states = 1,
      .no_local = NO_LOCAL,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .nesterov = true,
      .velocity = 1 + B,
      .stage = { MOMENTUM } },
    { 0 },
};
