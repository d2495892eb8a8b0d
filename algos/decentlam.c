/* DecentLaM: momentum over the displacement that gradient step and mixing make together, so that momentum does not
 * amplify the heterogeneity bias. SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };

/* send x - lr g */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k) vf_store(b->out[0] + k, vf_fnma(lr, decayed(b, wd, k), vf_load(b->x + k)));
}

/* b <- beta b + (x - x~)/lr;  x <- x - lr b */
VF_INLINE void move_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf lr = vf_of(s->lr), c = vf_of(s->per_lr), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), moved = vf_sub(x, received(&in, k));
        vf v = vf_fma(c, moved, vf_mul(beta, vf_load(b->state[B] + k)));
        vf_store(b->state[B] + k, v);
        vf_store(b->x + k, vf_fnma(lr, v, x));
    }
}
QGM_INSIDE(move)

QGM_FAMILY(decentlam) = {
    { .name = "decentlam",
      .source = "Yuan et al. 2021, Algorithm 2",
      .about = "momentum without amplified bias; use a lazy graph where it is unstable",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 1,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .no_local = "what an exchange pulled stays in the buffer, and pulls on in the steps that do not exchange",
      .velocity = 1 + B,
      .stage = { QGM_MAP(half), QGM_MIX_INSIDE(1), QGM_MAP(move) } },
    { 0 },
};
