/* Quasi-global Adam: moments follow the normalised displacement q = (x - x') / || x - x' || of the whole model. The
 * released code has three versions; the one its program uses ("v2") is quasi-global in the second moment only.
 * SPDX-License-Identifier: MIT */
#include "adam.h"

enum { M, V, STATES, G = STATES, D = G };    /* moments; the gradient, from `move` on the displacement */
enum { VERSION = ADAM_OWN_KNOBS, NORM_EPS }; /* knobs */
enum { ORIGINAL, V1, V2 };
static const char *const versions[] = { "original", "v1", "v2", NULL };

static bool normalises(const struct qgm_step *s) { return s->knob[VERSION] == V1; }

/* send Adam's new x, from m~ = beta1 m + (1 - beta1) g (original: beta1 m + g) and v~ = beta2 v + (1 - beta2) g^2;
 * v2 keeps m~ */
static void half(const struct qgm_step *s, struct qgm_block *restrict b)
{
    int version = (int)s->knob[VERSION];
    vf wd = vf_of(s->weight_decay), b1 = vf_of(s->knob[BETA1]), b2 = vf_of(s->knob[BETA2]);
    vf r1 = vf_of(version == ORIGINAL ? 1 : 1 - s->knob[BETA1]), r2 = vf_of(1 - s->knob[BETA2]);
    vf scale = vf_of(version == V1 ? 1 / (b->norm + s->knob[NORM_EPS]) : 1);
    struct adam a = adam_of(s);
    EACH(b, k)
    {
        vf x = vf_load(b->x + k), g = vf_fma(wd, x, vf_mul(scale, vf_load(b->g + k)));
        vf m = average(b1, r1, vf_load(b->state[M] + k), g);
        vf v = average(b2, r2, vf_load(b->state[V] + k), vf_mul(g, g));
        if (version == V2) vf_store(b->state[M] + k, m);
        vf_store(b->out[0] + k, adam_move(&a, x, m, v));
    }
}

/* d = x - x' in the place of g, which all clients have used by now;  x <- x' */
VF_INLINE void move_(const struct qgm_step *s, struct qgm_block *restrict b, bool inside)
{
    (void)s;
    const struct received in = receives(b, 0, inside);
    EACH(b, k)
    {
        vf next = received(&in, k);
        vf_store(b->state[D] + k, vf_sub(vf_load(b->x + k), next));
        vf_store(b->x + k, next);
    }
}
QGM_INSIDE(move)

/* q = d / || d ||;  v <- beta2 v + (1 - beta2) q^2;  m <- beta1 m + (1 - beta1) q, but not in v2 */
static void follow(const struct qgm_step *s, struct qgm_block *restrict b)
{
    int version = (int)s->knob[VERSION];
    vf b1 = vf_of(s->knob[BETA1]), b2 = vf_of(s->knob[BETA2]);
    vf r1 = vf_of(1 - s->knob[BETA1]), r2 = vf_of(1 - s->knob[BETA2]);
    vf scale = vf_of(1 / (b->norm + s->knob[NORM_EPS]));
    EACH(b, k)
    {
        vf q = vf_mul(scale, vf_load(b->state[D] + k));
        vf_store(b->state[V] + k, average(b2, r2, vf_load(b->state[V] + k), vf_mul(q, q)));
        if (version != V2) vf_store(b->state[M] + k, average(b1, r1, vf_load(b->state[M] + k), q));
    }
}

QGM_FAMILY(qg_adam) = {
    { .name = "qg-dadam",
      .source = "Lin et al. 2021, Algorithm 2 and released code",
      .about = "quasi-global Adam; v1 normalises the gradient of the whole model, not of each filter",
      .needs = QGM_NEEDS_DOUBLY_STOCHASTIC,
      .states = STATES,
      .messages = 1,
      .bytes = 40, /* x g m v read, x m d written; then d v read, v written */
      .spends_gradient = true,
      .local_steps = true,
      .counted = QGM_LIN2021_ONCE,
      .velocity = 1 + M,
      .knob = { ADAM_KNOBS,
                { "version", "of the released code", V2, .choices = versions },
                { "norm-eps", "added to the norm of the displacement", 1e-8, 1e-30, 1 } },
      .prepare = adam_prepare,
      .stage = { { .op = QGM_OP_NORM, .arg = G, .when = normalises },
                 QGM_MAP(half),
                 QGM_MIX_INSIDE(1),
                 QGM_MAP(move),
                 QGM_NORM(D),
                 QGM_MAP_OF(follow, QGM_STATE(V) | QGM_STATE(D)) } }, /* but for v2 also M */
    { 0 },
};
