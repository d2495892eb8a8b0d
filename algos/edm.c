/* Exact diffusion with momentum: D2 with the momentum buffer in the place of the gradient. In the form that rescales
 * the remembered displacement, so that it survives changes of the learning rate. SPDX-License-Identifier: MIT */
#include "block.h"

enum { M, MOVED }; /* momentum, last displacement / lr */

/* m' = beta m + g;  send x - lr (moved + m' - m), at first x - lr m' (both remembered vectors are then 0) */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf old = vf_load(b->state[M] + k), m = vf_fma(beta, old, decayed(b, wd, k));
        vf d = vf_add(vf_load(b->state[MOVED] + k), vf_sub(m, old));
        vf_store(b->state[M] + k, m);
        vf_store(b->out[0] + k, vf_fnma(lr, d, vf_load(b->x + k)));
    }
}

/* Without a learning rate nothing can be divided by it: moved <- moved + m' - m stays an average of gradients. Before
 * half, which forgets m. */
static void hold(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf old = vf_load(b->state[M] + k), m = vf_fma(beta, old, decayed(b, wd, k));
        vf_store(b->state[MOVED] + k, vf_add(vf_load(b->state[MOVED] + k), vf_sub(m, old)));
    }
}

/* moved <- (x - x')/lr;  x <- x' */
VF_INLINE void move_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf c = vf_of(s->per_lr);
    EACH(b, k)
    {
        vf next = received(&in, k);
        vf_store(b->state[MOVED] + k, vf_mul(c, vf_sub(vf_load(b->x + k), next)));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(move)

static bool moves(const struct qgm_step *s) { return s->lr != 0; }
static bool stands(const struct qgm_step *s) { return s->lr == 0; }

QGM_FAMILY(edm) = {
    { .name = "edm",
      .source = "Hu et al. 2025, Algorithm 1 (momentum not scaled by 1 - beta)",
      .about = "exact diffusion with momentum: free of heterogeneity bias, one vector a link",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC | QGM_NEEDS_SYMMETRIC | QGM_NEEDS_LAMBDA_MIN | QGM_NEEDS_STATIC,
      .no_local = "each step is corrected by the displacement of the one before, which has to be a mixed one",
      .states = 2,
      .messages = 1,
      .bytes = 28,
      .momentum = true,
      .velocity = 1 + M,
      .stage = { QGM_MAP_WHEN(hold, stands), QGM_MAP(half), QGM_MIX_TO_X_WHEN(stands), QGM_MIX_INSIDE_WHEN(1, moves),
                 QGM_MAP_WHEN(move, moves) } },
    { 0 },
};
