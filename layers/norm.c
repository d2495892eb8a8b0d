/* Batch norm (Ioffe and Szegedy, ICML 2015), group norm (Wu and He, ECCV 2018) and EvoNorm-S0 (Liu et al., NeurIPS
 * 2020) on images, with the residual addition and the ReLU behind them. All three are one thing: statistics of a set of
 * rows and a group of channels, then y = f(x) rstd gamma + beta, f(x) = x - mean or x sigmoid(x). The kernels walk the
 * rows; this file turns their sums into the vectors of the next pass. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <math.h>

#define EPSILON  1e-5
#define MOMENTUM 0.1 /* of the running statistics */

struct norm {
    enum qgm_norm_kind kind;
    int c, groups, pixels;
    bool running, relu, residual;
    size_t gamma, beta; /* in params */
    size_t mean, var;   /* in buffers, where running */
};

/* Work space of a pass: sums of the kernels and the vectors they read. */
struct space {
    double *sums;
    float *scale, *slope, *offset, *mean, *rstd;
};

static struct space space_of(const struct norm *s, void *scratch)
{
    size_t c = (size_t)s->c;
    struct space w = { .sums = scratch };
    w.scale = (float *)(w.sums + 2 * c);
    w.slope = w.scale + c;
    w.offset = w.slope + c;
    w.mean = w.offset + c;
    w.rstd = w.mean + c;
    return w;
}

static size_t scratch(const struct qgm_node *node, int n, bool training)
{
    (void)n;
    (void)training;
    return (size_t)node->shape.c * (2 * sizeof(double) + 5 * sizeof(float));
}

/* EvoNorm divides by the unbiased variance, the others by the biased one. */
static double degrees(const struct norm *s, double count) { return s->kind == QGM_NORM_EVO_S0 ? count - 1 : count; }

/* Mean and 1/sqrt(var + eps) of every channel's group, from each channel's sums of x - x0 and its square. */
static void statistics(const struct norm *s, const float *x0, size_t rows, const double *sums, float *mean, float *rstd)
{
    int width = s->c / s->groups;
    double m = (double)rows;
    for (int first = 0; first < s->c; first += width) {
        double total = 0, square = 0;
        for (int j = first; j < first + width; j++) total += (double)x0[j] + sums[j] / m;
        double mu = total / width;
        for (int j = first; j < first + width; j++) {
            double own = sums[j] / m, off = (double)x0[j] + own - mu;
            square += fmax(sums[s->c + j] - m * own * own, 0) + m * off * off;
        }
        float inverse = (float)(1 / sqrt(square / degrees(s, m * width) + EPSILON));
        for (int j = first; j < first + width; j++) {
            mean[j] = (float)mu;
            rstd[j] = inverse;
        }
    }
}

static void apply(const struct norm *s, const struct qgm_pass *p, const struct qgm_flow *f, const struct space *w,
                  size_t first, size_t rows, const float *mean, const float *rstd)
{
    const float *gamma = p->params + s->gamma;
    for (int j = 0; j < s->c; j++) w->scale[j] = gamma[j] * rstd[j];
    struct qgm_norm t = { .rows = rows,
                          .c = s->c,
                          .swish = s->kind == QGM_NORM_EVO_S0,
                          .relu = s->relu,
                          .mean = mean,
                          .scale = w->scale,
                          .shift = p->params + s->beta };
    size_t at = first * (size_t)s->c;
    p->k->norm_forward(&t, f->x[0] + at, s->residual ? f->x[1] + at : NULL, f->y + at);
}

/* Exponential averages; the running variance is the unbiased one, as in PyTorch. */
static void update_running(const struct norm *s, const struct qgm_pass *p, size_t rows, const float *mean,
                           const float *rstd)
{
    float *running_mean = p->buffers + s->mean, *running_var = p->buffers + s->var;
    double unbias = rows > 1 ? (double)rows / (double)(rows - 1) : 1;
    for (int j = 0; j < s->c; j++) {
        double var = (1 / ((double)rstd[j] * (double)rstd[j]) - EPSILON) * unbias;
        running_mean[j] = (float)((1 - MOMENTUM) * (double)running_mean[j] + MOMENTUM * (double)mean[j]);
        running_var[j] = (float)((1 - MOMENTUM) * (double)running_var[j] + MOMENTUM * var);
    }
}

static void forward_batch(const struct norm *s, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct space w = space_of(s, p->scratch);
    size_t rows = (size_t)p->n * (size_t)s->pixels;
    float *mean = f->saved ? f->saved : w.mean, *rstd = f->saved ? mean + s->c : w.rstd;
    if (p->training || !s->running) {
        p->k->norm_moments(f->x[0], rows, s->c, w.sums);
        statistics(s, f->x[0], rows, w.sums, mean, rstd);
        if (p->training && s->running) update_running(s, p, rows, mean, rstd);
    } else {
        for (int j = 0; j < s->c; j++) {
            mean[j] = p->buffers[s->mean + (size_t)j];
            rstd[j] = (float)(1 / sqrt((double)p->buffers[s->var + (size_t)j] + EPSILON));
        }
    }
    apply(s, p, f, &w, 0, rows, mean, rstd);
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct norm *s = node->spec;
    if (s->kind == QGM_NORM_BATCH) {
        forward_batch(s, p, f);
        return;
    }
    struct space w = space_of(s, p->scratch);
    size_t rows = (size_t)s->pixels;
    for (int i = 0; i < p->n; i++) {
        float *mean = f->saved ? (float *)f->saved + (size_t)(2 * s->c) * (size_t)i : w.mean;
        float *rstd = f->saved ? mean + s->c : w.rstd;
        const float *x = f->x[0] + (size_t)i * rows * (size_t)s->c;
        p->k->norm_moments(x, rows, s->c, w.sums);
        statistics(s, x, rows, w.sums, mean, rstd);
        apply(s, p, f, &w, (size_t)i * rows, rows, mean, rstd);
    }
}

/* With m values a group and g = gamma dz,
 *   x - mean:      dx = rstd (g - sum(g) / m - (x - mean) rstd^2 sum(g (x - mean)) / m)
 *   x sigmoid(x):  dx = rstd g f'(x) - (x - mean) rstd^3 sum(g f(x)) / (m - 1) */
static void coefficients(const struct norm *s, const float *gamma, const float *rstd, size_t rows, struct space *w)
{
    int width = s->c / s->groups;
    double m = (double)rows * width;
    for (int first = 0; first < s->c; first += width) {
        double plain = 0, product = 0, r = (double)rstd[first];
        for (int j = first; j < first + width; j++) {
            plain += (double)gamma[j] * w->sums[j];
            product += (double)gamma[j] * w->sums[s->c + j];
        }
        for (int j = first; j < first + width; j++) {
            w->scale[j] = gamma[j] * rstd[j];
            w->slope[j] = (float)(-r * r * r * product / degrees(s, m));
            w->offset[j] = s->kind == QGM_NORM_EVO_S0 ? 0 : (float)(-r * plain / m);
        }
    }
}

static void backward_rows(const struct norm *s, const struct qgm_pass *p, const struct qgm_flow *f, size_t first,
                          size_t rows, const float *mean)
{
    struct space w = space_of(s, p->scratch);
    const float *gamma = p->params + s->gamma, *rstd = mean + s->c;
    size_t at = first * (size_t)s->c;
    const float *x = f->x[0] + at, *y = s->relu ? f->y + at : NULL;
    struct qgm_norm t = { .rows = rows,
                          .c = s->c,
                          .swish = s->kind == QGM_NORM_EVO_S0,
                          .relu = s->relu,
                          .mean = mean,
                          .scale = w.scale,
                          .slope = w.slope,
                          .offset = w.offset };
    float *dx = f->dx[0] ? f->dx[0] + at : f->dy + at; /* of the image: not wanted, but EvoNorm's sums write one */
    p->k->norm_sums(&t, x, y, f->dy + at, dx, w.sums);
    for (int j = 0; j < s->c; j++) {
        p->grad[s->beta + (size_t)j] += (float)w.sums[j];
        p->grad[s->gamma + (size_t)j] += (float)(w.sums[s->c + j] * (double)rstd[j]);
    }
    if (!f->dx[0]) return;
    coefficients(s, gamma, rstd, rows, &w);
    p->k->norm_backward(&t, x, t.swish ? dx : f->dy + at, dx);
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct norm *s = node->spec;
    size_t rows = (size_t)s->pixels;
    if (s->kind == QGM_NORM_BATCH) {
        backward_rows(s, p, f, 0, (size_t)p->n * rows, f->saved);
        return;
    }
    for (int i = 0; i < p->n; i++)
        backward_rows(s, p, f, (size_t)i * rows, rows, (const float *)f->saved + (size_t)(2 * s->c) * (size_t)i);
}

static const struct qgm_layer_ops ops = {
    .name = "norm", .scratch = scratch, .forward = forward, .backward = backward
};

static size_t vector(struct qgm_builder *b, bool buffer, const char *name, const char *part, int c, double value)
{
    struct qgm_declare d = {
        .layer = name, .part = part, .dims = 1, .shape = { c }, .torch_dims = 1, .init = { QGM_INIT_CONSTANT, value }
    };
    return buffer ? qgm_buffer(b, d) : qgm_param(b, d);
}

/* How many groups of channels share their statistics. */
static int groups_of(struct qgm_builder *b, const struct qgm_norm2d *spec, struct qgm_shape in)
{
    if (spec->kind == QGM_NORM_BATCH) return in.c;
    int groups = spec->kind == QGM_NORM_GROUP ? spec->groups : in.c < 32 ? in.c : 32;
    if (groups < 1 || in.c % groups) {
        qgm_build_fail(b, QGM_USAGE, "%s%s: %d channels cannot be split into %d equal groups", b->prefix, spec->name,
                       in.c, groups);
        return 1;
    }
    if (in.h * in.w * (in.c / groups) < 2)
        qgm_build_fail(b, QGM_USAGE, "%s%s: a group of one value has no variance: the input image is too small",
                       b->prefix, spec->name);
    return groups;
}

int qgm_norm2d(struct qgm_builder *b, int x, struct qgm_norm2d spec)
{
    struct qgm_shape in = qgm_shape_of(b, x);
    bool batch = spec.kind == QGM_NORM_BATCH, residual = spec.add != 0;
    struct norm s = { .kind = spec.kind,
                      .c = in.c,
                      .groups = groups_of(b, &spec, in),
                      .pixels = in.h * in.w,
                      .running = batch && !spec.no_running,
                      .relu = spec.relu,
                      .residual = residual };
    s.gamma = vector(b, false, spec.name, "weight", in.c, 1);
    s.beta = vector(b, false, spec.name, "bias", in.c, 0);
    if (s.running) {
        s.mean = vector(b, true, spec.name, "running_mean", in.c, 0);
        s.var = vector(b, true, spec.name, "running_var", in.c, 1);
    }
    return qgm_append(b,
                      (struct qgm_node){ .op = &ops,
                                         .inputs = 1 + residual,
                                         .in = { x, spec.add },
                                         .shape = in,
                                         .saved = 2 * sizeof(float) * (size_t)in.c,
                                         .keep_x = { true },
                                         .keep_y = spec.relu,
                                         .batch_joint = batch,
                                         .joint_always = batch && spec.no_running,
                                         .passes = residual },
                      &s, sizeof s);
}
