/* Quasi-global momentum: the buffer follows the displacement of the model, gradient step and mixing together, so it
 * estimates the global direction without any extra message. SPDX-License-Identifier: MIT */
#include "block.h"

enum { M, V };             /* quasi-global buffer; displacements since it was last updated (tau > 1 only) */
enum { MU, TAU, DIALECT }; /* knobs */

/* How much of d is stepped: RelaySGD's code divides by 1 + beta. */
enum { LIN2021, RELAYSGD };
static const char *const dialects[] = { "lin2021", "relaysgd", NULL };
enum { STEP }; /* derived */
static void prepare(struct qgm_step *s)
{
    s->derived[STEP] = s->knob[DIALECT] == RELAYSGD ? s->lr / (1 + s->momentum) : s->lr;
}

/* send x - lr d,  u = beta M + g,  d = nesterov ? g + beta u : u */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf lr = vf_of(s->derived[STEP]), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf g = decayed(b, wd, k), u = vf_fma(beta, vf_load(b->state[M] + k), g);
        vf_store(b->out[0] + k, vf_fnma(lr, s->nesterov ? vf_fma(beta, u, g) : u, vf_load(b->x + k)));
    }
}

/* M <- mu M + (1 - mu) (x - x') / lr;  x <- x' */
VF_INLINE void follow_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf mu = vf_of(s->knob[MU]), c = vf_of((1 - s->knob[MU]) * s->per_lr);
    EACH(b, k)
    {
        vf next = received(&in, k), moved = vf_sub(vf_load(b->x + k), next);
        vf_store(b->state[M] + k, vf_fma(c, moved, vf_mul(mu, vf_load(b->state[M] + k))));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(follow)

/* V <- V + (x - x') / lr;  x <- x' */
VF_INLINE void collect_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf c = vf_of(s->per_lr);
    EACH(b, k)
    {
        vf next = received(&in, k), moved = vf_sub(vf_load(b->x + k), next);
        vf_store(b->state[V] + k, vf_fma(c, moved, vf_load(b->state[V] + k)));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(collect)

/* M <- mu M + (1 - mu) V / tau;  V <- 0 */
static void flush(const struct qgm_step *s, struct qgm_block *restrict b)
{
    vf mu = vf_of(s->knob[MU]), c = vf_of((1 - s->knob[MU]) / s->knob[TAU]);
    EACH(b, k)
    {
        vf_store(b->state[M] + k, vf_fma(c, vf_load(b->state[V] + k), vf_mul(mu, vf_load(b->state[M] + k))));
        vf_store(b->state[V] + k, vf_zero());
    }
}

static bool each_step(const struct qgm_step *s) { return s->knob[TAU] == 1; }
static bool seldom(const struct qgm_step *s) { return s->knob[TAU] > 1; }
/* As in the released code this fires at t = 0, with one displacement divided by tau. */
static bool flushes(const struct qgm_step *s) { return s->knob[TAU] > 1 && s->t % (long)s->knob[TAU] == 0; }
static int states_of(const double *knob) { return knob[TAU] > 1 ? 2 : 1; }

/* The baseline of the GUT code: x' = W x - lr g + beta (x - x_last). M holds x - x_last. */
static void send_x(const struct qgm_step *s, struct qgm_block *restrict b)
{
    (void)s;
    EACH(b, k) vf_store(b->out[0] + k, vf_load(b->x + k));
}
VF_INLINE void inertia_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    const struct received in = receives(b, 0, inside);
    vf lr = vf_of(s->lr), wd = vf_of(s->weight_decay), beta = vf_of(s->momentum);
    EACH(b, k)
    {
        vf kept = vf_fma(beta, vf_load(b->state[M] + k), received(&in, k));
        vf next = vf_fnma(lr, decayed(b, wd, k), kept);
        vf_store(b->state[M] + k, vf_sub(next, vf_load(b->x + k)));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(inertia)

#define COMMON                                                                                                         \
    .source = "Lin et al. 2021, Algorithm 1 and released code", .needs = QGM_NEEDS_DOUBLY_STOCHASTIC, .states = 2,     \
    .messages = 1, .bytes = 20, .momentum = true, .local_steps = true, .velocity = 1 + M, .states_of = states_of,      \
    .prepare = prepare,                                                                                                \
    .knob = { { "mu", "memory of the buffer; the released code's 'factor' is 1 - mu", 0.9, 0, 1 },                     \
              { "tau", "steps between updates of the buffer", 1, 1, 1e6, true },                                       \
              { "dialect", "relaysgd: steps divided by 1 + beta", LIN2021, .choices = dialects } },                    \
    .stage = { QGM_MAP(half), QGM_MIX_INSIDE(1), QGM_MAP_WHEN(follow, each_step), QGM_MAP_WHEN(collect, seldom),       \
               QGM_MAP_WHEN(flush, flushes) }
QGM_FAMILY(qg) = {
    { .name = "qg-dsgdm", .about = "quasi-global momentum, heavy-ball form", COMMON },
    { .name = "qg-dsgdm-n", .about = "quasi-global momentum, Nesterov form", .nesterov = true, COMMON },
    { .name = "qg-dsgdm-gut",
      .source = "Aketi, Hashemi and Roy 2023, released code",
      .about = "what the GUT code calls quasi-global: heavy ball over the unmixed displacement",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = 1,
      .messages = 1,
      .bytes = 20,
      .momentum = true,
      .no_local = "what an exchange pulled stays in the buffer, and pulls on in the steps that do not exchange",
      .velocity = 1 + M,
      .stage = { QGM_OFFER(send_x), QGM_MIX_INSIDE(1), QGM_MAP(inertia) } },
    { 0 },
};
