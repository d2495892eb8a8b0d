/* The order of a walk. A node joint over the batch, as batch norm is in training, needs sums over all examples before
 * it can be applied to one. It parts the walk into segments: at the end of one the sums are gathered, in the next it is
 * applied, with all that can follow until somebody needs the result of the next joint node. A segment is done block by
 * block, so a convolution finds in the cache what the norm before it wrote, and the sums behind it what it wrote
 * itself: of three tensors a layer none is fetched from memory twice. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdlib.h>

/* Examples a block: what their steps make should stay in a core's L2, on the way back with what they read. Where a node
 * has more parameters than that, as in the last stages of large networks, they would be fetched anew for every block,
 * so blocks are as large. Constants of the model, never of the machine: blocks are part of the order in which gradients
 * are summed. */
enum { BLOCK_BYTES = 512 << 10, LEAST_EXAMPLES = 2 };

static bool gathers(const struct qgm_node *node, bool training)
{
    return node->depends == QGM_JOINT || (training && node->depends == QGM_JOINT_TRAINING);
}

static void append(struct qgm_segments *o, int node, enum qgm_part part)
{
    if (part != QGM_APPLY) o->gather[node] = o->steps;
    if (part != QGM_GATHER) o->apply[node] = o->steps;
    o->step[o->steps++] = (struct qgm_step){ node, part };
}

/* Nodes that have gathered are applied at the start of the next segment. */
static void part(struct qgm_segments *o, int before)
{
    o->segment[o->segments++].end = o->steps;
    o->segment[o->segments].first = o->steps;
    for (int i = 1; i < before; i++)
        if (o->gather[i] >= 0 && o->apply[i] < 0) append(o, i, QGM_APPLY);
}

/* Whether node i must wait until those that have gathered are applied: it reads the result of one; or the input whose
 * gradient one leaves in its own, which nobody may add to between the two halves of that one's way back. */
static bool waits(const struct qgm_segments *o, const struct qgm_model *m, int i)
{
    for (int k = 0; k < m->node[i].inputs; k++) {
        int input = m->node[i].in[k];
        if (input && o->apply[input] < 0) return true;
        for (int j = 1; j < i; j++) {
            int passes = m->node[j].passes;
            if (o->apply[j] < 0 && passes != QGM_PASSES_NONE && m->node[j].in[passes] == input) return true;
        }
    }
    return false;
}

static void find_blocks(struct qgm_segments *o, const struct qgm_model *m)
{
    for (int s = 0; s < o->segments; s++) {
        struct qgm_segment *g = &o->segment[s];
        size_t floats = 1, budget = BLOCK_BYTES / sizeof(float);
        for (int t = g->first; t < g->end; t++) {
            const struct qgm_node *node = &m->node[o->step[t].node];
            if (o->step[t].part != QGM_GATHER) floats += qgm_floats(node->shape);
            if (node->params > budget) budget = node->params;
        }
        size_t fit = budget / floats;
        g->block = o->segments == 1 || fit > INT32_MAX ? INT32_MAX : fit < LEAST_EXAMPLES ? LEAST_EXAMPLES : (int)fit;
    }
}

int qgm_segments_open(struct qgm_segments *o, const struct qgm_model *m, bool training, struct qgm_error *err)
{
    size_t nodes = (size_t)m->nodes;
    *o = (struct qgm_segments){ .step = calloc(2 * nodes, sizeof *o->step),
                                .segment = calloc(nodes + 1, sizeof *o->segment),
                                .gather = malloc(2 * nodes * sizeof *o->gather) };
    if (!o->step || !o->segment || !o->gather) {
        qgm_segments_close(o);
        return qgm_fail(err, QGM_SYSTEM, "cannot allocate memory for the plan of a model");
    }
    o->apply = o->gather + nodes;
    for (int i = 0; i < m->nodes; i++) o->gather[i] = o->apply[i] = -1;
    bool open = false; /* somebody has gathered in this segment */
    for (int i = 1; i < m->nodes; i++) {
        if (open && waits(o, m, i)) {
            part(o, i);
            open = false;
        }
        bool joint = gathers(&m->node[i], training);
        append(o, i, joint ? QGM_GATHER : QGM_ALL);
        open = open || joint;
    }
    if (open) part(o, m->nodes);
    o->segment[o->segments++].end = o->steps;
    find_blocks(o, m);
    return 0;
}

void qgm_segments_close(struct qgm_segments *o)
{
    free(o->step);
    free(o->segment);
    free(o->gather);
    *o = (struct qgm_segments){ 0 };
}
