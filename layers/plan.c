/* The memory plan. Step t of T is taken at time t and undone at time 2T-t, the loss at time T; every value, gradient
 * and saved piece is alive for a known interval, and pieces whose intervals do not meet may share memory. Blocks of
 * examples go through all of a segment before the next block starts, so there an interval is whole segments, but for
 * pieces alive within one: those need room for one block only. Packing: largest first, each at the lowest offset that
 * is free for its whole life. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdlib.h>

struct piece {
    size_t floats, at;
    int from, to;            /* alive at times from..to, both included */
    struct qgm_place *place; /* where the result goes */
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
        p[i].place->at = p[i].at;
        if (p[i].at + p[i].floats > total) total = p[i].at + p[i].floats;
    }
    return total;
}

static int latest(int a, int b) { return a > b ? a : b; }

/* When step t is undone. */
static int undone(const struct qgm_segments *o, int t) { return 2 * o->steps - t; }

/* The step that, undone, hands back the gradient of input k of node i. */
static int hands_back(const struct qgm_segments *o, int i, int k) { return k ? o->apply[i] : o->gather[i]; }

/* writer[v]: the last consumer of v in order of computation, the first to hand back its gradient. */
static void find_writers(struct qgm_plan *plan, const struct qgm_model *m)
{
    for (int i = 0; i < m->nodes; i++) {
        int last = -1;
        for (int j = i + 1; j < m->nodes; j++)
            for (int k = 0; k < m->node[j].inputs; k++) {
                if (m->node[j].in[k] != i || hands_back(&plan->walk, j, k) <= last) continue;
                last = hands_back(&plan->walk, j, k);
                plan->writer[i] = j;
            }
    }
}

static bool takes_over(const struct qgm_plan *plan, const struct qgm_node *node, int i, int k)
{
    return node->passes == k && plan->writer[node->in[k]] == i;
}

struct list {
    struct piece *whole, *local; /* of the walk, of a block */
    int wholes, locals;
};

/* The segment of a time: forward ones, the loss, backward ones. */
static int segment_at(const struct qgm_segments *o, int time)
{
    int steps = o->steps, t = time > steps ? 2 * steps - time : time, s = 0;
    if (time == steps) return o->segments;
    while (t >= o->segment[s].end) s++;
    return time > steps ? 2 * o->segments - s : s;
}

static void widen(const struct qgm_segments *o, struct piece *p)
{
    int from = segment_at(o, p->from), to = segment_at(o, p->to), n = o->segments;
    if (from != n) p->from = from < n ? o->segment[from].first : undone(o, o->segment[2 * n - from].end - 1);
    if (to != n) p->to = to < n ? o->segment[to].end - 1 : undone(o, o->segment[2 * n - to].first);
}

static void add_piece(struct list *l, const struct qgm_segments *o, size_t floats, int from, int to,
                      struct qgm_place *place)
{
    *place = (struct qgm_place){ .each = floats };
    if (!floats) return;
    struct piece p = { .floats = qgm_pad16(floats), .from = from, .to = to, .place = place };
    place->local = o->segments > 1 && segment_at(o, from) == segment_at(o, to);
    if (o->segments > 1 && !place->local) widen(o, &p);
    *(place->local ? &l->local[l->locals++] : &l->whole[l->wholes++]) = p;
}

/* The last step to read value i. */
static int last_reader(const struct qgm_segments *o, const struct qgm_model *m, int i)
{
    int last = o->apply[i];
    for (int j = i + 1; j < m->nodes; j++)
        for (int k = 0; k < m->node[j].inputs; k++)
            if (m->node[j].in[k] == i) last = latest(last, o->apply[j]);
    return last;
}

/* When value i is last read on the way back, or 0. */
static int read_back(const struct qgm_segments *o, const struct qgm_model *m, int i)
{
    int to = m->node[i].keep_y ? undone(o, o->apply[i]) : 0;
    for (int j = i + 1; j < m->nodes; j++)
        for (int k = 0; k < m->node[j].inputs; k++)
            if (m->node[j].in[k] == i && m->node[j].keep_x[k]) to = latest(to, undone(o, o->gather[j]));
    return to;
}

/* Values: until the last reader, which may be a backward pass. What a segment makes from what it has anyway and only it
 * reads need not be kept for backward: writing and reading it would take longer than computing it anew. */
static void plan_values(struct qgm_plan *plan, const struct qgm_model *m, bool training, struct list *l)
{
    const struct qgm_segments *o = &plan->walk;
    for (int i = 1; i < m->nodes; i++) {
        const struct qgm_node *node = &m->node[i];
        size_t floats = qgm_floats(node->shape);
        int last = plan->writer[i] ? last_reader(o, m, i) : o->steps; /* the logits: the loss reads them */
        int back = training ? read_back(o, m, i) : 0, own = segment_at(o, o->apply[i]);
        if (node->again && back && o->segments > 1 && segment_at(o, last) == own) {
            add_piece(l, o, floats, o->apply[i], last, &plan->value[i]);
            add_piece(l, o, floats, undone(o, o->segment[own].end - 1), back, &plan->again[i]);
            plan->again[i].anew = true;
        } else {
            add_piece(l, o, floats, o->apply[i], latest(last, back), &plan->value[i]);
        }
    }
}

/* Gradients: from the first to hand one back until the node's own backward pass; a node that passes its dy on gives its
 * place to its input, so the place lives on. Returns with `heir[i]`: the node whose place is i's, or i. */
static void plan_gradients(struct qgm_plan *plan, const struct qgm_model *m, int *heir, struct list *l)
{
    const struct qgm_segments *o = &plan->walk;
    for (int i = m->nodes - 1; i > 0; i--) heir[i] = i;
    for (int i = m->nodes - 1; i > 0; i--) {
        int from = o->steps, last = i, next = i;
        for (int k = 0, j = plan->writer[i]; j && k < m->node[j].inputs; k++)
            if (m->node[j].in[k] == i) from = undone(o, hands_back(o, j, k));
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
        add_piece(l, o, qgm_floats(m->node[i].shape), from, undone(o, o->gather[last]), &plan->grad[i]);
    }
}

/* What consumers that are not the first write to before it is added, and what forward keeps for backward. */
static void plan_rest(struct qgm_plan *plan, const struct qgm_model *m, struct list *l)
{
    const struct qgm_segments *o = &plan->walk;
    for (int i = 1; i < m->nodes; i++) {
        const struct qgm_node *node = &m->node[i];
        for (int k = 0; k < node->inputs; k++) {
            bool adds = node->in[k] && plan->writer[node->in[k]] != i && node->passes != k;
            int at = undone(o, hands_back(o, i, k));
            add_piece(l, o, adds ? qgm_floats(m->node[node->in[k]].shape) : 0, at, at, &plan->temp[QGM_INPUTS * i + k]);
        }
        add_piece(l, o, (node->saved + sizeof(float) - 1) / sizeof(float), o->apply[i], undone(o, o->gather[i]),
                  &plan->saved[i]);
    }
}

/* Joint memory, and how much of each segment is local. */
static void plan_segments(struct qgm_plan *plan, const struct qgm_model *m, const struct list *l)
{
    struct qgm_segments *o = &plan->walk;
    for (int i = 1; i < m->nodes; i++) {
        plan->kept[i] = plan->joint;
        if (o->gather[i] != o->apply[i]) plan->joint += qgm_piece(m->node[i].joint, 1);
    }
    for (int i = 0; i < l->locals; i++) {
        const struct piece *p = &l->local[i];
        int s = segment_at(o, p->from);
        struct qgm_segment *g = &o->segment[s < o->segments ? s : 2 * o->segments - s];
        if (p->at + p->floats > g->local) g->local = p->at + p->floats;
    }
}

static int plan_pieces(struct qgm_plan *plan, const struct qgm_model *m, bool training, struct list *l)
{
    size_t nodes = (size_t)m->nodes;
    int *heir = calloc(nodes, sizeof *heir);
    if (!heir) return -1;
    plan->grad = plan->value + nodes;
    plan->saved = plan->grad + nodes;
    plan->again = plan->saved + nodes;
    plan->temp = plan->again + nodes;
    find_writers(plan, m);
    plan_values(plan, m, training, l);
    if (training) {
        plan_gradients(plan, m, heir, l);
        plan_rest(plan, m, l);
    }
    plan->floats = pack(l->whole, l->wholes);
    pack(l->local, l->locals);
    for (int i = m->nodes - 1; training && i > 0; i--) plan->grad[i] = plan->grad[heir[i]];
    for (int i = 1; i < m->nodes; i++)
        if (!plan->again[i].anew) plan->again[i] = plan->value[i];
    plan_segments(plan, m, l);
    free(heir);
    return 0;
}

int qgm_plan_open(struct qgm_plan *plan, const struct qgm_model *m, bool training, struct qgm_error *err)
{
    size_t nodes = (size_t)m->nodes, pieces = (4 + QGM_INPUTS) * nodes;
    *plan = (struct qgm_plan){ .value = calloc(pieces, sizeof *plan->value),
                               .kept = calloc(nodes, sizeof *plan->kept),
                               .writer = calloc(nodes, sizeof *plan->writer) };
    struct list l = { .whole = calloc(2 * pieces, sizeof *l.whole) };
    int rc = qgm_segments_open(&plan->walk, m, training, err);
    if (l.whole) l.local = l.whole + pieces;
    if (rc == 0 && (!plan->value || !plan->kept || !plan->writer || !l.whole || plan_pieces(plan, m, training, &l) < 0))
        rc = qgm_fail(err, QGM_SYSTEM, "cannot allocate memory for the plan of a model");
    free(l.whole);
    return rc;
}

void qgm_plan_close(struct qgm_plan *plan)
{
    qgm_segments_close(&plan->walk);
    free(plan->value);
    free(plan->kept);
    free(plan->writer);
    *plan = (struct qgm_plan){ 0 };
}
