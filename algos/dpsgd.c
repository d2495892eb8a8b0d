/* Decentralised SGD, combine then adapt: x <- sum_j w_ij x_j - lr (g + wd x). SPDX-License-Identifier: MIT */
#include "block.h"

static void offer(const struct qgm_step *s, struct qgm_block *restrict b) /* to the neighbours: x */
{
    (void)s;
    EACH(b, k) vf_store(b->out[0] + k, vf_load(b->x + k));
}

VF_INLINE void descend_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside) /* from what came, mixed */
{
    const struct received in = receives(b, 0, inside);
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k) vf_store(b->x + k, vf_fnma(lr, decayed(b, wd, k), received(&in, k)));
}
QGM_INSIDE(descend)

QGM_FAMILY(dpsgd) = {
    { .name = "dpsgd",
      .source = "Lian et al. 2017, Algorithm 1",
      .about = "decentralised SGD, combine then adapt",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .messages = 1,
      .bytes = 12, /* a parameter: x and g read, x written */
      .local_steps = true,
      .stage = { QGM_OFFER(offer), QGM_MIX_INSIDE(1), QGM_MAP(descend) } },
    { 0 },
};
