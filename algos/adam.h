/* The Adam step, shared by the algorithms built on it. SPDX-License-Identifier: MIT */
#ifndef QGM_ADAM_H
#define QGM_ADAM_H
#include "block.h"

#define ADAM_KNOBS                                                                                                     \
    { "beta1", "memory of the first moment", 0.9, 0, 0.999999 },                                                       \
        { "beta2", "memory of the second moment", 0.999, 0, 0.999999 },                                                \
    {                                                                                                                  \
        "eps", "added to the root", 1e-8, 1e-30, 1                                                                     \
    }
enum { BETA1, BETA2, EPS, ADAM_OWN_KNOBS };    /* knobs; an algorithm's own follow */
enum { POWER1, POWER2, ADAM_STEP, ADAM_ROOT }; /* derived: beta1^(t+1), beta2^(t+1), lr/c1, 1/sqrt(c2) */

__attribute__((unused)) static void adam_prepare(struct qgm_step *s)
{
    s->derived[POWER1] = (s->t ? s->derived[POWER1] : 1) * s->knob[BETA1];
    s->derived[POWER2] = (s->t ? s->derived[POWER2] : 1) * s->knob[BETA2];
    s->derived[ADAM_STEP] = s->lr / (1 - s->derived[POWER1]);
    s->derived[ADAM_ROOT] = 1 / __builtin_sqrt(1 - s->derived[POWER2]);
}

/* x - lr/c1 m / (sqrt(v)/sqrt(c2) + eps) */
struct adam {
    vf step, root, eps;
};
VF_INLINE struct adam adam_of(const struct qgm_step *s)
{
    return (struct adam){ vf_of(s->derived[ADAM_STEP]), vf_of(s->derived[ADAM_ROOT]), vf_of(s->knob[EPS]) };
}
VF_INLINE vf adam_move(const struct adam *a, vf x, vf m, vf v)
{
    return vf_fnma(a->step, vf_div(m, vf_fma(a->root, vf_sqrt(v), a->eps)), x);
}
/* beta old + (1 - beta) new */
VF_INLINE vf average(vf beta, vf rest, vf old, vf new) { return vf_fma(rest, new, vf_mul(beta, old)); }

#endif
