/* D2 removes the bias of heterogeneous data by correcting each step with the last one; D2+ rescales the remembered
 * displacement when the learning rate changes. Neither has momentum. SPDX-License-Identifier: MIT */
#include "block.h"

enum { PAST, G }; /* d2: last x, d2-plus: last displacement / lr;  last gradient */

static bool first(const struct qgm_step *s) { return s->t == 0; }
static bool later(const struct qgm_step *s) { return s->t > 0; }
static bool moves(const struct qgm_step *s) { return s->lr != 0; }
static bool stands(const struct qgm_step *s) { return s->lr == 0; }

/* send x - lr g */
static void start(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k);
        vf_store(b->out[0] + k, vf_fnma(lr, g, vf_load(b->x + k)));
        vf_store(b->state[G] + k, g);
    }
}

/* send 2 x - x_last - lr (g - g_last) */
static void d2_step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), g = decayed(b, wd, k);
        vf ahead = vf_add(x, vf_sub(x, vf_load(b->state[PAST] + k)));
        vf_store(b->out[0] + k, vf_fnma(lr, vf_sub(g, vf_load(b->state[G] + k)), ahead));
        vf_store(b->state[G] + k, g);
    }
}

VF_INLINE void d2_take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received in = receives(b, 0, inside);
    EACH(b, k)
    {
        vf_store(b->state[PAST] + k, vf_load(b->x + k));
        vf_store(b->x + k, received(&in, k));
    }
}
QGM_INSIDE(d2_take)

/* send x - lr (D + g - g_last) */
static void plus_step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), d = vf_add(vf_load(b->state[PAST] + k), vf_sub(g, vf_load(b->state[G] + k)));
        vf_store(b->out[0] + k, vf_fnma(lr, d, vf_load(b->x + k)));
        vf_store(b->state[G] + k, g);
    }
}

/* D <- (x - x') / lr;  x <- x' */
VF_INLINE void plus_take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf c = vf_of(s->per_lr);
    EACH(b, k)
    {
        vf next = received(&in, k);
        vf_store(b->state[PAST] + k, vf_mul(c, vf_sub(vf_load(b->x + k), next)));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(plus_take)

/* The same without a learning rate, when nothing can be divided by it: D is to stay an average of gradients. */
static void plus_hold(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf wd = vf_of(s->weight_decay);
    EACH(b, k)
    {
        vf moved = vf_sub(decayed(b, wd, k), vf_load(b->state[G] + k));
        vf_store(b->state[PAST] + k, vf_add(vf_load(b->state[PAST] + k), moved));
    }
}

#define NO_LOCAL "each step is corrected by the displacement of the one before, which has to be a mixed one"
#define NEEDS    (QGM_NEEDS_DOUBLY_STOCHASTIC | QGM_NEEDS_SYMMETRIC | QGM_NEEDS_LAMBDA_MIN | QGM_NEEDS_STATIC)
QGM_FAMILY(d2) = {
    { .name = "d2",
      .source = "Tang et al. 2018, Algorithm 1",
      .about = "D2: free of heterogeneity bias, for a constant learning rate",
      .needs = NEEDS,
      .no_local = NO_LOCAL,
      .counted = QGM_LIN2021_LINKS_AND_MEAN,
      .states = 2,
      .messages = 1,
      .bytes = 28,
      .stage = { QGM_MAP_WHEN(start, first), QGM_MAP_WHEN(d2_step, later), QGM_MIX_INSIDE(1), QGM_MAP(d2_take) } },
    { .name = "d2-plus",
      .source = "Lin et al. 2021, released code (d2_v1)",
      .about = "D2 that survives changes of the learning rate",
      .needs = NEEDS,
      .no_local = NO_LOCAL,
      .counted = QGM_LIN2021_LINKS_AND_MEAN,
      .states = 2,
      .messages = 1,
      .bytes = 28,
      .stage = { QGM_MAP_WHEN(plus_hold, stands), QGM_MAP_WHEN(start, first), QGM_MAP_WHEN(plus_step, later),
                 QGM_MIX_TO_X_WHEN(stands), QGM_MIX_INSIDE_WHEN(1, moves), QGM_MAP_WHEN(plus_take, moves) } },
    { 0 },
};
