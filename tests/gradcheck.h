/* Is a model the function its reference says, and is its gradient the gradient? SPDX-License-Identifier: MIT */
#ifndef QGM_TEST_GRADCHECK_H
#define QGM_TEST_GRADCHECK_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "kernels.h"
#include "random.h"
#include "reference_net.h"
#include <cmocka.h>

/* The reference's network from the image to the logits. */
typedef struct ref_value ref_network(struct ref *r, struct ref_value x, const void *detail);

struct grad_case {
    const struct qgm_model *model;
    struct qgm_input input;
    ref_network *network;
    const void *detail;
    int n, length; /* length: of texts; 0: images */
    float smoothing;
    double tolerance; /* of a value, relative to the largest of its tensor */
    int directions;   /* 0: every parameter's central difference; else that many random directions */
    uint32_t seed;
};

struct grad_data {
    float *params, *buffers, *grad;
    double *params64, *buffers64;
    struct qgm_batch batch;
    struct qgm_arena arena;
};

static inline float *grad_floats(size_t count)
{
    float *p = aligned_alloc(64, (count + 16) / 16 * 64);
    assert_non_null(p);
    return p;
}

static inline void grad_perturb(const struct qgm_tensor *t, float *at, struct qgm_random *rng, double by)
{
    for (size_t j = 0; j < t->count; j++) at[t->offset + j] += (float)(by * (2 * qgm_random_double(rng) - 1));
}

/* Random tokens, padded to different lengths. */
static inline void grad_texts(const struct grad_case *c, struct qgm_batch *batch, struct qgm_random *rng)
{
    int32_t *tokens = malloc((size_t)(c->n * c->length) * sizeof *tokens);
    int32_t *lengths = malloc((size_t)c->n * sizeof *lengths);
    for (int i = 0; i < c->n * c->length; i++) tokens[i] = (int32_t)qgm_random_below(rng, (uint32_t)c->input.c);
    for (int i = 0; i < c->n; i++) lengths[i] = i ? 1 + (int32_t)qgm_random_below(rng, (uint32_t)c->length) : c->length;
    free((void *)batch->x);
    batch->x = NULL;
    batch->tokens = tokens;
    batch->lengths = lengths;
    batch->length = c->length;
}

/* Random images and labels; parameters and buffers a little off their initial values, so that no zero bias and no unit
 * scale hides a mistake. */
static inline struct grad_data grad_open(const struct grad_case *c)
{
    const struct qgm_model *m = c->model;
    struct qgm_random rng = qgm_random(c->seed, QGM_RANDOM_TEST, 0, 0);
    size_t size = qgm_model_size(m), buffers = qgm_model_buffers(m);
    size_t image = (size_t)c->input.h * (size_t)c->input.w * (size_t)c->input.c * (size_t)c->n;
    float *x = grad_floats(image);
    int32_t *labels = malloc((size_t)c->n * sizeof *labels);
    struct grad_data d = { .params = grad_floats(size),
                           .grad = grad_floats(size),
                           .buffers = grad_floats(buffers),
                           .params64 = calloc(size, sizeof(double)),
                           .buffers64 = calloc(buffers + 1, sizeof(double)),
                           .batch = { .n = c->n, .x = x, .labels = labels } };
    for (size_t i = 0; i < image; i++) x[i] = (float)qgm_random_normal(&rng);
    for (int i = 0; i < c->n; i++) labels[i] = (int32_t)qgm_random_below(&rng, (uint32_t)c->input.classes);
    if (c->length) grad_texts(c, &d.batch, &rng);
    qgm_model_init(m, c->seed, d.params, d.buffers);
    for (int i = 0; i < qgm_model_tensors(m); i++) grad_perturb(qgm_model_tensor(m, i), d.params, &rng, 0.2);
    for (int i = 0; i < qgm_model_buffer_tensors(m); i++)
        grad_perturb(qgm_model_buffer_tensor(m, i), d.buffers, &rng, 0.2);
    for (size_t i = 0; i < size; i++) d.params64[i] = (double)d.params[i];
    for (size_t i = 0; i < buffers; i++) d.buffers64[i] = (double)d.buffers[i];
    size_t backward = qgm_model_arena(m, c->n, true), forward = qgm_model_arena(m, c->n, false);
    assert_int_equal(qgm_arena_open(&d.arena, backward > forward ? backward : forward, NULL), 0);
    return d;
}

static inline void grad_close(struct grad_data *d)
{
    free(d->params);
    free(d->buffers);
    free(d->grad);
    free(d->params64);
    free(d->buffers64);
    free((void *)d->batch.x);
    free((void *)d->batch.labels);
    free((void *)d->batch.tokens);
    free((void *)d->batch.lengths);
    qgm_arena_close(&d->arena);
}

static inline double grad_reference_loss(const struct grad_case *c, const struct grad_data *d)
{
    struct ref r = { .model = c->model, .params = d->params64, .buffers = d->buffers64, .training = true };
    struct ref_value logits = c->network(&r, ref_image(&r, &c->input, &d->batch), c->detail);
    double loss = ref_loss(logits, d->batch.labels, (double)c->smoothing);
    ref_free(&r);
    return loss;
}

static inline double grad_difference(const struct grad_case *c, struct grad_data *d, size_t i)
{
    const double h = 1e-5, old = d->params64[i];
    d->params64[i] = old + h;
    double above = grad_reference_loss(c, d);
    d->params64[i] = old - h;
    double below = grad_reference_loss(c, d);
    d->params64[i] = old;
    return (above - below) / (2 * h);
}

static inline void grad_check_tensor(const struct grad_case *c, struct grad_data *d, const struct qgm_tensor *t)
{
    double largest = 0, error = 0;
    for (size_t j = 0; j < t->count; j++) {
        double want = grad_difference(c, d, t->offset + j), off = fabs(want - (double)d->grad[t->offset + j]);
        largest = fmax(largest, fabs(want));
        error = fmax(error, isnan(off) ? INFINITY : off);
    }
    if (error > c->tolerance * (largest + 1e-3))
        fail_msg("gradient of %s (seed %u): off by %g, largest %g", t->name, c->seed, error, largest);
}

/* The derivative along random directions: for models with too many parameters to difference one by one. */
static inline void grad_check_directions(const struct grad_case *c, struct grad_data *d)
{
    size_t size = qgm_model_size(c->model);
    double *u = calloc(size, sizeof *u), *at = malloc(size * sizeof *at), h = 1e-6;
    memcpy(at, d->params64, size * sizeof *at);
    for (int k = 0; k < c->directions; k++) {
        struct qgm_random rng = qgm_random(c->seed, QGM_RANDOM_TEST, 1, (uint32_t)k);
        double want = 0, got = 0, norm = 0;
        for (int i = 0; i < qgm_model_tensors(c->model); i++) {
            const struct qgm_tensor *t = qgm_model_tensor(c->model, i);
            for (size_t j = t->offset; j < t->offset + t->count; j++) {
                u[j] = qgm_random_normal(&rng) / sqrt((double)t->count);
                got += u[j] * (double)d->grad[j];
                norm += u[j] * u[j] * (double)d->grad[j] * (double)d->grad[j];
            }
        }
        for (int side = -1; side <= 1; side += 2) {
            for (size_t j = 0; j < size; j++) d->params64[j] = at[j] + side * h * u[j];
            want += side * grad_reference_loss(c, d) / (2 * h);
        }
        memcpy(d->params64, at, size * sizeof *at);
        if (!(fabs(want - got) <= c->tolerance * (fabs(want) + sqrt(norm))))
            fail_msg("derivative along direction %d: %.9g, by differences %.9g", k, got, want);
    }
    free(u);
    free(at);
}

static inline void grad_check_gaps(const struct qgm_model *m, const float *v)
{
    for (int i = 0; i < qgm_model_tensors(m); i++) {
        const struct qgm_tensor *t = qgm_model_tensor(m, i);
        assert_int_equal(t->offset % 16, 0);
        size_t next = i + 1 < qgm_model_tensors(m) ? qgm_model_tensor(m, i + 1)->offset : qgm_model_size(m);
        for (size_t j = t->offset + t->count; j < next; j++) assert_true(v[j] == 0);
    }
}

/* Training loss and logits in evaluation against the reference. */
static inline void grad_check_values(const struct grad_case *c, struct grad_data *d, double loss)
{
    double want = grad_reference_loss(c, d);
    if (!(fabs(loss - want) <= 1e-5 * fabs(want))) fail_msg("loss %.9g, the reference has %.9g", loss, want);
    int classes = c->input.classes;
    float *logits = grad_floats((size_t)c->n * (size_t)classes);
    for (size_t i = 0; i < qgm_model_buffers(c->model); i++) d->buffers64[i] = (double)d->buffers[i];
    qgm_model_eval(c->model, d->params, d->buffers, &d->batch, logits, NULL, &d->arena);
    struct ref r = { .model = c->model, .params = d->params64, .buffers = d->buffers64 };
    struct ref_value y = c->network(&r, ref_image(&r, &c->input, &d->batch), c->detail);
    double largest = 0;
    for (int i = 0; i < c->n * classes; i++) largest = fmax(largest, fabs(y.v[i]));
    for (int i = 0; i < c->n * classes; i++)
        if (!(fabs(y.v[i] - (double)logits[i]) <= c->tolerance * largest))
            fail_msg("logit %d in evaluation: %.9g, the reference has %.9g", i, (double)logits[i], y.v[i]);
    ref_free(&r);
    free(logits);
}

static inline void grad_check(const struct grad_case *c)
{
    struct grad_data d = grad_open(c);
    float *first = grad_floats(qgm_model_buffers(c->model));
    memcpy(first, d.buffers, qgm_model_buffers(c->model) * sizeof *first);
    double loss = qgm_model_grad(c->model, d.params, d.buffers, &d.batch, c->smoothing, d.grad, NULL, &d.arena);
    assert_int_equal(d.arena.used, 0);
    grad_check_gaps(c->model, d.grad);
    grad_check_values(c, &d, loss);
    if (c->directions)
        grad_check_directions(c, &d);
    else
        for (int i = 0; i < qgm_model_tensors(c->model); i++) grad_check_tensor(c, &d, qgm_model_tensor(c->model, i));

    /* Every instruction set, the same bits: gradient, loss and running statistics. */
    size_t bytes = qgm_model_size(c->model) * sizeof(float);
    float *other = grad_floats(qgm_model_size(c->model)), *after = grad_floats(qgm_model_buffers(c->model));
    for (const char *const *isa = qgm_isas_usable(); *isa; isa++) {
        assert_int_equal(qgm_kernels_use(*isa, NULL), 0);
        memcpy(after, first, qgm_model_buffers(c->model) * sizeof *after);
        double again = qgm_model_grad(c->model, d.params, after, &d.batch, c->smoothing, other, NULL, &d.arena);
        assert_true(again == loss);
        assert_memory_equal(other, d.grad, bytes);
        assert_memory_equal(after, d.buffers, qgm_model_buffers(c->model) * sizeof *after);
    }
    assert_int_equal(qgm_kernels_use("auto", NULL), 0);
    free(first);
    free(other);
    free(after);
    grad_close(&d);
}

#endif
