/* The memory plan. Node i of N is computed at time i and differentiated at time 2N-1-i; every value, gradient and saved
 * piece is alive for a known interval, and pieces whose intervals do not meet may share memory. Packing: largest first,
 * each at the lowest offset that is free for its whole life. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdlib.h>

struct piece {
    size_t floats, at;
    int from, to;   /* alive at times from..to, both included */
    size_t *offset; /* where the result goes */
};

static int larger_first(const void *a, const void *b)
{
    const struct piece *p = a, *q = b;
    if (p->floats != q->floats) return p->floats < q->floats ? 1 : -1;
    return p->from != q->from ? p->from - q->from : p->to - q->to;
}

static bool meet(const struct piece *p, const struct piece *q) { return p->from <= q->to && q->from <= p->to; }

/* The lowest offset at which piece i touches none of the pieces before it: past every one in its way, until none is. */
static size_t lowest(const struct piece *p, int i)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int j = 0; j < i; j++)
            if (meet(&p[i], &p[j]) && p[j].at < at + p[i].floats && p[j].at + p[j].floats > at) {
                at = p[j].at + p[j].floats;
                moved = true;
            }
    }
    return at;
}

static size_t pack(struct piece *p, int count)
{
    size_t total = 0;
    qsort(p, (size_t)count, sizeof *p, larger_first);
    for (int i = 0; i < count; i++) {
        p[i].at = lowest(p, i);
        *p[i].offset = p[i].at;
        if (p[i].at + p[i].floats > total) total = p[i].at + p[i].floats;
    }
    return total;
}

static int latest(int a, int b) { return a > b ? a : b; }

/* writer[v]: the last consumer of v in order of computation, the first to hand back its gradient. */
static void find_writers(struct qgm_plan *plan, const struct qgm_model *m)
{
    for (int i = 0; i < m->nodes; i++) {
        plan->writer[i] = 0;
        for (int k = 0; k < m->node[i].inputs; k++) plan->writer[m->node[i].in[k]] = i;
    }
}

static bool takes_over(const struct qgm_plan *plan, const struct qgm_node *node, int i, int k)
{
    return node->passes == k && plan->writer[node->in[k]] == i;
}

struct list {
    struct piece *piece;
    int count;
};

static void add_piece(struct list *l, size_t floats, int from, int to, size_t *offset)
{
    *offset = 0;
    if (floats)
        l->piece[l->count++] = (struct piece){ .floats = qgm_pad16(floats), .from = from, .to = to, .offset = offset };
}

/* Values: until the last reader, which may be a backward pass. */
static void plan_values(struct qgm_plan *plan, const struct qgm_model *m, bool backward, struct list *l)
{
    int ends = 2 * m->nodes - 1;
    for (int i = 1; i < m->nodes; i++) {
        int to = latest(i, plan->writer[i]);
        if (!plan->writer[i]) to = m->nodes; /* the logits: the loss reads them */
        for (int j = i; backward && j < m->nodes; j++)
            for (int k = 0; k < m->node[j].inputs; k++)
                if (m->node[j].in[k] == i && m->node[j].keep_x[k]) to = latest(to, ends - j);
        if (backward && m->node[i].keep_y) to = latest(to, ends - i);
        add_piece(l, qgm_floats(m->node[i].shape), i, to, &plan->value[i]);
    }
}

/* Gradients: from the first to hand one back until the node's own backward pass; a node that passes its dy on gives its
 * place to its input, so the place lives on. Returns with `heir[i]`: the node whose place is i's, or i. */
static void plan_gradients(struct qgm_plan *plan, const struct qgm_model *m, int *heir, struct list *l)
{
    int ends = 2 * m->nodes - 1;
    for (int i = m->nodes - 1; i > 0; i--) heir[i] = i;
    for (int i = m->nodes - 1; i > 0; i--) {
        int from = plan->writer[i] ? ends - plan->writer[i] : m->nodes, last = i, next = i;
        if (heir[i] != i) continue; /* planned with the node it inherits from */
        while (next) {
            const struct qgm_node *node = &m->node[next];
            int heritor = node->passes != QGM_PASSES_NONE && takes_over(plan, node, next, node->passes)
                              ? node->in[node->passes]
                              : 0;
            if (heritor) heir[heritor] = i;
            last = heritor ? heritor : last;
            next = heritor;
        }
        add_piece(l, qgm_floats(m->node[i].shape), from, ends - last, &plan->grad[i]);
    }
}

/* What consumers that are not the first write to before it is added, and what forward keeps for backward. */
static void plan_rest(struct qgm_plan *plan, const struct qgm_model *m, struct list *l)
{
    int ends = 2 * m->nodes - 1;
    for (int i = 1; i < m->nodes; i++) {
        const struct qgm_node *node = &m->node[i];
        for (int k = 0; k < node->inputs; k++) {
            bool adds = node->in[k] && plan->writer[node->in[k]] != i && node->passes != k;
            add_piece(l, adds ? qgm_floats(m->node[node->in[k]].shape) : 0, ends - i, ends - i,
                      &plan->temp[QGM_INPUTS * i + k]);
        }
        add_piece(l, (node->saved + sizeof(float) - 1) / sizeof(float), i, ends - i, &plan->saved[i]);
    }
}

int qgm_plan_open(struct qgm_plan *plan, const struct qgm_model *m, bool backward, struct qgm_error *err)
{
    size_t nodes = (size_t)m->nodes;
    *plan = (struct qgm_plan){ .value = calloc((3 + QGM_INPUTS) * nodes, sizeof *plan->value),
                               .writer = calloc(nodes, sizeof *plan->writer) };
    struct list l = { .piece = calloc((3 + QGM_INPUTS) * nodes, sizeof *l.piece) };
    int *heir = calloc(nodes, sizeof *heir);
    int rc = plan->value && plan->writer && l.piece && heir ? 0 : -1;
    if (rc == 0) {
        plan->grad = plan->value + nodes;
        plan->saved = plan->grad + nodes;
        plan->temp = plan->saved + nodes;
        find_writers(plan, m);
        plan_values(plan, m, backward, &l);
        if (backward) {
            plan_gradients(plan, m, heir, &l);
            plan_rest(plan, m, &l);
        }
        plan->floats = pack(l.piece, l.count);
        for (int i = m->nodes - 1; backward && i > 0; i--) plan->grad[i] = plan->grad[heir[i]];
    }
    free(l.piece);
    free(heir);
    return rc ? qgm_fail(err, QGM_SYSTEM, "cannot allocate memory for the plan of a model") : 0;
}

void qgm_plan_close(struct qgm_plan *plan)
{
    free(plan->value);
    free(plan->writer);
    *plan = (struct qgm_plan){ 0 };
}
