/* Decentralised SGD whose momentum buffers are communicated too. SPDX-License-Identifier: MIT */
#include "block.h"

enum { B };
enum { OPTION };

static bool first_option(const struct qgm_step *s) { return s->knob[OPTION] == 1; }
static bool second_option(const struct qgm_step *s) { return s->knob[OPTION] == 2; }

/* b <- beta b + g;  send x - lr (nesterov ? g + beta b : b), and b */
static void send_both(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), v = vf_fma(beta, vf_load(b->state[B] + k), g);
        vf_store(b->out[0] + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, v, g) : v, vf_load(b->x + k)));
        vf_store(b->out[1] + k, v);
    }
}

VF_INLINE void take_both_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received models = receives(b, 0, inside), buffers = receives(b, 1, inside);
    EACH(b, k)
    {
        vf_store(b->x + k, received(&models, k));
        vf_store(b->state[B] + k, received(&buffers, k));
    }
}
QGM_INSIDE(take_both)

static void send_state(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    EACH(b, k)
    {
        vf_store(b->out[0] + k, vf_load(b->x + k));
        vf_store(b->out[1] + k, vf_load(b->state[B] + k));
    }
}

/* b <- beta b~ + g;  x <- x~ - lr b */
VF_INLINE void combine_then_adapt_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received models = receives(b, 0, inside), buffers = receives(b, 1, inside);
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf v = vf_fma(beta, received(&buffers, k), decayed(b, wd, k));
        vf_store(b->state[B] + k, v);
        vf_store(b->x + k, vf_fnma(lr, v, received(&models, k)));
    }
}
QGM_INSIDE(combine_then_adapt)

#define COMMON                                                                                                         \
    .needs = QGM_NEEDS_DOUBLY_STOCHASTIC, .states = 1, .messages = 2, .bytes = 20, .momentum = true,                   \
    .local_steps = true, .velocity = 1 + B
QGM_FAMILY(dmsgd) = {
    { .name = "dsgdm-sync",
      .source = "Yu, Jin and Yang 2019, Algorithm 3",
      .about = "local momentum, buffers mixed with the models: two vectors a link",
      COMMON,
      .stage = { QGM_MAP(send_both), QGM_MIX_INSIDE(2), QGM_MAP(take_both) } },
    { .name = "dsgdm-n-sync",
      .source = "Yu, Jin and Yang 2019, Algorithm 3, Nesterov form",
      .about = "local Nesterov momentum, buffers mixed with the models: two vectors a link",
      .nesterov = true,
      COMMON,
      .stage = { QGM_MAP(send_both), QGM_MIX_INSIDE(2), QGM_MAP(take_both) } },
    { .name = "dmsgd",
      .source = "after Balu et al. 2021; as defined in this file",
      .about = "option 1: momentum mixed, then used; option 2: step, then model and momentum mixed jointly",
      COMMON,
      .knob = { { "option", "1 or 2", 1, 1, 2, true } },
      .stage = { QGM_OFFER_WHEN(send_state, first_option), QGM_MAP_WHEN(send_both, second_option), QGM_MIX_INSIDE(2),
                 QGM_MAP_WHEN(combine_then_adapt, first_option), QGM_MAP_WHEN(take_both, second_option) } },
    { 0 },
};
