/* A second implementation of the networks, for tests: double precision, N,C,H,W, plain loops, forward only. It finds
 * its weights by PyTorch name and reads them through PyTorch's shape, so names and axes are tested too. Gradients come
 * from central differences of its loss. SPDX-License-Identifier: MIT */
#ifndef QGM_TEST_REFERENCE_H
#define QGM_TEST_REFERENCE_H
#include "model.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n images of c x h x w. */
struct ref_value {
    int n, c, h, w;
    double *v;
};

struct ref {
    const struct qgm_model *model;
    double *params; /* the flat vector */
    const double *buffers;
    const struct qgm_batch *batch;
    bool training;
    char prefix[64];
    double *made[4096]; /* values to free */
    int count;
};

static inline struct ref_value ref_new(struct ref *r, int n, int c, int h, int w)
{
    struct ref_value y = { n, c, h, w, calloc((size_t)n * (size_t)c * (size_t)h * (size_t)w, sizeof(double)) };
    assert(y.v && r->count < 4096);
    r->made[r->count++] = y.v;
    return y;
}

static inline void ref_free(struct ref *r)
{
    while (r->count) free(r->made[--r->count]);
}

static inline double *ref_at(struct ref_value x, int n, int c, int h, int w)
{
    return x.v + (((size_t)n * (size_t)x.c + (size_t)c) * (size_t)x.h + (size_t)h) * (size_t)x.w + (size_t)w;
}

/* A tensor by name, with the stride of each of PyTorch's axes in the flat vector. */
struct ref_tensor {
    const double *at;
    int dims, shape[4];
    size_t stride[4];
};

static inline struct ref_tensor ref_find(const struct ref *r, const char *layer, const char *part)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s.%s", r->prefix, layer, part);
    bool buffer = strncmp(part, "running", 7) == 0;
    int tensors = buffer ? qgm_model_buffer_tensors(r->model) : qgm_model_tensors(r->model);
    for (int i = 0; i < tensors; i++) {
        const struct qgm_tensor *t = buffer ? qgm_model_buffer_tensor(r->model, i) : qgm_model_tensor(r->model, i);
        if (strcmp(t->name, name)) continue;
        struct ref_tensor found = { .at = (buffer ? r->buffers : r->params) + t->offset, .dims = t->dims };
        for (int d = 0; d < t->dims; d++) {
            found.shape[d] = t->torch_shape[d];
            found.stride[d] = 1;
            for (int e = t->axes[d] + 1; e < t->dims; e++) found.stride[d] *= (size_t)t->shape[e];
        }
        return found;
    }
    fprintf(stderr, "no tensor %s\n", name);
    abort();
}

static inline double ref_get(const struct ref_tensor *t, int a, int b, int c, int d)
{
    int index[4] = { a, b, c, d };
    const double *at = t->at;
    for (int i = 0; i < t->dims; i++) {
        assert(index[i] < t->shape[i]);
        at += t->stride[i] * (size_t)index[i];
    }
    return *at;
}

static inline struct ref_value ref_image(struct ref *r, const struct qgm_input *in, const struct qgm_batch *batch)
{
    r->batch = batch;
    if (!batch->x) return (struct ref_value){ 0 }; /* texts: the embedding reads the tokens */
    struct ref_value y = ref_new(r, batch->n, in->c, in->h, in->w);
    const float *x = batch->x;
    for (int n = 0; n < batch->n; n++)
        for (int i = 0; i < in->h; i++)
            for (int j = 0; j < in->w; j++)
                for (int c = 0; c < in->c; c++) *ref_at(y, n, c, i, j) = (double)*x++;
    return y;
}

static inline struct ref_value ref_relu(struct ref *r, struct ref_value x)
{
    struct ref_value y = ref_new(r, x.n, x.c, x.h, x.w);
    size_t count = (size_t)x.n * (size_t)x.c * (size_t)x.h * (size_t)x.w;
    for (size_t i = 0; i < count; i++) y.v[i] = x.v[i] > 0 ? x.v[i] : 0;
    return y;
}

static inline struct ref_value ref_add(struct ref *r, struct ref_value a, struct ref_value b)
{
    assert(a.c == b.c && a.h == b.h && a.w == b.w);
    struct ref_value y = ref_new(r, a.n, a.c, a.h, a.w);
    size_t count = (size_t)a.n * (size_t)a.c * (size_t)a.h * (size_t)a.w;
    for (size_t i = 0; i < count; i++) y.v[i] = a.v[i] + b.v[i];
    return y;
}

/* One output of a convolution: the sum over filter taps inside the image. */
static inline double ref_conv_sum(struct ref_value x, const struct ref_tensor *w, int n, int o, int top, int left)
{
    double sum = 0;
    for (int c = 0; c < x.c; c++)
        for (int p = 0; p < w->shape[2]; p++)
            for (int q = 0; q < w->shape[3]; q++)
                if (top + p >= 0 && top + p < x.h && left + q >= 0 && left + q < x.w)
                    sum += *ref_at(x, n, c, top + p, left + q) * ref_get(w, o, c, p, q);
    return sum;
}

static inline struct ref_value ref_conv(struct ref *r, struct ref_value x, const char *name, int stride, int pad,
                                        bool bias)
{
    struct ref_tensor w = ref_find(r, name, "weight"), b = { 0 };
    assert(w.dims == 4 && w.shape[1] == x.c);
    if (bias) b = ref_find(r, name, "bias");
    struct ref_value y = ref_new(r, x.n, w.shape[0], (x.h + 2 * pad - w.shape[2]) / stride + 1,
                                 (x.w + 2 * pad - w.shape[3]) / stride + 1);
    for (int n = 0; n < y.n; n++)
        for (int o = 0; o < y.c; o++)
            for (int i = 0; i < y.h; i++)
                for (int j = 0; j < y.w; j++)
                    *ref_at(y, n, o, i, j) = ref_conv_sum(x, &w, n, o, i * stride - pad, j * stride - pad) +
                                             (bias ? ref_get(&b, o, 0, 0, 0) : 0);
    return y;
}

/* Flattens c, h, w as PyTorch does. */
static inline struct ref_value ref_linear(struct ref *r, struct ref_value x, const char *name, bool bias)
{
    struct ref_tensor w = ref_find(r, name, "weight"), b = { 0 };
    if (bias) b = ref_find(r, name, "bias");
    struct ref_value y = ref_new(r, x.n, w.shape[0], 1, 1);
    for (int n = 0; n < y.n; n++)
        for (int o = 0; o < y.c; o++) {
            double sum = bias ? ref_get(&b, o, 0, 0, 0) : 0;
            for (int c = 0; c < x.c; c++)
                for (int i = 0; i < x.h; i++)
                    for (int j = 0; j < x.w; j++) sum += *ref_at(x, n, c, i, j) * ref_get(&w, o, c, i, j);
            *ref_at(y, n, o, 0, 0) = sum;
        }
    return y;
}

static inline struct ref_value ref_pool(struct ref *r, struct ref_value x, int k, int stride, int pad, bool max)
{
    struct ref_value y = ref_new(r, x.n, x.c, (x.h + 2 * pad - k) / stride + 1, (x.w + 2 * pad - k) / stride + 1);
    for (int n = 0; n < y.n; n++)
        for (int c = 0; c < y.c; c++)
            for (int o = 0; o < y.h * y.w; o++) {
                double best = -INFINITY, sum = 0;
                int seen = 0;
                for (int p = 0; p < k * k; p++) {
                    int i = o / y.w * stride - pad + p / k, j = o % y.w * stride - pad + p % k;
                    if (i < 0 || i >= x.h || j < 0 || j >= x.w) continue;
                    double v = *ref_at(x, n, c, i, j);
                    best = v > best ? v : best;
                    sum += v;
                    seen++;
                }
                *ref_at(y, n, c, o / y.w, o % y.w) = max ? best : sum / seen;
            }
    return y;
}

enum ref_norm_kind { REF_BATCH, REF_BATCH_ALWAYS, REF_GROUP, REF_EVO_S0 };

/* Mean and sum of squared deviations of channels first..last of images from..to. */
static inline void ref_moments(struct ref_value x, int from, int to, int first, int last, double *mean, double *square)
{
    double count = (double)(to - from) * (last - first) * x.h * x.w, sum = 0;
    *square = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int n = from; n < to; n++)
            for (int c = first; c < last; c++)
                for (int p = 0; p < x.h * x.w; p++) {
                    double v = *ref_at(x, n, c, p / x.w, p % x.w);
                    if (pass == 0) sum += v;
                    if (pass == 1) *square += (v - sum / count) * (v - sum / count);
                }
    }
    *mean = sum / count;
}

static inline struct ref_value ref_norm(struct ref *r, struct ref_value x, const char *name, enum ref_norm_kind kind,
                                        int groups)
{
    struct ref_tensor gamma = ref_find(r, name, "weight"), beta = ref_find(r, name, "bias"), mean = { 0 }, var = { 0 };
    struct ref_value y = ref_new(r, x.n, x.c, x.h, x.w);
    bool running = kind == REF_BATCH && !r->training, batch = kind == REF_BATCH || kind == REF_BATCH_ALWAYS;
    if (running) {
        mean = ref_find(r, name, "running_mean");
        var = ref_find(r, name, "running_var");
    }
    if (batch) groups = x.c;
    if (kind == REF_EVO_S0) groups = x.c < 32 ? x.c : 32;
    int width = x.c / groups;
    for (int n = 0; n < x.n; n++)
        for (int c = 0; c < x.c; c++) {
            double mu, square, first = c / width * width;
            ref_moments(x, batch ? 0 : n, batch ? x.n : n + 1, (int)first, (int)first + width, &mu, &square);
            double count = (double)width * x.h * x.w * (batch ? x.n : 1) - (kind == REF_EVO_S0);
            double variance = running ? ref_get(&var, c, 0, 0, 0) : square / count;
            if (running) mu = ref_get(&mean, c, 0, 0, 0);
            for (int p = 0; p < x.h * x.w; p++) {
                double v = *ref_at(x, n, c, p / x.w, p % x.w);
                double f = kind == REF_EVO_S0 ? v / (1 + exp(-v)) : v - mu;
                *ref_at(y, n, c, p / x.w, p % x.w) =
                    f / sqrt(variance + 1e-5) * ref_get(&gamma, c, 0, 0, 0) + ref_get(&beta, c, 0, 0, 0);
            }
        }
    return y;
}

/* ---- Texts: n examples, c channels, h rows ---- */
static inline struct ref_value ref_embedding(struct ref *r, const char *word, const char *position, const char *type)
{
    struct ref_tensor w = ref_find(r, word, "weight"), p = ref_find(r, position, "weight"), s = { 0 };
    if (type) s = ref_find(r, type, "weight");
    struct ref_value y = ref_new(r, r->batch->n, w.shape[1], r->batch->length, 1);
    for (int n = 0; n < y.n; n++)
        for (int t = 0; t < y.h; t++)
            for (int c = 0; c < y.c; c++)
                *ref_at(y, n, c, t, 0) = ref_get(&w, r->batch->tokens[n * y.h + t], c, 0, 0) + ref_get(&p, t, c, 0, 0) +
                                         (type ? ref_get(&s, 0, c, 0, 0) : 0);
    return y;
}

static inline struct ref_value ref_dense(struct ref *r, struct ref_value x, const char *name)
{
    struct ref_tensor w = ref_find(r, name, "weight"), b = ref_find(r, name, "bias");
    struct ref_value y = ref_new(r, x.n, w.shape[0], x.h, 1);
    for (int n = 0; n < y.n; n++)
        for (int t = 0; t < y.h; t++)
            for (int o = 0; o < y.c; o++) {
                double sum = ref_get(&b, o, 0, 0, 0);
                for (int c = 0; c < x.c; c++) sum += *ref_at(x, n, c, t, 0) * ref_get(&w, o, c, 0, 0);
                *ref_at(y, n, o, t, 0) = sum;
            }
    return y;
}

static inline struct ref_value ref_layernorm(struct ref *r, struct ref_value x, const char *name, double epsilon)
{
    struct ref_tensor gamma = ref_find(r, name, "weight"), beta = ref_find(r, name, "bias");
    struct ref_value y = ref_new(r, x.n, x.c, x.h, 1);
    for (int n = 0; n < x.n; n++)
        for (int t = 0; t < x.h; t++) {
            double mean = 0, var = 0;
            for (int c = 0; c < x.c; c++) mean += *ref_at(x, n, c, t, 0) / x.c;
            for (int c = 0; c < x.c; c++) var += pow(*ref_at(x, n, c, t, 0) - mean, 2) / x.c;
            for (int c = 0; c < x.c; c++)
                *ref_at(y, n, c, t, 0) =
                    (*ref_at(x, n, c, t, 0) - mean) / sqrt(var + epsilon) * ref_get(&gamma, c, 0, 0, 0) +
                    ref_get(&beta, c, 0, 0, 0);
        }
    return y;
}

static inline struct ref_value ref_map(struct ref *r, struct ref_value x, double (*f)(double))
{
    struct ref_value y = ref_new(r, x.n, x.c, x.h, x.w);
    size_t count = (size_t)x.n * (size_t)x.c * (size_t)x.h * (size_t)x.w;
    for (size_t i = 0; i < count; i++) y.v[i] = f(x.v[i]);
    return y;
}
static inline double ref_gelu(double x) { return x * 0.5 * (1 + erf(x / sqrt(2))); }

/* Row t of example n for one head: softmax over the keys that are no padding. */
static inline void ref_attend(struct ref_value q, struct ref_value k, struct ref_value v, struct ref_value y, int live,
                              int n, int t, int first, int last)
{
    double p[512], sum = 0;
    for (int s = 0; s < live; s++) {
        double score = 0;
        for (int c = first; c < last; c++) score += *ref_at(q, n, c, t, 0) * *ref_at(k, n, c, s, 0);
        p[s] = exp(score / sqrt(last - first));
        sum += p[s];
    }
    for (int s = 0; s < live; s++)
        for (int c = first; c < last; c++) *ref_at(y, n, c, t, 0) += p[s] / sum * *ref_at(v, n, c, s, 0);
}

static inline struct ref_value ref_attention(struct ref *r, struct ref_value q, struct ref_value k, struct ref_value v,
                                             int heads)
{
    struct ref_value y = ref_new(r, q.n, q.c, q.h, 1);
    int d = q.c / heads;
    for (int n = 0; n < q.n; n++)
        for (int h = 0; h < heads; h++)
            for (int t = 0; t < q.h; t++) ref_attend(q, k, v, y, r->batch->lengths[n], n, t, h * d, h * d + d);
    return y;
}

static inline struct ref_value ref_first(struct ref *r, struct ref_value x)
{
    struct ref_value y = ref_new(r, x.n, x.c, 1, 1);
    for (int n = 0; n < x.n; n++)
        for (int c = 0; c < x.c; c++) *ref_at(y, n, c, 0, 0) = *ref_at(x, n, c, 0, 0);
    return y;
}

/* Mean cross-entropy with label smoothing. */
static inline double ref_loss(struct ref_value logits, const int32_t *labels, double smoothing)
{
    double loss = 0;
    for (int n = 0; n < logits.n; n++) {
        double most = -INFINITY, sum = 0, mean = 0;
        for (int c = 0; c < logits.c; c++) most = fmax(most, *ref_at(logits, n, c, 0, 0));
        for (int c = 0; c < logits.c; c++) sum += exp(*ref_at(logits, n, c, 0, 0) - most);
        for (int c = 0; c < logits.c; c++) mean += (*ref_at(logits, n, c, 0, 0) - most - log(sum)) / logits.c;
        loss -= (1 - smoothing) * (*ref_at(logits, n, labels[n], 0, 0) - most - log(sum)) + smoothing * mean;
    }
    return loss / logits.n;
}

#endif
