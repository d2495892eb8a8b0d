/* CHOCO: clients gossip compressed differences to public copies of their models, and correct their own by what the
 * copies disagree. With or without quasi-global momentum. SPDX-License-Identifier: MIT */
#include "compress.h"

enum { COPY, SUM, M }; /* own public copy; sum_j w_ij copies; quasi-global buffer */
enum { GAMMA = COMPRESS_OWN_KNOBS, MU };

/* h = x - lr d;  d = g, or as in quasi-global momentum */
VF_INLINE vf half(const struct qgm_step *s, const struct qgm_block *b, bool quasi_global, size_t k)
{
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum), g = decayed(b, wd, k), d = g;
    if (quasi_global) {
        d = vf_fma(beta, vf_load(b->state[M] + k), g);
        if (s->nesterov) d = vf_fma(beta, d, g);
    }
    return vf_fnma(lr, d, vf_load(b->x + k));
}

/* send q = C(h - copy);  copy <- copy + q */
VF_INLINE void send(const struct qgm_step *s, struct qgm_block *restrict b, bool quasi_global)
{
    real *q = b->out[0];
    EACH_OF_LONG(b, k) vf_store(q + k, vf_sub(half(s, b, quasi_global, k), vf_load(b->state[COPY] + k)));
    compress(s, b, q, 0);
    EACH_OF_LONG(b, k) vf_store(b->state[COPY] + k, vf_add(vf_load(b->state[COPY] + k), vf_load(q + k)));
}

/* sum <- sum + q~;  x' = h + gamma (sum - copy), h computed again rather than kept; in a local step x' = h;
 * M <- mu M + (1 - mu) (x - x')/lr */
VF_INLINE void take(const struct qgm_step *s, struct qgm_block *restrict b, bool quasi_global, bool exchanged,
                    bool inside)
{
    const struct received in = receives(b, 0, inside);
    double memory = quasi_global ? s->knob[MU] : 0;
    vf gamma = vf_of(s->knob[GAMMA]), mu = vf_of(memory), c = vf_of((1 - memory) * s->per_lr);
    EACH_OF_LONG(b, k)
    {
        vf x = vf_load(b->x + k), next = half(s, b, quasi_global, k);
        if (exchanged) {
            vf sum = vf_add(vf_load(b->state[SUM] + k), received(&in, k));
            next = vf_fma(gamma, vf_sub(sum, vf_load(b->state[COPY] + k)), next);
            vf_store(b->state[SUM] + k, sum);
        }
        if (quasi_global) vf_store(b->state[M] + k, vf_fma(c, vf_sub(x, next), vf_mul(mu, vf_load(b->state[M] + k))));
        vf_store(b->x + k, next);
    }
}

static void plain_send(const struct qgm_step *s, struct qgm_block *restrict b) { send(s, b, false); }
VF_INLINE void plain_take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    take(s, b, false, true, inside);
}
QGM_INSIDE(plain_take)
static void plain_alone(const struct qgm_step *s, struct qgm_block *restrict b) { take(s, b, false, false, false); }
static void qg_send(const struct qgm_step *s, struct qgm_block *restrict b) { send(s, b, true); }
VF_INLINE void qg_take_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    take(s, b, true, true, inside);
}
QGM_INSIDE(qg_take)
static void qg_alone(const struct qgm_step *s, struct qgm_block *restrict b) { take(s, b, true, false, false); }

#define COMMON                                                                                                         \
    .needs = QGM_NEEDS_DOUBLY_STOCHASTIC | QGM_NEEDS_STATIC, .messages = 1, .increments = true, .local_steps = true,   \
    .words = compress_words
/* Local steps as in Singh et al. 2020 (SPARQ-SGD), Algorithm 1, without its trigger. */
#define STAGES(alone_map, send_map, take_map)                                                                          \
    QGM_MAP_WHEN(alone_map, alone), QGM_MAP_WHEN(send_map, exchanges), QGM_MIX_INSIDE_WHEN(1, exchanges),              \
        QGM_MAP_WHEN(take_map, exchanges)
#define GAMMA_KNOB                                                                                                     \
    {                                                                                                                  \
        "gamma", "consensus step size", 0.3, 0, 1                                                                      \
    }
#define QUASI_GLOBAL                                                                                                   \
    COMMON, .source = "Lin et al. 2021, Algorithm 1, on Koloskova et al. 2019; as defined in this file", .states = 3,  \
            .bytes = 36, .momentum = true, .velocity = 1 + M,                                                          \
            .knob = { COMPRESS_KNOBS, GAMMA_KNOB, { "mu", "memory of the buffer", 0.9, 0, 1 } },                       \
            .stage = { STAGES(qg_alone, qg_send, qg_take) }
QGM_FAMILY(choco) = {
    { .name = "choco",
      .source = "Koloskova et al. 2019, Algorithm 2",
      .about = "decentralised SGD with compressed messages and error feedback",
      COMMON,
      .states = 2,
      .bytes = 28,
      .knob = { COMPRESS_KNOBS, GAMMA_KNOB },
      .stage = { STAGES(plain_alone, plain_send, plain_take) } },
    { .name = "qg-choco", .about = "quasi-global momentum with compressed messages", QUASI_GLOBAL },
    { .name = "qg-choco-n",
      .about = "quasi-global Nesterov momentum with compressed messages",
      .nesterov = true,
      QUASI_GLOBAL },
    { 0 },
};
