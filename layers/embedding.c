/* Tokens become rows: the word's row, the position's and, in BERT, that of the one segment there is.
 * SPDX-License-Identifier: MIT */
#include "layer.h"
#include <assert.h>
#include <string.h>

struct embedding {
    int vocabulary, width;
    size_t word, position, type; /* type: SIZE_MAX when there is none */
};

static void add_row(float *sum, const float *row, int width)
{
    for (int j = 0; j < width; j++) sum[j] += row[j];
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct embedding *s = node->spec;
    size_t width = (size_t)s->width, rows = qgm_rows(node, p);
    for (size_t r = 0; r < rows; r++) {
        float *y = f->y + r * width;
        assert(p->tokens[r] >= 0 && p->tokens[r] < s->vocabulary);
        memcpy(y, p->params + s->word + (size_t)p->tokens[r] * width, width * sizeof *y);
        add_row(y, p->params + s->position + r % (size_t)p->length * width, s->width);
        if (s->type != SIZE_MAX) add_row(y, p->params + s->type, s->width);
    }
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct embedding *s = node->spec;
    size_t width = (size_t)s->width, rows = qgm_rows(node, p);
    for (size_t r = 0; r < rows; r++) {
        const float *dy = f->dy + r * width;
        add_row(p->grad + s->word + (size_t)p->tokens[r] * width, dy, s->width);
        add_row(p->grad + s->position + r % (size_t)p->length * width, dy, s->width);
        if (s->type != SIZE_MAX) add_row(p->grad + s->type, dy, s->width);
    }
}

static const struct qgm_layer_ops ops = { .name = "embedding", .forward = forward, .backward = backward };

static size_t table(struct qgm_builder *b, const struct qgm_embedding *spec, const char *name, int rows)
{
    return qgm_param(b, (struct qgm_declare){ .layer = name,
                                              .part = "weight",
                                              .dims = 2,
                                              .shape = { rows, spec->width },
                                              .axes = { 0, 1 },
                                              .torch_dims = 2,
                                              .init = spec->init });
}

int qgm_embedding(struct qgm_builder *b, struct qgm_embedding spec)
{
    struct qgm_shape in = qgm_shape_of(b, 0);
    if (in.w != 1 || in.h > spec.positions)
        qgm_build_fail(b, QGM_USAGE, "expected texts of at most %d tokens, but the input is %d x %d x %d",
                       spec.positions, in.h, in.w, in.c);
    struct embedding s = { .vocabulary = in.c, .width = spec.width, .type = SIZE_MAX };
    s.word = table(b, &spec, spec.word, in.c);
    s.position = table(b, &spec, spec.position, spec.positions);
    if (spec.type) s.type = table(b, &spec, spec.type, spec.types);
    return qgm_append(
        b,
        (struct qgm_node){
            .op = &ops, .inputs = 1, .shape = { in.h, 1, spec.width }, .passes = QGM_PASSES_NONE, .sequence = true },
        &s, sizeof s);
}
