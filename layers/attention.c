/* Multi-head attention (Vaswani et al., NeurIPS 2017). Scores exist a tile of 64 queries at a time, forward and again
 * backward: what is kept is q, k and v. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <math.h>

enum { TILE = 64 }; /* queries; part of the order in which gradients of keys and values are summed */

struct attention {
    int heads, width, longest;
    float scale;
};

static int smaller(int a, int b) { return a < b ? a : b; }

/* The products of a tile of m queries against t keys of d channels, by size. */
static struct qgm_gemm scores_of(const struct attention *s, int m, int t) /* q k^T, also do v^T */
{
    int d = s->width / s->heads;
    return (struct qgm_gemm){ .m = m, .n = t, .k = d, .tb = true, .lda = s->width, .ldb = s->width, .ldc = t };
}
static struct qgm_gemm mixture_of(const struct attention *s, int m, int t) /* p v, also ds k */
{
    int d = s->width / s->heads;
    return (struct qgm_gemm){ .m = m, .n = d, .k = t, .lda = t, .ldb = s->width, .ldc = s->width };
}
static struct qgm_gemm outer_of(const struct attention *s, int m, int t, bool first) /* p^T do, also ds^T q */
{
    int d = s->width / s->heads;
    return (struct qgm_gemm){
        .m = t, .n = d, .k = m, .ta = true, .lda = t, .ldb = s->width, .ldc = s->width, .beta = first ? 0 : 1
    };
}

struct space {
    float *p, *ds;
    void *gemm;
};

static size_t tile_bytes(const struct attention *s)
{
    return qgm_pad16((size_t)TILE * (size_t)s->longest) * sizeof(float);
}

static struct space space_of(const struct attention *s, const struct qgm_pass *p)
{
    char *base = p->scratch;
    return (
        struct space){ .p = (float *)base, .ds = (float *)(base + tile_bytes(s)), .gemm = base + 2 * tile_bytes(s) };
}

static size_t scratch(const struct qgm_node *node, int n, bool training)
{
    (void)n;
    (void)training;
    const struct attention *s = node->spec;
    struct qgm_gemm g[] = { scores_of(s, TILE, s->longest), mixture_of(s, TILE, s->longest),
                            outer_of(s, TILE, s->longest, false) };
    size_t most = 0;
    for (size_t i = 0; i < QGM_COUNT(g); i++) {
        size_t bytes = qgm_gemm_scratch(&g[i]);
        if (bytes > most) most = bytes;
    }
    return 2 * tile_bytes(s) + most;
}

static void multiply(const struct qgm_pass *p, struct qgm_gemm g, const float *a, const float *b, float *c, void *work)
{
    g.a = a;
    g.b = b;
    g.c = c;
    p->k->gemm(&g, work);
}

/* Probabilities of m queries at `at` over the keys of their example at `keys`; both are offsets of a head's channels.
 */
static void probabilities(const struct attention *s, const struct qgm_pass *p, const struct qgm_flow *f, int example,
                          size_t at, size_t keys, int m, const struct space *w)
{
    multiply(p, scores_of(s, m, p->length), f->x[0] + at, f->x[1] + keys, w->p, w->gemm);
    p->k->softmax_rows(w->p, m, p->length, p->lengths[example], s->scale);
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct attention *s = node->spec;
    struct space w = space_of(s, p);
    int t = p->length, d = s->width / s->heads;
    for (int i = 0; i < p->n; i++)
        for (int h = 0; h < s->heads; h++) {
            size_t keys = (size_t)i * (size_t)t * (size_t)s->width + (size_t)(h * d);
            for (int q = 0; q < t; q += TILE) {
                size_t at = keys + (size_t)q * (size_t)s->width;
                int m = smaller(TILE, t - q);
                probabilities(s, p, f, i, at, keys, m, &w);
                multiply(p, mixture_of(s, m, t), w.p, f->x[2] + keys, f->y + at, w.gemm);
            }
        }
}

/* dv = p^T do; ds = softmax'(do v^T); dq = ds k; dk = ds^T q. */
static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct attention *s = node->spec;
    struct space w = space_of(s, p);
    int t = p->length, d = s->width / s->heads;
    for (int i = 0; i < p->n; i++)
        for (int h = 0; h < s->heads; h++) {
            size_t keys = (size_t)i * (size_t)t * (size_t)s->width + (size_t)(h * d);
            for (int q = 0; q < t; q += TILE) {
                size_t at = keys + (size_t)q * (size_t)s->width;
                int m = smaller(TILE, t - q);
                probabilities(s, p, f, i, at, keys, m, &w);
                multiply(p, outer_of(s, m, t, q == 0), w.p, f->dy + at, f->dx[2] + keys, w.gemm);
                multiply(p, scores_of(s, m, t), f->dy + at, f->x[2] + keys, w.ds, w.gemm);
                p->k->softmax_rows_backward(w.p, w.ds, m, t, s->scale);
                multiply(p, mixture_of(s, m, t), w.ds, f->x[1] + keys, f->dx[0] + at, w.gemm);
                multiply(p, outer_of(s, m, t, q == 0), w.ds, f->x[0] + at, f->dx[1] + keys, w.gemm);
            }
        }
}

static double flops(const struct qgm_node *node)
{
    const struct attention *s = node->spec;
    return 4.0 * s->longest * s->longest * s->width;
}

static const struct qgm_layer_ops ops = {
    .name = "attention", .flops = flops, .scratch = scratch, .forward = forward, .backward = backward
};

int qgm_attention(struct qgm_builder *b, int q, int k, int v, int heads)
{
    struct qgm_shape in = qgm_shape_of(b, q);
    if (in.c % heads) qgm_build_fail(b, QGM_USAGE, "width %d cannot be split into %d equal heads", in.c, heads);
    struct attention s = {
        .heads = heads, .width = in.c, .longest = in.h, .scale = (float)(1 / sqrt((double)in.c / heads))
    };
    return qgm_append(b,
                      (struct qgm_node){ .op = &ops,
                                         .inputs = 3,
                                         .in = { q, k, v },
                                         .shape = in,
                                         .keep_x = { true, true, true },
                                         .passes = QGM_PASSES_NONE,
                                         .sequence = true },
                      &s, sizeof s);
}
