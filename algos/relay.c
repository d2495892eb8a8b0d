/* RelaySGD: models travel along a tree unmixed, so that after as many steps as the tree is wide every client has the
 * exact mean of models that are at most that old. Until then its own model stands in for what has not arrived.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };

/* x <- x - lr (g + wd x), and relay it, unless it is a local step */
static void plain(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf x = vf_fnma(lr, decayed(b, wd, k), vf_load(b->x + k));
        vf_store(b->x + k, x);
        vf_store(b->out[0] + k, x);
    }
}

/* b <- beta b + g;  x <- x - lr (nesterov ? g + beta b : b), and relay it */
static void momentum(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf x = vf_fnma(lr, s->nesterov ? vf_fma(beta, v, g) : v, vf_load(b->x + k));
        vf_store(b->state[B] + k, v);
        vf_store(b->x + k, x);
        vf_store(b->out[0] + k, x);
    }
}

/* x <- [ what came + (n - how many came) x ] / n */
static void take(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    vf own = vf_of(b->own), share = vf_of(b->share);
    EACH(b, k) vf_store(b->x + k, vf_fma(share, vf_load(b->in[0] + k), vf_mul(own, vf_load(b->x + k))));
}

/* bytes: x, g, momentum, and two rows for each link, read and written: of 16 clients on a tree, 30/16 links each */
#define COMMON                                                                                                         \
    .source = "Vogels et al. 2021, Algorithm 1", .needs = QGM_NEEDS_STATIC | QGM_NEEDS_TREE, .messages = 1,            \
    .local_steps = true
QGM_FAMILY(relay) = {
    { .name = "relaysgd",
      .about = "models relayed along a tree: exact means, late",
      COMMON,
      .bytes = 42,
      .stage = { QGM_MAP(plain), QGM_RELAY_WHEN(exchanges), QGM_MAP_WHEN(take, exchanges) } },
    { .name = "relaysgdm",
      .about = "models relayed along a tree, with local heavy-ball momentum",
      COMMON,
      .states = 1,
      .bytes = 50,
      .momentum = true,
      .velocity = 1 + B,
      .stage = { QGM_MAP(momentum), QGM_RELAY_WHEN(exchanges), QGM_MAP_WHEN(take, exchanges) } },
    { .name = "relaysgdm-n",
      .about = "models relayed along a tree, with local Nesterov momentum",
      COMMON,
      .states = 1,
      .bytes = 50,
      .momentum = true,
      .nesterov = true,
      .velocity = 1 + B,
      .stage = { QGM_MAP(momentum), QGM_RELAY_WHEN(exchanges), QGM_MAP_WHEN(take, exchanges) } },
    { 0 },
};
