/* Forward and backward walks over the nodes, one micro-batch at a time. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <assert.h>
#include <string.h>

struct walk {
    const struct qgm_model *model;
    const struct qgm_plan *plan;
    float *base;
    const float *x; /* the micro-batch */
    struct qgm_pass pass;
};

static float *place(const struct walk *w, size_t offset) { return w->base + offset * (size_t)w->pass.n; }

static const float *value(const struct walk *w, int i) { return i ? place(w, w->plan->value[i]) : w->x; }

static size_t scratch_bytes(const struct qgm_model *m, int n, bool training)
{
    size_t most = 0;
    for (int i = 1; i < m->nodes; i++) {
        size_t bytes = m->node[i].op->scratch ? m->node[i].op->scratch(&m->node[i], n, training) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

static int smaller(int a, int b) { return a < b ? a : b; }

size_t qgm_model_arena(const struct qgm_model *m, int n, bool backward)
{
    int examples = smaller(n, backward ? m->micro_train : m->micro_eval);
    const struct qgm_plan *plan = backward ? &m->train : &m->eval;
    return qgm_piece(plan->floats * (size_t)examples, sizeof(float)) +
           qgm_piece(scratch_bytes(m, examples, backward), 1);
}

/* The pieces of a walk over at most n examples; qgm_model_arena counts them. */
static struct walk open_walk(const struct qgm_model *m, int n, bool training, struct qgm_arena *arena)
{
    const struct qgm_plan *plan = training ? &m->train : &m->eval;
    struct walk w = { .model = m, .plan = plan, .pass = { .k = qgm_kernels(), .training = training } };
    w.base = qgm_take(arena, plan->floats * (size_t)n, sizeof(float));
    w.pass.scratch = qgm_take(arena, scratch_bytes(m, n, training), 1);
    return w;
}

static struct qgm_flow flow_at(const struct walk *w, int i)
{
    const struct qgm_node *node = &w->model->node[i];
    struct qgm_flow f = { .y = place(w, w->plan->value[i]) };
    for (int k = 0; k < node->inputs; k++) f.x[k] = value(w, node->in[k]);
    if (w->pass.training && node->saved) f.saved = place(w, w->plan->saved[i]);
    return f;
}

/* The examples from `first` on. */
static void choose(struct walk *w, const struct qgm_batch *batch, int first, int n)
{
    size_t image = qgm_floats(w->model->node[0].shape), text = (size_t)first * (size_t)batch->length;
    w->x = batch->x ? batch->x + (size_t)first * image : NULL;
    w->pass.n = n;
    w->pass.first = first;
    w->pass.tokens = batch->tokens ? batch->tokens + text : NULL;
    w->pass.lengths = batch->lengths ? batch->lengths + first : NULL;
    w->pass.length = batch->length;
}

static void walk_forward(const struct walk *w)
{
    for (int i = 1; i < w->model->nodes; i++) {
        struct qgm_flow f = flow_at(w, i);
        w->model->node[i].op->forward(&w->model->node[i], &w->pass, &f);
    }
}

static void walk_backward(const struct walk *w)
{
    const struct qgm_plan *plan = w->plan;
    for (int i = w->model->nodes - 1; i > 0; i--) {
        const struct qgm_node *node = &w->model->node[i];
        struct qgm_flow f = flow_at(w, i);
        f.dy = place(w, plan->grad[i]);
        for (int k = 0; k < node->inputs; k++) {
            int j = node->in[k];
            if (j)
                f.dx[k] = node->passes == k
                              ? f.dy
                              : place(w, plan->writer[j] == i ? plan->grad[j] : plan->temp[QGM_INPUTS * i + k]);
        }
        node->op->backward(node, &w->pass, &f);
        for (int k = 0; k < node->inputs; k++) {
            int j = node->in[k];
            if (!j || plan->writer[j] == i) continue;
            float *sum = place(w, plan->grad[j]);
            w->pass.k->add(sum, f.dx[k], sum, qgm_values(&w->model->node[j], &w->pass));
        }
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
        const float *logits = value(&w, last);
        if (score) count_correct(logits, labels, w.pass.n, classes, score);
        loss += w.pass.k->softmax_xent(logits, labels, w.pass.n, classes, smoothing, 1 / (float)batch->n,
                                       place(&w, w.plan->grad[last]));
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
