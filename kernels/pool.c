/* Max and average pools over N,H,W,C; a vector holds 16 channels of one pixel. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"
#include <assert.h>
#include <string.h>

void QGM_ISA(qgm_maxpool_forward)(const struct qgm_pool *p, const float *x, float *y, uint8_t *argmax);
void QGM_ISA(qgm_maxpool_backward)(const struct qgm_pool *p, const float *dy, const uint8_t *argmax, float *dx);
void QGM_ISA(qgm_avgpool_forward)(const struct qgm_pool *p, const float *x, float *y);
void QGM_ISA(qgm_avgpool_backward)(const struct qgm_pool *p, const float *dy, float *dx);

/* A window clipped to the image: rows top..bottom-1, columns left..right-1; (y0, x0) is where it would start. */
struct window {
    int y0, x0, top, bottom, left, right;
};
static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }
static inline struct window window_at(const struct qgm_pool *p, int oy, int ox)
{
    int y0 = oy * p->stride - p->pad, x0 = ox * p->stride - p->pad;
    return (struct window){ y0, x0, most(y0, 0), least(y0 + p->k, p->h), most(x0, 0), least(x0 + p->k, p->w) };
}
static inline size_t pixel_at(const struct qgm_pool *p, int y, int x) { return ((size_t)y * p->w + x) * p->c; }

static void max_of(const struct qgm_pool *p, const struct window *v, const float *x, int cols, float *y,
                   uint8_t *argmax)
{
    vf best = vf_load_n(x + pixel_at(p, v->top, v->left), cols);
    vf where = vf_set1((float)((v->top - v->y0) * p->k + v->left - v->x0));
    for (int iy = v->top; iy < v->bottom; iy++)
        for (int ix = v->left; ix < v->right; ix++) {
            vf a = vf_load_n(x + pixel_at(p, iy, ix), cols);
            vm wins = vf_gt(a, best);
            best = vf_select(wins, a, best);
            where = vf_select(wins, vf_set1((float)((iy - v->y0) * p->k + ix - v->x0)), where);
        }
    vf_store_n(y, best, cols);
    float tap[VF];
    vf_store(tap, where);
    for (int l = 0; l < cols; l++) argmax[l] = (uint8_t)tap[l];
}

void QGM_ISA(qgm_maxpool_forward)(const struct qgm_pool *p, const float *x, float *y, uint8_t *argmax)
{
    assert(p->k <= 15 && p->pad < p->k);
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p);
    for (int n = 0; n < p->n; n++, x += pixel_at(p, p->h, 0))
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, y += p->c, argmax += p->c) {
                struct window v = window_at(p, oy, ox);
                for (int c = 0; c < p->c; c += VF) max_of(p, &v, x + c, least(VF, p->c - c), y + c, argmax + c);
            }
}

void QGM_ISA(qgm_maxpool_backward)(const struct qgm_pool *p, const float *dy, const uint8_t *argmax, float *dx)
{
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p);
    memset(dx, 0, (size_t)p->n * pixel_at(p, p->h, 0) * sizeof *dx);
    for (int n = 0; n < p->n; n++, dx += pixel_at(p, p->h, 0))
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, dy += p->c, argmax += p->c)
                for (int c = 0; c < p->c; c++) {
                    int iy = oy * p->stride - p->pad + argmax[c] / p->k,
                        ix = ox * p->stride - p->pad + argmax[c] % p->k;
                    dx[pixel_at(p, iy, ix) + c] += dy[c];
                }
}

void QGM_ISA(qgm_avgpool_forward)(const struct qgm_pool *p, const float *x, float *y)
{
    assert(p->pad < p->k);
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p);
    for (int n = 0; n < p->n; n++, x += pixel_at(p, p->h, 0))
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, y += p->c) {
                struct window v = window_at(p, oy, ox);
                vf count = vf_set1((float)((v.bottom - v.top) * (v.right - v.left)));
                for (int c = 0; c < p->c; c += VF) {
                    int cols = least(VF, p->c - c);
                    vf sum = vf_zero();
                    for (int iy = v.top; iy < v.bottom; iy++)
                        for (int ix = v.left; ix < v.right; ix++)
                            sum = vf_add(sum, vf_load_n(x + pixel_at(p, iy, ix) + c, cols));
                    vf_store_n(y + c, vf_div(sum, count), cols);
                }
            }
}

void QGM_ISA(qgm_avgpool_backward)(const struct qgm_pool *p, const float *dy, float *dx)
{
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p);
    memset(dx, 0, (size_t)p->n * pixel_at(p, p->h, 0) * sizeof *dx);
    for (int n = 0; n < p->n; n++, dx += pixel_at(p, p->h, 0))
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, dy += p->c) {
                struct window v = window_at(p, oy, ox);
                vf count = vf_set1((float)((v.bottom - v.top) * (v.right - v.left)));
                for (int c = 0; c < p->c; c += VF) {
                    int cols = least(VF, p->c - c);
                    vf share = vf_div(vf_load_n(dy + c, cols), count);
                    for (int iy = v.top; iy < v.bottom; iy++)
                        for (int ix = v.left; ix < v.right; ix++) {
                            float *to = dx + pixel_at(p, iy, ix) + c;
                            vf_store_n(to, vf_add(vf_load_n(to, cols), share), cols);
                        }
                }
            }
}
