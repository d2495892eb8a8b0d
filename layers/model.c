/* A model from its spec: build, plan, count, initialise. SPDX-License-Identifier: MIT */
#include "options.h"
#include "random.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Examples a walk. Values and gradients of a micro-batch should stay in a core's L2 from the forward to the backward
 * pass; below four examples the matrix products of the last layers get too thin to pay. A constant of the model, never
 * of the machine: it is part of the order in which gradients are summed. Models joint over the batch have blocks
 * instead (segments.c). */
enum { CACHE_BYTES = 1 << 20, LEAST_EXAMPLES = 4, MOST_EXAMPLES = 64 };

static int micro_batch(const struct qgm_plan *plan)
{
    size_t fit = CACHE_BYTES / (sizeof(float) * (plan->floats ? plan->floats : 1));
    return fit < LEAST_EXAMPLES ? LEAST_EXAMPLES : fit > MOST_EXAMPLES ? MOST_EXAMPLES : (int)fit;
}

static int plan(struct qgm_model *m, struct qgm_error *err)
{
    QGM_TRY(qgm_plan_open(&m->train, m, true, err));
    QGM_TRY(qgm_plan_open(&m->eval, m, false, err));
    m->micro_train = m->train.walk.segments > 1 ? INT32_MAX : micro_batch(&m->train);
    m->micro_eval = m->eval.walk.segments > 1 ? INT32_MAX : micro_batch(&m->eval);
    return 0;
}

static int check_input(const struct qgm_input *in, struct qgm_error *err)
{
    if (in->h < 1 || in->w < 1 || in->c < 1 || in->classes < 1 || in->h > 4096 || in->w > 4096 || in->c > 65536 ||
        in->classes > 1000000)
        return qgm_fail(err, QGM_USAGE, "a model cannot read images of %d x %d x %d with %d classes", in->h, in->w,
                        in->c, in->classes);
    return 0;
}

static int build(struct qgm_builder *b)
{
    struct qgm_input *in = &b->model->input;
    struct qgm_shape image = { in->h, in->w, in->c };
    int x = qgm_append(b, (struct qgm_node){ .shape = image, .passes = QGM_PASSES_NONE }, NULL, 0);
    if (!b->failed) b->kind->build(b, x); /* builders ask for the shape of x */
    return b->failed ? qgm_fail_in(b->err, "model %s", b->kind->name) : 0;
}

int qgm_model_make(struct qgm_model **model, struct qgm_builder *b, const struct qgm_input *input)
{
    *model = NULL;
    QGM_TRY(check_input(input, b->err));
    struct qgm_model *m = calloc(1, sizeof *m);
    if (!m) return qgm_fail(b->err, QGM_SYSTEM, "cannot allocate memory for a model");
    m->input = *input;
    b->model = m;
    if (build(b) < 0 || plan(m, b->err) < 0) {
        qgm_model_close(&m);
        return -1;
    }
    *model = m;
    return 0;
}

int qgm_model_open(struct qgm_model **model, const char *spec, const struct qgm_input *input, struct qgm_error *err)
{
    *model = NULL;
    struct qgm_builder b = { .err = err };
    char *text = strdup(spec);
    if (!text) return qgm_fail(err, QGM_SYSTEM, "cannot allocate memory for a model");
    int rc = qgm_options_read(&b, text);
    if (rc == 0 && b.kind->texts != input->texts)
        rc = qgm_fail(err, QGM_USAGE, "model %s: expected %s, but the data are %s", b.kind->name,
                      b.kind->texts ? "texts" : "images", input->texts ? "texts" : "images");
    if (rc == 0) rc = qgm_model_make(model, &b, input);
    free(text);
    return rc;
}

static void close_list(struct qgm_list *list)
{
    for (int i = 0; i < list->count; i++) free((char *)list->tensor[i].name);
    free(list->tensor);
    free(list->init);
}

void qgm_model_close(struct qgm_model **model)
{
    struct qgm_model *m = *model;
    if (!m) return;
    for (int i = 0; i < m->nodes; i++) free((void *)m->node[i].spec);
    free(m->node);
    close_list(&m->params);
    close_list(&m->buffers);
    qgm_plan_close(&m->train);
    qgm_plan_close(&m->eval);
    free(m);
    *model = NULL;
}

size_t qgm_model_size(const struct qgm_model *m) { return m->params.size; }
size_t qgm_model_count(const struct qgm_model *m) { return m->params.elements; }
int qgm_model_tensors(const struct qgm_model *m) { return m->params.count; }
size_t qgm_model_buffers(const struct qgm_model *m) { return m->buffers.size; }
int qgm_model_buffer_tensors(const struct qgm_model *m) { return m->buffers.count; }

const struct qgm_tensor *qgm_model_tensor(const struct qgm_model *m, int i)
{
    assert(i >= 0 && i < m->params.count);
    return &m->params.tensor[i];
}

const struct qgm_tensor *qgm_model_buffer_tensor(const struct qgm_model *m, int i)
{
    assert(i >= 0 && i < m->buffers.count);
    return &m->buffers.tensor[i];
}

double qgm_model_flops(const struct qgm_model *m)
{
    double sum = 0;
    for (int i = 1; i < m->nodes; i++)
        if (m->node[i].op->flops) sum += m->node[i].op->flops(&m->node[i]);
    return sum;
}

static void init_list(const struct qgm_list *list, uint64_t seed, float *out)
{
    memset(out, 0, list->size * sizeof *out);
    for (int i = 0; i < list->count; i++) {
        struct qgm_random r = qgm_random(seed, QGM_RANDOM_INIT, 0, (uint32_t)i);
        const struct qgm_init init = list->init[i];
        float *tensor = out + list->tensor[i].offset;
        for (size_t j = 0; j < list->tensor[i].count; j++) switch (init.rule) {
            case QGM_INIT_CONSTANT:
                tensor[j] = (float)init.value;
                break;
            case QGM_INIT_UNIFORM:
                tensor[j] = (float)(init.value * (2 * qgm_random_double(&r) - 1));
                break;
            case QGM_INIT_NORMAL:
                tensor[j] = (float)(init.value * qgm_random_normal(&r));
                break;
            }
    }
}

void qgm_model_init(const struct qgm_model *m, uint64_t seed, float *params, float *buffers)
{
    init_list(&m->params, seed, params);
    if (m->buffers.size) init_list(&m->buffers, seed, buffers);
}
