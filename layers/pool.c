/* Maximum and average pools. SPDX-License-Identifier: MIT */
#include "layer.h"

static struct qgm_pool pool_of(const struct qgm_node *node, int n)
{
    struct qgm_pool pool = *(const struct qgm_pool *)node->spec;
    pool.n = n;
    return pool;
}

static void max_forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct qgm_pool pool = pool_of(node, p->n);
    p->k->maxpool_forward(&pool, f->x[0], f->y, f->saved ? f->saved : p->scratch);
}

static void max_backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct qgm_pool pool = pool_of(node, p->n);
    if (f->dx[0]) p->k->maxpool_backward(&pool, f->dy, f->saved, f->dx[0]);
}

/* Evaluation keeps no argmax: it goes to the scratch. */
static size_t max_scratch(const struct qgm_node *node, int n, bool training)
{
    return training ? 0 : (size_t)n * qgm_floats(node->shape);
}

static void avg_forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct qgm_pool pool = pool_of(node, p->n);
    p->k->avgpool_forward(&pool, f->x[0], f->y);
}

static void avg_backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct qgm_pool pool = pool_of(node, p->n);
    if (f->dx[0]) p->k->avgpool_backward(&pool, f->dy, f->dx[0]);
}

static const struct qgm_layer_ops max_ops = {
    .name = "maxpool", .scratch = max_scratch, .forward = max_forward, .backward = max_backward
};
static const struct qgm_layer_ops avg_ops = { .name = "avgpool", .forward = avg_forward, .backward = avg_backward };

static int append(struct qgm_builder *b, int x, struct qgm_pool2d spec, const struct qgm_layer_ops *ops)
{
    struct qgm_shape in = qgm_shape_of(b, x);
    int size = spec.size ? spec.size : in.h;
    if (size > in.h + 2 * spec.pad || size > in.w + 2 * spec.pad || (!spec.size && in.h != in.w)) {
        qgm_build_fail(b, QGM_USAGE,
                       "a %s of %d x %d does not fit the %d x %d image before it: the input is too small "
                       "or not square",
                       ops->name, size, size, in.h, in.w);
        return 0;
    }
    struct qgm_pool pool = {
        .n = 1, .h = in.h, .w = in.w, .c = in.c, .k = size, .stride = spec.stride ? spec.stride : size, .pad = spec.pad
    };
    struct qgm_shape out = { qgm_pool_oh(&pool), qgm_pool_ow(&pool), in.c };
    return qgm_append(b,
                      (struct qgm_node){ .op = ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = out,
                                         .saved = ops == &max_ops ? qgm_floats(out) : 0,
                                         .passes = QGM_PASSES_NONE },
                      &pool, sizeof pool);
}

int qgm_maxpool(struct qgm_builder *b, int x, struct qgm_pool2d spec) { return append(b, x, spec, &max_ops); }
int qgm_avgpool(struct qgm_builder *b, int x, struct qgm_pool2d spec) { return append(b, x, spec, &avg_ops); }
