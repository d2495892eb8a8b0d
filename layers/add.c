/* The sum of two values. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <string.h>

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    p->k->add(f->x[0], f->x[1], f->y, qgm_values(node, p));
}

/* The first input takes dy over as it is (passes = 0). */
static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    if (f->dx[1]) memcpy(f->dx[1], f->dy, qgm_values(node, p) * sizeof *f->dy);
}

static const struct qgm_layer_ops ops = { .name = "add", .forward = forward, .backward = backward };

int qgm_add(struct qgm_builder *b, int x, int other)
{
    struct qgm_shape s = qgm_shape_of(b, x), o = qgm_shape_of(b, other);
    if (s.h != o.h || s.w != o.w || s.c != o.c)
        qgm_build_fail(b, QGM_USAGE, "%scannot add %d x %d x %d to %d x %d x %d", b->prefix, o.h, o.w, o.c, s.h, s.w,
                       s.c);
    return qgm_append(
        b,
        (struct qgm_node){
            .op = &ops, .inputs = 2, .in = { x, other }, .shape = s, .sequence = b->model->node[x].sequence },
        NULL, 0);
}
