/* Adam, centralised and decentralised. Weight decay is part of the gradient, as in the released code, not AdamW's.
 * SPDX-License-Identifier: MIT */
#include "adam.h"

enum { M, V };

/* m, v: moments of g + wd x;  to <- Adam's new x */
VF_INLINE void step(const struct qgm_step *s, struct qgm_block *restrict b, const real *gradient, real *to)
{
    vf wd = vf_of(s->weight_decay), b1 = vf_of(s->knob[BETA1]), b2 = vf_of(s->knob[BETA2]);
    vf r1 = vf_of(1 - s->knob[BETA1]), r2 = vf_of(1 - s->knob[BETA2]);
    struct adam a = adam_of(s);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), g = vf_fma(wd, x, vf_load(gradient + k));
        vf m = average(b1, r1, vf_load(b->state[M] + k), g);
        vf v = average(b2, r2, vf_load(b->state[V] + k), vf_mul(g, g));
        vf_store(b->state[M] + k, m);
        vf_store(b->state[V] + k, v);
        vf_store(to + k, adam_move(&a, x, m, v));
    }
}

static void central(const struct qgm_step *s, struct qgm_block *restrict b) { step(s, b, b->in[0], b->x); }
static void local(const struct qgm_step *s, struct qgm_block *restrict b) { step(s, b, b->g, b->out[0]); }

QGM_FAMILY(adam) = {
    { .name = "adam-central",
      .source = "Kingma and Ba 2015, Algorithm 1, on all-reduced gradients",
      .about = "centralised Adam: the graph is not used",
      .no_local = "all clients share one model, which moves by the mean of every step's gradients",
      .states = 2,
      .messages = 1,
      .bytes = 28,
      .velocity = 1 + M,
      .knob = { ADAM_KNOBS },
      .prepare = adam_prepare,
      .stage = { QGM_MEAN_OF_G, QGM_MAP(central) } },
    { .name = "dadam",
      .source = "Lin et al. 2021, released code",
      .about = "decentralised Adam: local moments, models mixed",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 2,
      .messages = 1,
      .bytes = 28,
      .local_steps = true,
      .velocity = 1 + M,
      .knob = { ADAM_KNOBS },
      .prepare = adam_prepare,
      .stage = { QGM_MAP(local), QGM_MIX_TO_X } },
    { 0 },
};
