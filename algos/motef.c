/* MoTEF: momentum tracking with error feedback: gradient tracking over compressed messages; BEER is its form without
 * momentum. Written so that a step begins with the gradient at x. SPDX-License-Identifier: MIT */
#include "compress.h"

enum { M, V, H, H_SUM, K, K_SUM }; /* momentum, tracker; public copies of x and of V, and W times them */
enum { GAMMA = COMPRESS_OWN_KNOBS, LAMBDA };

/* M' = (1 - lambda) M + lambda g (M' = g at first);  V <- V + gamma (K_sum - K) + M' - M;  x <- x + gamma (H_sum - H)
 * - lr V;  offer x - H and V - K. What the copies disagree is made up for once an exchange: in the first step after it
 */
static void step(const struct qgm_step *s, struct qgm_block *restrict b)
{
    double lambda = s->t ? s->knob[LAMBDA] : 1;
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), gamma = vf_of(s->fresh ? s->knob[GAMMA] : 0);
    vf fresh = vf_of(lambda), keep = vf_of(1 - lambda);
    EACH_OF_LONG(b, k)
    {
        vf x = vf_load(b->x + k), old = vf_load(b->state[M] + k), h = vf_load(b->state[H] + k);
        vf copy = vf_load(b->state[K] + k), m = vf_fma(fresh, decayed(b, wd, k), vf_mul(keep, old));
        vf v = vf_fma(gamma, vf_sub(vf_load(b->state[K_SUM] + k), copy), vf_load(b->state[V] + k));
        v = vf_add(v, vf_sub(m, old));
        x = vf_fnma(lr, v, vf_fma(gamma, vf_sub(vf_load(b->state[H_SUM] + k), h), x));
        vf_store(b->state[M] + k, m);
        vf_store(b->state[V] + k, v);
        vf_store(b->x + k, x);
        vf_store(b->out[0] + k, vf_sub(x, h));
        vf_store(b->out[1] + k, vf_sub(v, copy));
    }
}

/* send C(x - H) and C(V - K), and add them to H and K */
static void send(const struct qgm_step *s, struct qgm_block *restrict b)
{
    compress(s, b, b->out[0], 0);
    compress(s, b, b->out[1], 1);
    EACH_OF_LONG(b, k)
    {
        vf_store(b->state[H] + k, vf_add(vf_load(b->state[H] + k), vf_load(b->out[0] + k)));
        vf_store(b->state[K] + k, vf_add(vf_load(b->state[K] + k), vf_load(b->out[1] + k)));
    }
}

VF_INLINE void take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received models = receives(b, 0, inside), trackers = receives(b, 1, inside);
    EACH_OF_LONG(b, k)
    {
        vf_store(b->state[H_SUM] + k, vf_add(vf_load(b->state[H_SUM] + k), received(&models, k)));
        vf_store(b->state[K_SUM] + k, vf_add(vf_load(b->state[K_SUM] + k), received(&trackers, k)));
    }
}
QGM_INSIDE(take)

#define COMMON                                                                                                         \
    .needs = QGM_NEEDS_DOUBLY_STOCHASTIC | QGM_NEEDS_STATIC, .states = 6, .messages = 2, .bytes = 60,                  \
    .velocity = 1 + V, .increments = true, .local_steps = true, .words = compress_words,                               \
    .stage = { QGM_MAP(step), QGM_MAP_WHEN(send, exchanges), QGM_MIX_INSIDE_WHEN(2, exchanges),                        \
               QGM_MAP_WHEN(take, exchanges) }
#define GAMMA_KNOB                                                                                                     \
    {                                                                                                                  \
        "gamma", "consensus step size", 0.3, 0, 1                                                                      \
    }
QGM_FAMILY(motef) = {
    { .name = "motef",
      .source = "Islamov, Gao and Stich 2025, Algorithm 1",
      .about = "momentum and gradient tracking over compressed messages: two a link",
      .knob = { COMPRESS_KNOBS, GAMMA_KNOB, { "lambda", "weight of a fresh gradient", 0.1, 1e-6, 1 } },
      COMMON },
    { .name = "beer",
      .source = "Zhao et al. 2022, Algorithm 1",
      .about = "gradient tracking over compressed messages: two a link",
      .knob = { COMPRESS_KNOBS, GAMMA_KNOB, { "lambda", "weight of a fresh gradient; 1 is BEER", 1, 1, 1 } },
      COMMON },
    { 0 },
};
