/* Gradient tracking: y follows the mean gradient. Combine, then adapt with the own y from before the mixing.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { Y, G, B }; /* tracker, last gradient, momentum */

/* y <- y + g - g_last;  send x and y */
static void track(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), y = vf_add(vf_load(b->state[Y] + k), vf_sub(g, vf_load(b->state[G] + k)));
        vf_store(b->state[Y] + k, y);
        vf_store(b->state[G] + k, g);
        vf_store(b->out[0] + k, vf_load(b->x + k));
        vf_store(b->out[1] + k, y);
    }
}

/* x <- x~ - lr y;  y <- y~ */
VF_INLINE void plain_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received models = receives(b, 0, inside), trackers = receives(b, 1, inside);
    vf lr = vf_of(s->lr);
    EACH(b, k)
    {
        vf_store(b->x + k, vf_fnma(lr, vf_load(b->state[Y] + k), received(&models, k)));
        vf_store(b->state[Y] + k, received(&trackers, k));
    }
}
QGM_INSIDE(plain)

/* b <- beta b + y;  x <- x~ - lr (nesterov ? y + beta b : b);  y <- y~ */
VF_INLINE void momentum_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received models = receives(b, 0, inside), trackers = receives(b, 1, inside);
    vf lr = vf_of(s->lr), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf y = vf_load(b->state[Y] + k), v = vf_fma(beta, vf_load(b->state[B] + k), y);
        vf_store(b->state[B] + k, v);
        vf_store(b->x + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, v, y) : v, received(&models, k)));
        vf_store(b->state[Y] + k, received(&trackers, k));
    }
}
QGM_INSIDE(momentum)

#define SOURCE "Di Lorenzo and Scutari 2016; Lin et al. 2021, released code"
QGM_FAMILY(gt) = {
    { .name = "gt",
      .source = SOURCE,
      .about = "gradient tracking: two vectors a link",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 2,
      .messages = 2,
      .local_steps = true,
      .bytes = 28,
      .velocity = 1 + Y,
      .stage = { QGM_MAP(track), QGM_MIX_INSIDE(2), QGM_MAP(plain) } },
    { .name = "gtm",
      .source = SOURCE,
      .about = "gradient tracking with local heavy-ball momentum",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 3,
      .messages = 2,
      .local_steps = true,
      .bytes = 36,
      .momentum = true,
      .velocity = 1 + B,
      .stage = { QGM_MAP(track), QGM_MIX_INSIDE(2), QGM_MAP(momentum) } },
    { .name = "gtm-n",
      .source = SOURCE,
      .about = "gradient tracking with local Nesterov momentum",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 3,
      .messages = 2,
      .local_steps = true,
      .bytes = 36,
      .momentum = true,
      .nesterov = true,
      .velocity = 1 + B,
      .stage = { QGM_MAP(track), QGM_MIX_INSIDE(2), QGM_MAP(momentum) } },
    { 0 },
};
