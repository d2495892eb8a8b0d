/* Softmax cross-entropy with label smoothing. With z = logit - max and s = sum exp z, the loss of a row is
 * log s - sum_c target_c z_c and its gradient exp(z) / s - target. SPDX-License-Identifier: MIT */
#include "dmath.h"
#include "kernels.h"
#include "mathv.h"
#include <assert.h>

double QGM_ISA(qgm_softmax_xent)(const float *logits, const int32_t *labels, int rows, int classes, float smoothing,
                                 float scale, float *dlogits);

static inline int least(int a, int b) { return a < b ? a : b; }

/* True in the first n lanes. */
VF_INLINE vm first(int n)
{
    static const float lane[VF] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return vf_gt(vf_set1((float)n), vf_load(lane));
}

/* Of the finite numbers among them; which zero it returns does not matter to z. */
static float largest(const float *x, int n)
{
    vf most = vf_set1(-VF_INFINITY_);
    for (int c = 0; c < n; c += VF) {
        int cols = least(VF, n - c);
        most = vf_max(vf_select(first(cols), vf_load_n(x + c, cols), most), most);
    }
    float lane[VF], best = -VF_INFINITY_;
    vf_store(lane, most);
    for (int l = 0; l < VF; l++) best = lane[l] > best ? lane[l] : best;
    return best;
}

/* Sums over a row, lane by lane, in chains of CHAIN classes: a vocabulary's would lose three bits in one. */
enum { CHAIN = 1024 };
static void add_row(const float *x, int n, vf most, vf *sum, vf *sum_z)
{
    *sum = *sum_z = vf_zero();
    for (int begin = 0; begin < n; begin += CHAIN) {
        int end = least(n, begin + CHAIN);
        vf part = vf_zero(), part_z = vf_zero();
        for (int c = begin; c < end; c += VF) {
            int cols = least(VF, end - c);
            vf z = vf_sub(vf_load_n(x + c, cols), most);
            part = vf_add(part, vf_select(first(cols), vf_exp(z), vf_zero()));
            part_z = vf_add(part_z, vf_select(first(cols), z, vf_zero()));
        }
        *sum = vf_add(*sum, part);
        *sum_z = vf_add(*sum_z, part_z);
    }
}

double QGM_ISA(qgm_softmax_xent)(const float *logits, const int32_t *labels, int rows, int classes, float smoothing,
                                 float scale, float *dlogits)
{
    double loss = 0;
    float spread = smoothing / (float)classes;
    for (int r = 0; r < rows; r++) {
        const float *x = logits + (size_t)r * classes;
        assert(labels[r] >= 0 && labels[r] < classes);
        float top = largest(x, classes), z_label = x[labels[r]] - top;
        vf most = vf_set1(top), sum, sum_z;
        add_row(x, classes, most, &sum, &sum_z);
        float s = vf_sum(sum);
        double log_s = s > 0 ? qgm_log((double)s) : (double)s; /* a NaN stays one */
        loss += log_s - (double)(1 - smoothing) * (double)z_label;
        if (smoothing > 0) loss -= (double)spread * (double)vf_sum(sum_z);
        if (!dlogits) continue;
        float *d = dlogits + (size_t)r * classes;
        vf inverse = vf_set1(1 / s), factor = vf_set1(scale), even = vf_set1(spread);
        for (int c = 0; c < classes; c += VF) {
            int cols = least(VF, classes - c);
            vf p = vf_mul(vf_exp(vf_sub(vf_load_n(x + c, cols), most)), inverse);
            float on[VF] = { 0 };
            if (labels[r] >= c && labels[r] < c + cols) on[labels[r] - c] = 1 - smoothing;
            vf_store_n(d + c, vf_mul(factor, vf_sub(vf_sub(p, even), vf_load(on))), cols);
        }
    }
    return loss;
}
