/* Momentum Tracking: every client's buffer is corrected by how it differs from the mean buffer, so the rate does not
 * depend on heterogeneity for any momentum. SPDX-License-Identifier: MIT */
#include "block.h"

enum { U, C }; /* momentum, correction */

static bool first(const struct qgm_step *s) { return s->t == 0; }

static void offer(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay);
    EACH(b, k) vf_store(b->out[0] + k, decayed(b, wd, k));
}

/* u = c = (g - mean g) / (1 - beta): one all-reduce before the first step */
static void start(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay), scale = vf_of(1 / (1 - s->momentum));
    EACH(b, k)
    {
        vf c = vf_mul(scale, vf_sub(decayed(b, wd, k), vf_load(b->in[0] + k)));
        vf_store(b->state[U] + k, c);
        vf_store(b->state[C] + k, c);
    }
}

/* u <- beta u + g;  send x and c - u */
static void send(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf u = vf_fma(beta, vf_load(b->state[U] + k), decayed(b, wd, k));
        vf_store(b->state[U] + k, u);
        vf_store(b->out[0] + k, vf_load(b->x + k));
        vf_store(b->out[1] + k, vf_sub(vf_load(b->state[C] + k), u));
    }
}

/* x <- x~ - lr (u - c);  c <- (c - u)~ + u */
VF_INLINE void move_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received models = receives(b, 0, inside), corrections = receives(b, 1, inside);
    vf lr = vf_of(s->lr);
    EACH(b, k)
    {
        vf u = vf_load(b->state[U] + k), d = vf_sub(u, vf_load(b->state[C] + k));
        vf_store(b->x + k, vf_fnma(lr, d, received(&models, k)));
        vf_store(b->state[C] + k, vf_add(received(&corrections, k), u));
    }
}
QGM_INSIDE(move)

QGM_FAMILY(momentum_tracking) = {
    { .name = "momentum-tracking",
      .source = "Takezawa et al. 2023, Algorithm 1",
      .about = "momentum free of heterogeneity: two vectors a link, one all-reduce at the start",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 2,
      .messages = 2,
      .bytes = 28,
      .momentum = true,
      .local_steps = true,
      .velocity = 1 + U,
      .stage = { QGM_MAP_WHEN(offer, first), QGM_MEAN_WHEN(1, first), QGM_MAP_WHEN(start, first), QGM_MAP(send),
                 QGM_MIX_INSIDE(2), QGM_MAP(move) } },
    { 0 },
};
