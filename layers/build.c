/* What builders call: nodes, tensors, names, failures. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qgm_build_fail(struct qgm_builder *b, enum qgm_error_kind kind, const char *format, ...)
{
    if (b->failed) return; /* the first reason is the cause of the others */
    b->failed = true;
    char text[sizeof b->err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    qgm_fail(b->err, kind, "%s", text);
}

static void no_memory(struct qgm_builder *b)
{
    qgm_build_fail(b, QGM_SYSTEM, "cannot allocate memory for the layers of a model");
}

void qgm_scope(struct qgm_builder *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(b->prefix, sizeof b->prefix, format, args);
    va_end(args);
}

struct qgm_shape qgm_shape_of(const struct qgm_builder *b, int x) { return b->model->node[x].shape; }

/* Room for one more item in an array that doubles. */
static void *grow(struct qgm_builder *b, void *array, int count, size_t size)
{
    if (count & (count - 1)) return array; /* room until the next power of two */
    void *larger = realloc(array, (size_t)(count ? 2 * count : 1) * size);
    if (!larger) no_memory(b);
    return larger;
}

int qgm_append(struct qgm_builder *b, struct qgm_node node, const void *spec, size_t size)
{
    struct qgm_model *m = b->model;
    if (b->failed) return 0;
    struct qgm_node *list = grow(b, m->node, m->nodes, sizeof *list);
    if (!list) return 0;
    m->node = list;
    void *copy = malloc(size ? size : 1);
    if (!copy) {
        no_memory(b);
        return 0;
    }
    if (size) memcpy(copy, spec, size);
    node.spec = copy;
    node.params = m->params.size;
    for (int i = 0; i < m->nodes; i++) node.params -= m->node[i].params;
    m->node[m->nodes] = node;
    return m->nodes++;
}

static size_t declare(struct qgm_builder *b, struct qgm_list *list, struct qgm_declare d)
{
    if (b->failed) return 0;
    struct qgm_tensor *tensors = grow(b, list->tensor, list->count, sizeof *tensors);
    if (!tensors) return 0;
    list->tensor = tensors;
    struct qgm_init *inits = grow(b, list->init, list->count, sizeof *inits);
    if (!inits) return 0;
    list->init = inits;

    struct qgm_tensor t = { .dims = d.dims, .torch_dims = d.torch_dims, .offset = list->size, .count = 1 };
    for (int i = 0; i < d.dims; i++) {
        t.shape[i] = d.shape[i];
        t.axes[i] = d.axes[i];
        t.torch_shape[i] = d.shape[d.axes[i]];
        t.count *= (size_t)d.shape[i];
    }
    char *name = NULL;
    if (asprintf(&name, "%s%s.%s", b->prefix, d.layer, d.part) < 0) {
        no_memory(b);
        return 0;
    }
    t.name = name;
    list->tensor[list->count] = t;
    list->init[list->count++] = d.init;
    list->size += qgm_pad16(t.count);
    list->elements += t.count;
    return t.offset;
}

size_t qgm_param(struct qgm_builder *b, struct qgm_declare d) { return declare(b, &b->model->params, d); }
size_t qgm_buffer(struct qgm_builder *b, struct qgm_declare d) { return declare(b, &b->model->buffers, d); }
