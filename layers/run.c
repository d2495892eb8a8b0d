/* Forward and backward walks over the nodes, one micro-batch at a time; a walk goes through its segments block by block
 * (segments.c). SPDX-License-Identifier: MIT */
#include "layer.h"
#include <assert.h>
#include <string.h>

struct walk {
    const struct qgm_model *model;
    const struct qgm_plan *plan;
    float *whole, *local; /* memory of the walk, and of a block */
    char *joint;
    const float *x;   /* the micro-batch */
    int n, first;     /* its examples, and where in the batch it begins */
    int begin, block; /* the block under way: where in the walk it begins, and the most examples one has */
    bool back, down;  /* the way of the walk; the way of a segment through the examples */
    struct qgm_pass pass;
};

static int smaller(int a, int b) { return a < b ? a : b; }

static float *place(const struct walk *w, const struct qgm_place *p)
{
    if (p->local) return w->local + p->at * (size_t)w->block;
    return w->whole + p->at * (size_t)w->n + p->each * (size_t)w->begin;
}

static float *value(const struct walk *w, int i) { return place(w, w->back ? &w->plan->again[i] : &w->plan->value[i]); }

static const float *input(const struct walk *w, int i)
{
    return i ? value(w, i) : w->x + qgm_floats(w->model->node[0].shape) * (size_t)w->begin;
}

static size_t scratch_bytes(const struct qgm_model *m, const struct qgm_plan *plan, int n, bool training)
{
    size_t most = 0;
    for (int s = 0; s < plan->walk.segments; s++) {
        const struct qgm_segment *g = &plan->walk.segment[s];
        for (int t = g->first; t < g->end; t++) {
            const struct qgm_node *node = &m->node[plan->walk.step[t].node];
            size_t bytes = node->op->scratch ? node->op->scratch(node, smaller(g->block, n), training) : 0;
            if (bytes > most) most = bytes;
        }
    }
    return most;
}

static size_t local_floats(const struct qgm_plan *plan, int n)
{
    size_t most = 0;
    for (int s = 0; s < plan->walk.segments; s++) {
        size_t floats = plan->walk.segment[s].local * (size_t)smaller(plan->walk.segment[s].block, n);
        if (floats > most) most = floats;
    }
    return most;
}

size_t qgm_model_arena(const struct qgm_model *m, int n, bool backward)
{
    int examples = smaller(n, backward ? m->micro_train : m->micro_eval);
    const struct qgm_plan *plan = backward ? &m->train : &m->eval;
    return qgm_piece(plan->floats * (size_t)examples, sizeof(float)) +
           qgm_piece(local_floats(plan, examples), sizeof(float)) + qgm_piece(plan->joint, 1) +
           qgm_piece(scratch_bytes(m, plan, examples, backward), 1);
}

/* The pieces of a walk over at most n examples; qgm_model_arena counts them. */
static struct walk open_walk(const struct qgm_model *m, int n, bool training, struct qgm_arena *arena)
{
    const struct qgm_plan *plan = training ? &m->train : &m->eval;
    struct walk w = { .model = m, .plan = plan, .pass = { .k = qgm_kernels(), .training = training } };
    w.whole = qgm_take(arena, plan->floats * (size_t)n, sizeof(float));
    w.local = qgm_take(arena, local_floats(plan, n), sizeof(float));
    w.joint = qgm_take(arena, plan->joint, 1);
    w.pass.scratch = qgm_take(arena, scratch_bytes(m, plan, n, training), 1);
    return w;
}

static struct qgm_flow flow_at(const struct walk *w, int i)
{
    const struct qgm_node *node = &w->model->node[i];
    const struct qgm_segments *o = &w->plan->walk;
    struct qgm_flow f = { .y = value(w, i) };
    for (int k = 0; k < node->inputs; k++) f.x[k] = input(w, node->in[k]);
    if (w->pass.training && node->saved) f.saved = place(w, &w->plan->saved[i]);
    if (o->gather[i] != o->apply[i]) f.joint = w->joint + w->plan->kept[i];
    return f;
}

/* Node i on its way back. */
static struct qgm_flow flow_back(const struct walk *w, int i)
{
    const struct qgm_node *node = &w->model->node[i];
    const struct qgm_plan *plan = w->plan;
    struct qgm_flow f = flow_at(w, i);
    f.dy = place(w, &plan->grad[i]);
    for (int k = 0; k < node->inputs; k++) {
        int j = node->in[k];
        if (!j) continue;
        const struct qgm_place *to = plan->writer[j] == i ? &plan->grad[j] : &plan->temp[QGM_INPUTS * i + k];
        f.dx[k] = node->passes == k ? f.dy : place(w, to);
    }
    return f;
}

/* The examples from `first` on. */
static void choose(struct walk *w, const struct qgm_batch *batch, int first, int n)
{
    size_t image = qgm_floats(w->model->node[0].shape), text = (size_t)first * (size_t)batch->length;
    w->x = batch->x ? batch->x + (size_t)first * image : NULL;
    w->n = n;
    w->first = first;
    w->pass.tokens = batch->tokens ? batch->tokens + text : NULL;
    w->pass.lengths = batch->lengths ? batch->lengths + first : NULL;
    w->pass.length = batch->length;
}

/* The examples from `begin` of the walk on, `block` or as many as there are. */
static void choose_block(struct walk *w, int begin, int block)
{
    w->begin = begin;
    w->block = smaller(block, w->n);
    w->pass.first = w->first + begin;
    w->pass.n = smaller(block, w->n - begin);
}

/* Block i of a segment, which begins where the last one ended, with what is in the cache, and goes the other way. */
static void next_block(struct walk *w, int i, int block)
{
    int last = (w->n - 1) / block;
    choose_block(w, (w->down ? last - i : i) * block, block);
    w->pass.opens = i == 0;
}

static void settle(struct walk *w, int i, bool back)
{
    const struct qgm_node *node = &w->model->node[i];
    choose_block(w, 0, w->n);
    struct qgm_flow f = flow_at(w, i);
    node->op->settle(node, &w->pass, &f, back);
}

static void step_forward(const struct walk *w, const struct qgm_step *step)
{
    const struct qgm_node *node = &w->model->node[step->node];
    struct qgm_flow f = flow_at(w, step->node);
    if (step->part == QGM_GATHER)
        node->op->gather(node, &w->pass, &f, false);
    else
        node->op->forward(node, &w->pass, &f);
}

static void walk_forward(struct walk *w)
{
    const struct qgm_segments *o = &w->plan->walk;
    w->back = false;
    for (const struct qgm_segment *g = o->segment; g < o->segment + o->segments; g++) {
        for (int t = g->first; t < g->end; t++)
            if (o->step[t].part == QGM_APPLY) settle(w, o->step[t].node, false);
        for (int i = 0; i <= (w->n - 1) / g->block; i++) {
            next_block(w, i, g->block);
            for (int t = g->first; t < g->end; t++) step_forward(w, &o->step[t]);
        }
        w->down = !w->down;
    }
}

/* A joint node first passes on the gradients of its further inputs, as it gathers, and later that of x[0]. */
static bool hands_back(enum qgm_part part, int input) { return part == QGM_ALL || (part == QGM_APPLY) == (input > 0); }

static void step_back(const struct walk *w, const struct qgm_step *step)
{
    int i = step->node;
    const struct qgm_node *node = &w->model->node[i];
    struct qgm_flow f = flow_back(w, i);
    if (step->part == QGM_APPLY)
        node->op->gather(node, &w->pass, &f, true);
    else
        node->op->backward(node, &w->pass, &f);
    for (int k = 0; k < node->inputs; k++) {
        int j = node->in[k];
        if (!j || w->plan->writer[j] == i || !hands_back(step->part, k)) continue;
        float *sum = place(w, &w->plan->grad[j]);
        w->pass.k->add(sum, f.dx[k], sum, qgm_values(&w->model->node[j], &w->pass));
    }
}

static void walk_backward(struct walk *w)
{
    const struct qgm_segments *o = &w->plan->walk;
    w->back = true;
    for (const struct qgm_segment *g = o->segment + o->segments; g-- > o->segment;) {
        for (int t = g->first; t < g->end; t++)
            if (o->step[t].part == QGM_GATHER) settle(w, o->step[t].node, true);
        for (int i = 0; i <= (w->n - 1) / g->block; i++) {
            next_block(w, i, g->block);
            for (int t = g->first; t < g->end; t++)
                if (w->plan->again[o->step[t].node].anew) step_forward(w, &o->step[t]);
            for (int t = g->end; t-- > g->first;) step_back(w, &o->step[t]);
        }
        w->down = !w->down;
    }
}

static void count_correct(const float *logits, const int32_t *labels, int n, int classes, struct qgm_score *score)
{
    score->examples += n;
    for (int i = 0; i < n; i++, logits += classes) {
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (logits[c] > logits[best]) best = c;
        score->correct += best == labels[i];
    }
}

double qgm_model_grad(const struct qgm_model *m, const float *params, float *buffers, const struct qgm_batch *batch,
                      float smoothing, float *grad, struct qgm_score *score, struct qgm_arena *arena)
{
    assert(batch->n > 0);
    size_t mark = qgm_mark(arena);
    int micro = smaller(batch->n, m->micro_train), last = m->nodes - 1, classes = m->input.classes;
    struct walk w = open_walk(m, micro, true, arena);
    w.pass.params = params;
    w.pass.buffers = buffers;
    w.pass.grad = grad;
    w.pass.seed = batch->seed;
    w.pass.client = batch->client;
    w.pass.step = batch->step;
    memset(grad, 0, m->params.size * sizeof *grad);
    double loss = 0;
    for (int first = 0; first < batch->n; first += micro) {
        const int32_t *labels = batch->labels + first;
        choose(&w, batch, first, smaller(micro, batch->n - first));
        walk_forward(&w);
        choose_block(&w, 0, w.n);
        const float *logits = value(&w, last);
        if (score) count_correct(logits, labels, w.pass.n, classes, score);
        loss += w.pass.k->softmax_xent(logits, labels, w.pass.n, classes, smoothing, 1 / (float)batch->n,
                                       place(&w, &w.plan->grad[last]));
        walk_backward(&w);
    }
    if (score) score->loss += loss;
    qgm_release(arena, mark);
    return loss / batch->n;
}

void qgm_model_eval(const struct qgm_model *m, const float *params, const float *buffers, const struct qgm_batch *batch,
                    float *logits, struct qgm_score *score, struct qgm_arena *arena)
{
    if (batch->n == 0) return;
    size_t mark = qgm_mark(arena);
    int micro = smaller(batch->n, m->micro_eval), classes = m->input.classes;
    struct walk w = open_walk(m, micro, false, arena);
    w.pass.params = params;
    w.pass.buffers = (float *)buffers; /* read only: this is not training */
    for (int first = 0; first < batch->n; first += micro) {
        choose(&w, batch, first, smaller(micro, batch->n - first));
        walk_forward(&w);
        choose_block(&w, 0, w.n);
        const float *out = value(&w, m->nodes - 1);
        if (logits)
            memcpy(logits + (size_t)first * (size_t)classes, out, sizeof *out * (size_t)w.pass.n * (size_t)classes);
        if (!score) continue;
        const int32_t *labels = batch->labels + first;
        count_correct(out, labels, w.pass.n, classes, score);
        score->loss += w.pass.k->softmax_xent(out, labels, w.pass.n, classes, 0, 1, NULL);
    }
    qgm_release(arena, mark);
}
