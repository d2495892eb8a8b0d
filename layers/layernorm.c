/* Layer norm (Ba, Kiros and Hinton, 2016) over the channels of every row. SPDX-License-Identifier: MIT */
#include "layer.h"

struct layernorm {
    double epsilon;
    size_t gamma, beta;
};

static struct qgm_layernorm norm_of(const struct qgm_node *node, const struct qgm_pass *p)
{
    const struct layernorm *s = node->spec;
    return (struct qgm_layernorm){ .rows = qgm_rows(node, p),
                                   .c = node->shape.c,
                                   .epsilon = s->epsilon,
                                   .gamma = p->params + s->gamma,
                                   .beta = p->params + s->beta };
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct qgm_layernorm t = norm_of(node, p);
    p->k->layernorm_forward(&t, f->x[0], f->y, f->saved);
}

/* In place: the input takes dy over. */
static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct layernorm *s = node->spec;
    struct qgm_layernorm t = norm_of(node, p);
    p->k->layernorm_backward(&t, f->x[0], f->saved, f->dy, f->dy, p->grad + s->gamma, p->grad + s->beta);
}

static const struct qgm_layer_ops ops = { .name = "layernorm", .forward = forward, .backward = backward };

int qgm_layernorm(struct qgm_builder *b, int x, const char *name, double epsilon)
{
    struct qgm_shape in = qgm_shape_of(b, x);
    struct layernorm s = { .epsilon = epsilon };
    struct qgm_declare d = {
        .layer = name, .part = "weight", .dims = 1, .shape = { in.c }, .torch_dims = 1, .init = { QGM_INIT_CONSTANT, 1 }
    };
    s.gamma = qgm_param(b, d);
    d.part = "bias";
    d.init.value = 0;
    s.beta = qgm_param(b, d);
    return qgm_append(b,
                      (struct qgm_node){ .op = &ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = in,
                                         .keep_x = { true },
                                         .saved = 2 * sizeof(float) * (size_t)in.h * (size_t)in.w,
                                         .sequence = b->model->node[x].sequence },
                      &s, sizeof s);
}
