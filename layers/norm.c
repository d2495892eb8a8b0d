/* Batch norm (Ioffe and Szegedy, ICML 2015), group norm (Wu and He, ECCV 2018) and EvoNorm-S0 (Liu et al., NeurIPS
 * 2020) on images, with the residual addition and the ReLU behind them. All three are one thing: statistics of a set of
 * rows and a group of channels, then y = f(x) rstd gamma + beta, f(x) = x - mean or x sigmoid(x). The kernels walk the
 * rows; this file turns their sums into the vectors of the next pass. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <math.h>
#include <string.h>

#define EPSILON  1e-5
#define MOMENTUM 0.1 /* of the running statistics */

struct norm {
    enum qgm_norm_kind kind;
    int c, groups, pixels;
    bool running, relu, residual;
    size_t gamma, beta; /* in params */
    size_t mean, var;   /* in buffers, where running */
};

/* Sums of the kernels and the vectors they read: in scratch, and for a batch in joint memory, where the first gather
 * leaves the first row: what is summed is the distance from it. */
struct space {
    double *sums;
    float *scale, *slope, *offset, *mean, *rstd, *origin;
};

static struct space space_of(const struct norm *s, void *memory)
{
    size_t c = (size_t)s->c;
    struct space w = { .sums = memory };
    w.scale = (float *)(w.sums + 2 * c);
    w.slope = w.scale + c;
    w.offset = w.slope + c;
    w.mean = w.offset + c;
    w.rstd = w.mean + c;
    w.origin = w.rstd + c;
    return w;
}

static size_t space_bytes(int c) { return (size_t)c * (2 * sizeof(double) + 6 * sizeof(float)); }

static size_t scratch(const struct qgm_node *node, int n, bool training)
{
    (void)n;
    (void)training;
    return space_bytes(node->shape.c);
}

static void clear_sums(const struct norm *s, struct space *w)
{
    memset(w->sums, 0, 2 * (size_t)s->c * sizeof *w->sums);
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

/* Batch norm over the running statistics. */
static void forward_running(const struct norm *s, const struct qgm_pass *p, const struct qgm_flow *f)
{
    struct space w = space_of(s, p->scratch);
    for (int j = 0; j < s->c; j++) {
        w.mean[j] = p->buffers[s->mean + (size_t)j];
        w.rstd[j] = (float)(1 / sqrt((double)p->buffers[s->var + (size_t)j] + EPSILON));
    }
    apply(s, p, f, &w, 0, (size_t)p->n * (size_t)s->pixels, w.mean, w.rstd);
}

static void forward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct norm *s = node->spec;
    if (f->joint) {
        struct space w = space_of(s, f->joint);
        apply(s, p, f, &w, 0, (size_t)p->n * (size_t)s->pixels, w.mean, w.rstd);
        return;
    }
    if (s->kind == QGM_NORM_BATCH) {
        forward_running(s, p, f);
        return;
    }
    struct space w = space_of(s, p->scratch);
    size_t rows = (size_t)s->pixels;
    for (int i = 0; i < p->n; i++) {
        float *mean = f->saved ? (float *)f->saved + (size_t)(2 * s->c) * (size_t)i : w.mean;
        float *rstd = f->saved ? mean + s->c : w.rstd;
        const float *x = f->x[0] + (size_t)i * rows * (size_t)s->c;
        clear_sums(s, &w);
        p->k->norm_moments(x, x, rows, s->c, w.sums);
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

/* A norm of some rows of a node's, from row `first` on, on the way back. */
struct rows {
    struct qgm_norm t;
    const float *x, *y;
    float *dz, *dx;
};

static struct rows rows_of(const struct norm *s, const struct qgm_flow *f, size_t first, size_t rows, const float *mean,
                           const struct space *w)
{
    size_t at = first * (size_t)s->c;
    float *dz = f->dy + at, *dx = f->dx[0] ? f->dx[0] + at : NULL;
    return (struct rows){ .t = { .rows = rows,
                                 .c = s->c,
                                 .swish = s->kind == QGM_NORM_EVO_S0,
                                 .relu = s->relu,
                                 .mean = mean,
                                 .scale = w->scale,
                                 .slope = w->slope,
                                 .offset = w->offset },
                          .x = f->x[0] + at,
                          .y = s->relu ? f->y + at : NULL,
                          .dz = dz,
                          .dx = dx };
}

static void add_gradients(const struct norm *s, const struct qgm_pass *p, const double *sums, const float *rstd)
{
    for (int j = 0; j < s->c; j++) {
        p->grad[s->beta + (size_t)j] += (float)sums[j];
        p->grad[s->gamma + (size_t)j] += (float)(sums[s->c + j] * (double)rstd[j]);
    }
}

static void backward_image(const struct norm *s, const struct qgm_pass *p, const struct qgm_flow *f, int image)
{
    struct space w = space_of(s, p->scratch);
    size_t pixels = (size_t)s->pixels;
    const float *mean = (const float *)f->saved + 2 * (size_t)s->c * (size_t)image, *rstd = mean + s->c;
    struct rows r = rows_of(s, f, (size_t)image * pixels, pixels, mean, &w);
    float *slopes = r.dx ? r.dx : r.dz; /* of the image nobody wants dx, but EvoNorm's sums write something */
    clear_sums(s, &w);
    p->k->norm_sums(&r.t, r.x, r.y, r.dz, slopes, w.sums);
    add_gradients(s, p, w.sums, rstd);
    if (!r.dx) return;
    coefficients(s, p->params + s->gamma, rstd, pixels, &w);
    p->k->norm_backward(&r.t, r.x, r.t.swish ? slopes : r.dz, r.dx);
}

static void backward(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f)
{
    const struct norm *s = node->spec;
    if (s->kind == QGM_NORM_BATCH) {
        struct space w = space_of(s, f->joint);
        struct rows r = rows_of(s, f, 0, (size_t)p->n * (size_t)s->pixels, w.mean, &w);
        if (r.dx) p->k->norm_backward(&r.t, r.x, r.dz, r.dx);
        return;
    }
    for (int i = 0; i < p->n; i++) backward_image(s, p, f, i);
}

/* Of batch norm. */
static void gather(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f, bool back)
{
    const struct norm *s = node->spec;
    struct space w = space_of(s, f->joint);
    size_t rows = (size_t)p->n * (size_t)s->pixels;
    if (p->opens) clear_sums(s, &w);
    if (back) {
        struct rows r = rows_of(s, f, 0, rows, w.mean, &w);
        p->k->norm_sums(&r.t, r.x, r.y, r.dz, NULL, w.sums);
        return;
    }
    if (p->opens) memcpy(w.origin, f->x[0], (size_t)s->c * sizeof *w.origin);
    p->k->norm_moments(w.origin, f->x[0], rows, s->c, w.sums);
}

static void settle(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f, bool back)
{
    const struct norm *s = node->spec;
    struct space w = space_of(s, f->joint);
    size_t rows = (size_t)p->n * (size_t)s->pixels;
    if (back) {
        add_gradients(s, p, w.sums, w.rstd);
        coefficients(s, p->params + s->gamma, w.rstd, rows, &w);
        return;
    }
    statistics(s, w.origin, rows, w.sums, w.mean, w.rstd);
    if (s->running) update_running(s, p, rows, w.mean, w.rstd);
}

static const struct qgm_layer_ops ops = {
    .name = "norm", .scratch = scratch, .forward = forward, .backward = backward, .gather = gather, .settle = settle
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
                                         .saved = batch ? 0 : 2 * sizeof(float) * (size_t)in.c,
                                         .joint = batch ? space_bytes(in.c) : 0,
                                         .keep_x = { true },
                                         .keep_y = spec.relu,
                                         .again = batch && !residual,
                                         .depends = !batch            ? QGM_SINGLE
                                                    : spec.no_running ? QGM_JOINT
                                                                      : QGM_JOINT_TRAINING,
                                         .passes = residual ? 1
                                                   : batch  ? QGM_PASSES_NONE
                                                            : 0 },
                      &s, sizeof s);
}
