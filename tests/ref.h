/* Naive references for the kernels, each output on its own, straight from the definition. SPDX-License-Identifier: MIT
 */
#ifndef QGM_REF_H
#define QGM_REF_H
#include "check.h"

/* c0: what c held before, with leading dimension ldc. out: m x n. */
void ref_gemm(const struct qgm_gemm *g, const float *c0, struct check_value *out);
void ref_conv_forward(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                      struct check_value *y);
void ref_conv_backward_data(const struct qgm_conv *c, const float *dy, const float *w, struct check_value *dx);
void ref_conv_backward_weights(const struct qgm_conv *c, const float *x, const float *dy, const float *dw0,
                               struct check_value *dw);

#endif
