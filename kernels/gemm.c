/* Matrix product: a panel of 16 columns of op(b) is packed, then each row of c is one chain of fma a lane.
 * SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"
#include <assert.h>

static void pack_panel(const struct qgm_gemm *g, int j, int cols, float *panel)
{
    for (int p = 0; p < g->k; p++)
        for (int l = 0; l < VF; l++)
            panel[(size_t)p * VF + l] = l >= cols ? 0
                                        : g->tb   ? g->b[(size_t)(j + l) * g->ldb + p]
                                                  : g->b[(size_t)p * g->ldb + j + l];
}

void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch);
void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch)
{
    assert(g->beta == 0 || g->beta == 1);
    float *panel = scratch;
    for (int j = 0; j < g->n; j += VF) {
        int cols = g->n - j < VF ? g->n - j : VF;
        pack_panel(g, j, cols, panel);
        vf bias = g->bias ? vf_load_n(g->bias + j, cols) : vf_zero();
        for (int i = 0; i < g->m; i++) {
            float *c = g->c + (size_t)i * g->ldc + j;
            vf sum = g->beta == 1 ? vf_load_n(c, cols) : bias;
            for (int p = 0; p < g->k; p++) {
                float a = g->ta ? g->a[(size_t)p * g->lda + i] : g->a[(size_t)i * g->lda + p];
                sum = vf_fma(vf_set1(a), vf_load(panel + (size_t)p * VF), sum);
            }
            if (g->beta == 1 && g->bias) sum = vf_add(sum, bias);
            vf_store_n(c, g->relu ? vf_max(sum, vf_zero()) : sum, cols);
        }
    }
}
