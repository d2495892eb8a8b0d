/* Convolution with optional bias and ReLU. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <math.h>

struct conv2d {
    struct qgm_conv conv; /* n = 1 */
    size_t weight, bias;  /* bias: SIZE_MAX when there is none */
    bool relu;
};

static struct qgm_conv conv_of(const struct conv2d *s, int n)
{
    struct qgm_conv c = s->conv;
    c.n = n;
    return c;
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct conv2d *s = node->spec;
    struct qgm_conv c = conv_of(s, p->n);
    p->k->conv_forward(&c, f->x[0], p->params + s->weight, s->bias == SIZE_MAX ? NULL : p->params + s->bias, s->relu,
                       f->y, p->scratch);
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct conv2d *s = node->spec;
    struct qgm_conv c = conv_of(s, p->n);
    size_t rows = (size_t)p->n * (size_t)node->shape.h * (size_t)node->shape.w;
    if (s->relu) p->k->relu_backward(f->y, f->dy, f->dy, rows * (size_t)c.co);
    if (s->bias != SIZE_MAX) p->k->sum_rows(f->dy, rows, c.co, p->grad + s->bias);
    p->k->conv_backward_weights(&c, f->x[0], f->dy, p->grad + s->weight, p->scratch);
    if (f->dx[0]) p->k->conv_backward_data(&c, f->dy, p->params + s->weight, f->dx[0], p->scratch);
}

static size_t scratch(const struct qgm_node *node, int n, bool training)
{
    (void)training;
    struct qgm_conv c = conv_of(node->spec, n);
    return qgm_conv_scratch(&c);
}

static double flops(const struct qgm_node *node) { return qgm_conv_flops(&((const struct conv2d *)node->spec)->conv); }

static const struct qgm_layer_ops ops = {
    .name = "conv2d", .flops = flops, .scratch = scratch, .forward = forward, .backward = backward
};

int qgm_conv2d(struct qgm_builder *b, int x, struct qgm_conv2d spec)
{
    struct qgm_shape in = qgm_shape_of(b, x);
    int k = spec.kernel, stride = spec.stride ? spec.stride : 1;
    if (in.h + 2 * spec.pad < k || in.w + 2 * spec.pad < k) {
        qgm_build_fail(b, QGM_USAGE, "%s%s: a %d x %d filter does not fit the %d x %d image before it", b->prefix,
                       spec.name, k, k, in.h, in.w);
        return 0;
    }
    struct conv2d s = { .conv = { .n = 1,
                                  .h = in.h,
                                  .w = in.w,
                                  .ci = in.c,
                                  .co = spec.out,
                                  .kh = k,
                                  .kw = k,
                                  .stride = stride,
                                  .pad = spec.pad },
                        .bias = SIZE_MAX,
                        .relu = spec.relu };
    struct qgm_init he = { QGM_INIT_NORMAL, sqrt(2.0 / ((double)k * k * spec.out)) };
    struct qgm_init torch = { QGM_INIT_UNIFORM, 1 / sqrt((double)k * k * in.c) };
    s.weight = qgm_param(b, (struct qgm_declare){ .layer = spec.name,
                                                  .part = "weight",
                                                  .dims = 4,
                                                  .shape = { k, k, in.c, spec.out },
                                                  .axes = { 3, 2, 0, 1 },
                                                  .torch_dims = 4,
                                                  .init = spec.torch_init ? torch : he });
    if (spec.bias)
        s.bias = qgm_param(
            b,
            (struct qgm_declare){
                .layer = spec.name, .part = "bias", .dims = 1, .shape = { spec.out }, .torch_dims = 1, .init = torch });
    struct qgm_shape out = { qgm_conv_oh(&s.conv), qgm_conv_ow(&s.conv), spec.out };
    return qgm_append(b,
                      (struct qgm_node){ .op = &ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = out,
                                         .keep_x = { true },
                                         .keep_y = spec.relu,
                                         .passes = QGM_PASSES_NONE },
                      &s, sizeof s);
}
