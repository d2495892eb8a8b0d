/* exp, log, tanh, sigmoid and erf of arrays. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "mathv.h"

#define EACH(name, function)                                                                                           \
    void QGM_ISA(qgm_##name)(const float *x, float *y, size_t n);                                                      \
    void QGM_ISA(qgm_##name)(const float *x, float *y, size_t n)                                                       \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + VF <= n; i += VF) {                                                                                 \
            vf_ahead(x, i, n);                                                                                         \
            vf_ahead(y, i, n);                                                                                         \
            vf_store(y + i, function(vf_load(x + i)));                                                                 \
        }                                                                                                              \
        if (i < n) vf_store_n(y + i, function(vf_load_n(x + i, (int)(n - i))), (int)(n - i));                          \
    }

EACH(exp, vf_exp)
EACH(log, vf_log)
EACH(tanh, vf_tanh)
EACH(sigmoid, vf_sigmoid)
EACH(erf, vf_erf)
