/* Gradient tracking of momentum with normalised steps: order-optimal under heavy-tailed noise.
 * SPDX-License-Identifier: MIT */
#include "block.h"

enum { V, Y };

/* v' = beta v + (1 - beta) g;  send y + v' - v */
static void track(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay), beta = vf_of(s->momentum), fresh = vf_of(1 - s->momentum);
    EACH(b, k)
    {
        vf old = vf_load(b->state[V] + k), v = vf_fma(fresh, decayed(b, wd, k), vf_mul(beta, old));
        vf_store(b->state[V] + k, v);
        vf_store(b->out[0] + k, vf_add(vf_load(b->state[Y] + k), vf_sub(v, old)));
    }
}

static void keep(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    EACH(b, k) vf_store(b->state[Y] + k, vf_load(b->in[0] + k));
}

/* send x - lr y / || y ||; no step where y is 0 */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf step = vf_of(b->norm > 0 ? s->lr / b->norm : 0);
    EACH(b, k) vf_store(b->out[0] + k, vf_fnma(step, vf_load(b->state[Y] + k), vf_load(b->x + k)));
}

QGM_FAMILY(gt_nsgdm) = {
    { .name = "gt-nsgdm",
      .source = "Luo et al. 2026, Algorithm 1",
      .about = "normalised steps along a tracked momentum: two vectors a link",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 2,
      .messages = 1,
      .bytes = 36, /* x g v y read, v y written; then x y read, x written */
      .momentum = true,
      .local_steps = true,
      .velocity = 1 + Y,
      .stage = { QGM_MAP(track), QGM_MIX(1), QGM_MAP(keep), QGM_NORM(Y), QGM_MAP_OF(half, QGM_X | QGM_STATE(Y)),
                 QGM_MIX_TO_X } },
    { 0 },
};
