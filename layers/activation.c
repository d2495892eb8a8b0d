/* GELU (Hendrycks and Gimpel, 2016; the exact one) and tanh as layers of their own, and the choice of a text's first
 * row. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <string.h>

static void gelu_forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    p->k->gelu_forward(f->x[0], f->y, qgm_values(node, p));
}

static void gelu_backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    p->k->gelu_backward(f->x[0], f->dy, f->dy, qgm_values(node, p));
}

static void tanh_forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    p->k->tanh(f->x[0], f->y, qgm_values(node, p));
}

static void tanh_backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    size_t count = qgm_values(node, p);
    for (size_t i = 0; i < count; i++) f->dy[i] *= 1 - f->y[i] * f->y[i];
}

static void first_forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    size_t width = (size_t)node->shape.c, text = (size_t)p->length * width;
    for (size_t i = 0; i < (size_t)p->n; i++) memcpy(f->y + i * width, f->x[0] + i * text, width * sizeof *f->y);
}

static void first_backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    size_t width = (size_t)node->shape.c, text = (size_t)p->length * width;
    memset(f->dx[0], 0, (size_t)p->n * text * sizeof *f->dy);
    for (size_t i = 0; i < (size_t)p->n; i++) memcpy(f->dx[0] + i * text, f->dy + i * width, width * sizeof *f->dy);
}

static const struct qgm_layer_ops gelu_ops = { .name = "gelu", .forward = gelu_forward, .backward = gelu_backward };
static const struct qgm_layer_ops tanh_ops = { .name = "tanh", .forward = tanh_forward, .backward = tanh_backward };
static const struct qgm_layer_ops first_ops = { .name = "first", .forward = first_forward, .backward = first_backward };

/* Both work in place on dy: passes = 0. */
int qgm_gelu(struct qgm_builder *b, int x)
{
    return qgm_append(b,
                      (struct qgm_node){ .op = &gelu_ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = qgm_shape_of(b, x),
                                         .keep_x = { true },
                                         .sequence = b->model->node[x].sequence },
                      NULL, 0);
}

int qgm_tanh(struct qgm_builder *b, int x)
{
    return qgm_append(b,
                      (struct qgm_node){ .op = &tanh_ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = qgm_shape_of(b, x),
                                         .keep_y = true,
                                         .sequence = b->model->node[x].sequence },
                      NULL, 0);
}

int qgm_first_token(struct qgm_builder *b, int x)
{
    return qgm_append(b,
                      (struct qgm_node){ .op = &first_ops,
                                         .inputs = 1,
                                         .in = { x },
                                         .shape = { 1, 1, qgm_shape_of(b, x).c },
                                         .passes = QGM_PASSES_NONE },
                      NULL, 0);
}
