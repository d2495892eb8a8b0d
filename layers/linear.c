/* The dense layer: one matrix product. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <limits.h>
#include <math.h>

struct linear {
    int in, out;
    size_t weight, bias; /* bias: SIZE_MAX when there is none */
    bool relu, each;
};

/* The three products by size: y = x W, dW += x^T dy, dx = dy W^T. */
static struct qgm_gemm product_y(const struct linear *s, int n)
{
    return (struct qgm_gemm){
        .m = n, .n = s->out, .k = s->in, .lda = s->in, .ldb = s->out, .ldc = s->out, .relu = s->relu
    };
}

static struct qgm_gemm product_dw(const struct linear *s, int n)
{
    return (struct qgm_gemm){
        .m = s->in, .n = s->out, .k = n, .ta = true, .lda = s->in, .ldb = s->out, .ldc = s->out, .beta = 1
    };
}

static struct qgm_gemm product_dx(const struct linear *s, int n)
{
    return (struct qgm_gemm){ .m = n, .n = s->in, .k = s->out, .tb = true, .lda = s->out, .ldb = s->out, .ldc = s->in };
}

static void multiply(struct qgm_gemm g, const struct qgm_pass *p, const float *a, const float *b, float *c)
{
    g.a = a;
    g.b = b;
    g.c = c;
    p->k->gemm(&g, p->scratch);
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct linear *s = node->spec;
    struct qgm_gemm y = product_y(s, (int)qgm_rows(node, p));
    if (s->bias != SIZE_MAX) y.bias = p->params + s->bias;
    multiply(y, p, f->x[0], p->params + s->weight, f->y);
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct linear *s = node->spec;
    int rows = (int)qgm_rows(node, p);
    if (s->relu) p->k->relu_backward(f->y, f->dy, f->dy, (size_t)rows * (size_t)s->out);
    if (s->bias != SIZE_MAX) p->k->sum_rows(f->dy, (size_t)rows, s->out, p->grad + s->bias);
    multiply(product_dw(s, rows), p, f->x[0], f->dy, p->grad + s->weight);
    if (f->dx[0]) multiply(product_dx(s, rows), p, f->dy, p->params + s->weight, f->dx[0]);
}

static size_t scratch(const struct qgm_node *node, int n, bool training)
{
    const struct linear *s = node->spec;
    if (s->each) n *= node->shape.h;
    struct qgm_gemm g[] = { product_y(s, n), product_dw(s, n), product_dx(s, n) };
    size_t most = 0;
    for (size_t i = 0; i < (training ? QGM_COUNT(g) : 1); i++) {
        size_t bytes = qgm_gemm_scratch(&g[i]);
        if (bytes > most) most = bytes;
    }
    return most;
}

static double flops(const struct qgm_node *node)
{
    const struct linear *s = node->spec;
    return 2.0 * s->in * s->out * node->shape.h;
}

static const struct qgm_layer_ops ops = {
    .name = "linear", .flops = flops, .scratch = scratch, .forward = forward, .backward = backward
};

/* Memory is in x out, and h, w, c, out behind an image; PyTorch has out x (c h w). */
static struct qgm_declare weight_of(const struct qgm_linear *spec, struct qgm_shape in)
{
    if (in.h * in.w == 1)
        return (struct qgm_declare){ .dims = 2, .shape = { in.c, spec->out }, .axes = { 1, 0 }, .torch_dims = 2 };
    return (struct qgm_declare){
        .dims = 4, .shape = { in.h, in.w, in.c, spec->out }, .axes = { 3, 2, 0, 1 }, .torch_dims = 2
    };
}

int qgm_linear(struct qgm_builder *b, int x, struct qgm_linear spec)
{
    struct qgm_shape in = qgm_shape_of(b, x);
    int rows = spec.each ? in.h : 1;
    if (spec.each) in.h = 1;
    if (qgm_floats(in) > INT_MAX) {
        qgm_build_fail(b, QGM_USAGE, "a linear layer of %zu inputs: expected at most %d", qgm_floats(in), INT_MAX);
        return x;
    }
    struct linear s = {
        .in = (int)qgm_floats(in), .out = spec.out, .bias = SIZE_MAX, .relu = spec.relu, .each = spec.each
    };
    struct qgm_init torch = { QGM_INIT_UNIFORM, 1 / sqrt((double)s.in) };
    struct qgm_declare weight = weight_of(&spec, in);
    weight.layer = spec.name;
    weight.part = "weight";
    weight.init = spec.weight_init ? *spec.weight_init : torch;
    s.weight = qgm_param(b, weight);
    if (!spec.no_bias)
        s.bias = qgm_param(b, (struct qgm_declare){ .layer = spec.name,
                                                    .part = "bias",
                                                    .dims = 1,
                                                    .shape = { spec.out },
                                                    .torch_dims = 1,
                                                    .init = spec.bias_init ? *spec.bias_init : torch });
    return qgm_append(b,
                      (struct qgm_node){ .op = &ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = { rows, 1, spec.out },
                                         .keep_x = { true },
                                         .keep_y = spec.relu,
                                         .passes = QGM_PASSES_NONE,
                                         .sequence = spec.each },
                      &s, sizeof s);
}
