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

/* Of `cols` channels of the image x of `size` floats, which `at` is the first channel of; tap counts as argmax does. */
VF_INLINE void max_of(const struct qgm_pool *p, const struct window *v, const float *x, size_t at, size_t size,
                      int cols, float *y, uint8_t *argmax)
{
    vf best = vf_get(x + at + pixel_at(p, v->top, v->left), cols), one = vf_set1(1);
    vf tap = vf_set1((float)((v->top - v->y0) * p->k + v->left - v->x0)), where = tap;
    vf skipped = vf_set1((float)(p->k - (v->right - v->left)));
    for (int iy = v->top; iy < v->bottom; iy++, tap = vf_add(tap, skipped))
        for (int ix = v->left; ix < v->right; ix++, tap = vf_add(tap, one)) {
            size_t i = at + pixel_at(p, iy, ix);
            if (ix - v->x0 >= p->k - p->stride) vf_ahead(x, i, size); /* a column no window has seen */
            vf a = vf_get(x + i, cols);
            vm wins = vf_gt(a, best);
            best = vf_select(wins, a, best);
            where = vf_select(wins, tap, where);
        }
    vf_put(y, best, cols);
    vf_store_bytes(argmax, where, cols);
}

void QGM_ISA(qgm_maxpool_forward)(const struct qgm_pool *p, const float *x, float *y, uint8_t *argmax)
{
    assert(p->k <= 15 && p->pad < p->k);
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p), c = p->c;
    size_t size = pixel_at(p, p->h, 0);
    for (int n = 0; n < p->n; n++, x += size)
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, y += c, argmax += c) {
                struct window v = window_at(p, oy, ox);
                int j = 0;
                for (; j + VF <= c; j += VF) max_of(p, &v, x, (size_t)j, size, VF, y + j, argmax + j);
                if (j < c) max_of(p, &v, x, (size_t)j, size, c - j, y + j, argmax + j);
            }
}

/* The windows 0..count-1 that reach place i: from..to-1. */
struct reach {
    int from, to;
};
static inline struct reach reach_of(const struct qgm_pool *p, int i, int count)
{
    int last = i + p->pad, before = last - p->k; /* `before`: where a window that just misses i starts */
    return (struct reach){ before < 0 ? 0 : before / p->stride + 1, least(last / p->stride + 1, count) };
}

/* What a pixel is to a window it lies in: which tap, and where the outputs of the window begin. */
struct member {
    size_t output;
    int tap;
};
static int windows_of(const struct qgm_pool *p, int iy, int ix, struct reach rows, struct reach columns, int ow,
                      struct member *list)
{
    int count = 0;
    for (int oy = rows.from; oy < rows.to; oy++)
        for (int ox = columns.from; ox < columns.to; ox++)
            list[count++] = (struct member){
                .output = ((size_t)oy * (size_t)ow + (size_t)ox) * (size_t)p->c,
                .tap = (iy + p->pad - oy * p->stride) * p->k + ix + p->pad - ox * p->stride,
            };
    return count;
}

VF_INLINE vf gradient_of(const struct member *list, int count, const float *dy, const uint8_t *argmax, int cols)
{
    vf sum = vf_zero();
    for (int i = 0; i < count; i++) {
        size_t o = list[i].output;
        sum = vf_add(sum, vf_select(vf_bytes_are(argmax + o, list[i].tap, cols), vf_get(dy + o, cols), vf_zero()));
    }
    return sum;
}

/* Every pixel takes the gradients of the windows whose maximum it was, so that it is written once; past the caches
 * when `stream`, without reading what lay there. */
VF_INLINE void max_backward(const struct qgm_pool *p, const float *dy, const uint8_t *argmax, float *dx, bool stream)
{
    int oh = qgm_pool_oh(p), ow = qgm_pool_ow(p), c = p->c;
    size_t outputs = (size_t)oh * (size_t)ow * (size_t)c;
    struct member list[15 * 15];
    for (int n = 0; n < p->n; n++, dy += outputs, argmax += outputs)
        for (int iy = 0; iy < p->h; iy++) {
            struct reach rows = reach_of(p, iy, oh);
            for (int ix = 0; ix < p->w; ix++, dx += c) {
                int count = windows_of(p, iy, ix, rows, reach_of(p, ix, ow), ow, list), j = 0;
                for (; j + VF <= c; j += VF) {
                    vf sum = gradient_of(list, count, dy + j, argmax + j, VF);
                    if (stream)
                        vf_stream(dx + j, sum);
                    else
                        vf_store(dx + j, sum);
                }
                if (j < c) vf_store_n(dx + j, gradient_of(list, count, dy + j, argmax + j, c - j), c - j);
            }
        }
}

void QGM_ISA(qgm_maxpool_backward)(const struct qgm_pool *p, const float *dy, const uint8_t *argmax, float *dx)
{
    assert(p->k <= 15);
    if (vf_can_stream(dx, (size_t)p->n * pixel_at(p, p->h, 0)) && p->c % VF == 0) {
        max_backward(p, dy, argmax, dx, true);
        vf_stream_end();
    } else {
        max_backward(p, dy, argmax, dx, false);
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
