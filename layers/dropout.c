/* Dropout: in training an element is zero with probability p, else divided by 1 - p. The mask is a function of the
 * batch's seed, client and step, of the node and of the example, so it does not depend on micro-batches or threads.
 * SPDX-License-Identifier: MIT */
#include "layer.h"
#include "random.h"
#include <string.h>

struct dropout {
    float p, scale;
    uint64_t salt; /* tells the nodes of a model apart */
};

/* saved: one byte an element, 1 where it is kept. */
static void draw(const struct dropout *s, const struct qgm_pass *p, size_t floats, uint8_t *kept)
{
    for (int i = 0; i < p->n; i++, kept += floats) {
        struct qgm_random r = qgm_random(p->seed ^ s->salt, QGM_RANDOM_DROPOUT, p->client, p->step);
        r.next = (uint32_t)((size_t)(p->first + i) * ((floats + 3) / 4)); /* blocks of four numbers */
        for (size_t j = 0; j < floats; j++) kept[j] = qgm_random_float(&r) >= s->p;
    }
}

static void apply(const struct dropout *s, const uint8_t *kept, const float *x, float *y, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = kept[i] ? x[i] * s->scale : 0;
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    size_t floats = qgm_floats(node->shape), count = (size_t)p->n * floats;
    if (!p->training) {
        memcpy(f->y, f->x[0], count * sizeof *f->y);
        return;
    }
    draw(node->spec, p, floats, f->saved);
    apply(node->spec, f->saved, f->x[0], f->y, count);
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    apply(node->spec, f->saved, f->dy, f->dy, (size_t)p->n * qgm_floats(node->shape));
}

static const struct qgm_layer_ops ops = { .name = "dropout", .forward = forward, .backward = backward };

int qgm_dropout(struct qgm_builder *b, int x, float p)
{
    if (p == 0) return x;
    struct dropout s = { .p = p, .scale = 1 / (1 - p), .salt = 0x9e3779b97f4a7c15U * (uint64_t)b->model->nodes };
    struct qgm_shape shape = qgm_shape_of(b, x);
    return qgm_append(
        b, (struct qgm_node){ .op = &ops, .inputs = 1, .in = { x }, .shape = shape, .saved = qgm_floats(shape) }, &s,
        sizeof s);
}
