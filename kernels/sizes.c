/* What a call costs: scratch bytes, FLOPs, compulsory traffic. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "winograd.h"

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* gemm.c's blocks: at most QGM_CHAIN terms of NC <= 192 columns of op(b), whole panels, and of MC = 2048 rows of op(a),
 * or of MB = 126 where there is one block of columns alone (NC >= 96). Rows of op(a) are whole vectors apart. */
size_t qgm_gemm_scratch(const struct qgm_gemm *g)
{
    size_t k = least((size_t)g->k, QGM_CHAIN), n = least(((size_t)g->n + 31) / 32 * 32, 192);
    size_t m = least((size_t)g->m, g->n > 96 ? 2048 : 126);
    return qgm_piece(k * n + qgm_pad16(k) * m, sizeof(float));
}

/* What is transformed: 36 points of inputs, weights and products, and a pixel of zeros. */
static size_t winograd_of_batch(const struct qgm_conv *c)
{
    struct winograd p = winograd_of(c);
    return 36 * (size_t)(p.v + p.u + p.m) + (size_t)p.ldv;
}

/* The few tiles of a smaller batch may go through in a larger block than many do. */
static size_t winograd_scratch(const struct qgm_conv *c)
{
    struct winograd p = winograd_of(c);
    struct qgm_conv few = *c;
    few.n = (int)least((size_t)c->n, WINOGRAD_FEW / (size_t)(p.tiles_y * p.tiles_x));
    size_t whole = winograd_of_batch(c), part = winograd_of_batch(&few);
    return whole > part ? whole : part;
}

/* Packed weights of forward and backward_data; the resting chains and the widened dy of backward_weights. */
size_t qgm_conv_scratch(const struct qgm_conv *c)
{
    size_t taps = (size_t)c->kh * (size_t)c->kw, ci = (size_t)c->ci, co = (size_t)c->co;
    size_t forward = taps * ci * qgm_pad16(co), backward = taps * co * qgm_pad16(ci);
    size_t images = least((size_t)qgm_conv_group(c), (size_t)c->n);
    size_t wide = images * (size_t)qgm_conv_oh(c) * (size_t)qgm_conv_ow(c) * qgm_pad16(co);
    size_t weights = forward + (co % 16 ? wide : 0);
    if (qgm_conv_gathers(c)) /* all of x, in tiles of at most 16 rows, and 128 columns of dy */
        weights +=
            images * ((size_t)c->h * (size_t)c->w * (ci + 16) + (size_t)qgm_conv_oh(c) * (size_t)qgm_conv_ow(c) * 128);
    size_t most = forward > backward ? forward : backward;
    most = most > weights ? most : weights;
    if (qgm_conv_winograd(c)) {
        struct qgm_conv turned = winograd_turned(c);
        size_t there = winograd_scratch(c), back = winograd_scratch(&turned);
        most = most > there ? most : there;
        most = most > back ? most : back;
    }
    if (qgm_conv_winograd_weights(c)) {
        struct winograd p = winograd_weights_of(c);
        size_t sums = 36 * (size_t)(p.v + p.u + p.m) + (size_t)(p.ldv > p.ldm ? p.ldv : p.ldm);
        most = most > sums ? most : sums;
    }
    return qgm_piece(most, sizeof(float));
}

double qgm_conv_flops(const struct qgm_conv *c)
{
    return 2.0 * c->n * qgm_conv_oh(c) * qgm_conv_ow(c) * c->kh * c->kw * c->ci * c->co;
}

double qgm_conv_bytes(const struct qgm_conv *c)
{
    double x = (double)c->n * c->h * c->w * c->ci, y = (double)c->n * qgm_conv_oh(c) * qgm_conv_ow(c) * c->co;
    return 4.0 * (x + y + (double)c->kh * c->kw * c->ci * c->co);
}

/* x and y once each, and a byte an output for argmax. */
double qgm_pool_bytes(const struct qgm_pool *p)
{
    double x = (double)p->n * p->h * p->w * p->c, y = (double)p->n * qgm_pool_oh(p) * qgm_pool_ow(p) * p->c;
    return 4.0 * (x + y) + y;
}
