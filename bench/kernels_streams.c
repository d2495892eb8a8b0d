/* Kernels that stream: elements, norms, rows, pools, sums. One pass over memory each, so bandwidth is their roof once
 * no cache holds them. SPDX-License-Identifier: MIT */
#include "kernels_cases.h"
#include <math.h>
#include <string.h>

#define RUN(name, ...)                                                                                                 \
    static void run_##name(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,    \
                           void *scratch)                                                                              \
    {                                                                                                                  \
        (void)in, (void)scratch;                                                                                       \
        __VA_ARGS__;                                                                                                   \
    }
#define EXACT(name) static double exact_##name(const struct bench_case *c, float *const in[2], size_t i, double *size)
#define A           ((double)in[0][i])
#define B           ((double)in[1][i])
#define HALF_ROOT   0.70710678118654752440 /* 1 / sqrt 2 */

/* ---- Elements ---- */
static const float thirds[] = { 0.5f, 0.25f, 0.25f };
RUN(add, k->add(in[0], in[1], out, c->n))
RUN(relu_forward, k->relu_forward(in[0], out, c->n))
RUN(relu_backward, k->relu_backward(in[0], in[1], out, c->n))
RUN(axpy, k->axpy(0.5f, in[0], out, c->n))
RUN(axpy_prepare, (void)k; memcpy(out, in[1], c->n * sizeof *out))
RUN(mix, k->mix(out, (const float *const[]){ in[0], in[1], in[0] }, thirds, 3, c->n))
RUN(exp, k->exp(in[0], out, c->n))
RUN(log, k->log(in[0], out, c->n))
RUN(log_prepare, (void)k, (void)out; for (size_t i = 0; i < c->n; i++) in[0][i] = fabsf(in[0][i]))
RUN(tanh, k->tanh(in[0], out, c->n))
RUN(sigmoid, k->sigmoid(in[0], out, c->n))
RUN(erf, k->erf(in[0], out, c->n))
RUN(gelu_forward, k->gelu_forward(in[0], out, c->n))
RUN(gelu_backward, k->gelu_backward(in[0], in[1], out, c->n))
RUN(dot, *out = (float)k->dot(in[0], in[1], c->n))
RUN(distance2, *out = (float)k->distance2(in[0], in[1], c->n))

static double seen(double value, double of, double *size)
{
    *size = fabs(value) + of;
    return value;
}
EXACT(add) { return (void)c, seen(A + B, fabs(A) + fabs(B), size); }
EXACT(relu_forward) { return (void)c, seen(fmax(A, 0), 0, size); }
EXACT(relu_backward) { return (void)c, seen(A > 0 ? B : 0, 0, size); }
EXACT(mix) { return (void)c, seen(0.75 * A + 0.25 * B, fabs(A) + fabs(B), size); }
EXACT(axpy) { return (void)c, seen(0.5 * A + B, fabs(A) + fabs(B), size); }
EXACT(log) { return (void)c, seen(log(A), 0, size); }
EXACT(exp) { return (void)c, seen(exp(A), 0, size); }
EXACT(tanh) { return (void)c, seen(tanh(A), 0, size); }
EXACT(sigmoid) { return (void)c, seen(1 / (1 + exp(-A)), 0, size); }
EXACT(erf) { return (void)c, seen(erf(A), 0, size); }
EXACT(gelu_forward) { return (void)c, seen(A * (1 + erf(A * HALF_ROOT)) / 2, fabs(A), size); }
EXACT(gelu_backward)
{
    (void)c;
    double slope = (1 + erf(A * HALF_ROOT)) / 2 + A * exp(-A * A / 2) * 0.39894228040143267794;
    return seen(B * slope, 2 * fabs(B), size);
}
EXACT(dot)
{
    double sum = *size = 0;
    for (i = 0; i < c->n; i++) sum += A * B, *size += fabs(A * B);
    return sum;
}
EXACT(distance2)
{
    double sum = *size = 0;
    for (i = 0; i < c->n; i++) sum += (A - B) * (A - B), *size += (A - B) * (A - B);
    return sum;
}

/* ---- Norms over channels. The five vectors of parameters are the first of in[1] ---- */
static struct qgm_norm norm(const struct bench_case *c, const float *p, bool swish, bool relu)
{
    size_t n = (size_t)c->cols;
    return (struct qgm_norm){ (size_t)c->rows, c->cols, swish, relu, p, p + n, p + 2 * n, p + 3 * n, p + 4 * n };
}
/* What sums are added to, and what became of it. */
static double *zeros(void *scratch, int n) { return memset(scratch, 0, (size_t)n * sizeof(double)); }
static void narrow(const double *sums, int n, float *out)
{
    for (int j = 0; j < n; j++) out[j] = (float)sums[j];
}
RUN(norm_moments, k->norm_moments(in[0], in[0], (size_t)c->rows, c->cols, zeros(scratch, 2 * c->cols));
    narrow(scratch, 2 * c->cols, out))
RUN(norm_forward, struct qgm_norm t = norm(c, in[1], false, false); k->norm_forward(&t, in[0], NULL, out))
RUN(norm_residual, struct qgm_norm t = norm(c, in[1], false, true); k->norm_forward(&t, in[0], in[1], out))
RUN(norm_swish, struct qgm_norm t = norm(c, in[1], true, false); k->norm_forward(&t, in[0], NULL, out))
RUN(norm_slopes, struct qgm_norm t = norm(c, in[1], true, false);
    k->norm_sums(&t, in[0], NULL, in[1], out, zeros(scratch, 2 * c->cols)))
RUN(norm_sums, struct qgm_norm t = norm(c, in[1], false, false);
    k->norm_sums(&t, in[0], NULL, in[1], NULL, zeros(scratch, 2 * c->cols)); narrow(scratch, 2 * c->cols, out))
RUN(norm_backward, struct qgm_norm t = norm(c, in[1], false, false); k->norm_backward(&t, in[0], in[1], out))

static double parameter(const struct bench_case *c, float *const in[2], int which, size_t i)
{
    return (double)in[1][(size_t)which * (size_t)c->cols + i % (size_t)c->cols];
}
#define P(which) parameter(c, in, which, i)
EXACT(norm_forward) { return seen((A - P(0)) * P(1) + P(2), (fabs(A) + fabs(P(0))) * fabs(P(1)) + fabs(P(2)), size); }
EXACT(norm_residual)
{
    double y = exact_norm_forward(c, in, i, size) + B;
    *size += fabs(B);
    return fmax(y, 0);
}
EXACT(norm_swish) { return seen(A / (1 + exp(-A)) * P(1) + P(2), fabs(A * P(1)) + fabs(P(2)), size); }
EXACT(norm_slopes)
{
    (void)c;
    double s = 1 / (1 + exp(-A));
    return seen(B * (s + A * s * (1 - s)), fabs(B) * (1 + fabs(A)), size);
}
EXACT(norm_backward)
{
    return seen(B * P(1) + P(3) * (A - P(0)) + P(4), fabs(B * P(1)) + fabs(P(3)) * (fabs(A) + fabs(P(0))) + fabs(P(4)),
                size);
}
/* Sums over rows of column i mod cols; the second half of the outputs are those of the second kind. */
EXACT(norm_moments)
{
    size_t cols = (size_t)c->cols, j = i % cols;
    bool squares = i >= cols;
    double sum = *size = 0, first = (double)in[0][j];
    for (size_t r = 0; r < (size_t)c->rows; r++) {
        double d = (double)in[0][r * cols + j] - first, term = squares ? d * d : d;
        sum += term, *size += fabs(term);
    }
    return sum;
}
EXACT(norm_sums)
{
    size_t cols = (size_t)c->cols, j = i % cols;
    double sum = *size = 0, mean = (double)in[1][j];
    for (size_t r = 0; r < (size_t)c->rows; r++) {
        double dy = (double)in[1][r * cols + j], x = (double)in[0][r * cols + j];
        sum += i >= cols ? dy * (x - mean) : dy;
        *size += i >= cols ? fabs(dy) * (fabs(x) + fabs(mean)) : fabs(dy);
    }
    return sum;
}
RUN(sum_rows, memset(out, 0, (size_t)c->cols * sizeof *out); k->sum_rows(in[0], (size_t)c->rows, c->cols, out))
EXACT(sum_rows)
{
    double sum = *size = 0;
    for (size_t r = 0; r < (size_t)c->rows; r++) {
        double x = (double)in[0][r * (size_t)c->cols + i];
        sum += x, *size += fabs(x);
    }
    return sum;
}

RUN(add_bias, k->add_bias(out, in[1], (size_t)c->rows, c->cols))
RUN(add_bias_prepare, (void)k; memcpy(out, in[0], c->n * sizeof *out))
EXACT(add_bias)
{
    double bias = (double)in[1][i % (size_t)c->cols];
    return seen(A + bias, fabs(A) + fabs(bias), size);
}

/* ---- Rows of transformers and of losses. Statistics and gradients of parameters lie in the scratch ---- */
static struct qgm_layernorm layernorm(const struct bench_case *c, const float *p)
{
    return (struct qgm_layernorm){ (size_t)c->rows, c->cols, 1e-5, p, p + c->cols };
}
RUN(layernorm_forward, struct qgm_layernorm t = layernorm(c, in[1]); k->layernorm_forward(&t, in[0], out, scratch))
RUN(layernorm_prepare, struct qgm_layernorm t = layernorm(c, in[1]); memset(scratch, 0, c->scratch);
    k->layernorm_forward(&t, in[0], out, scratch))
RUN(layernorm_backward, struct qgm_layernorm t = layernorm(c, in[1]);
    float *dgamma = (float *)scratch + 2 * (size_t)c->rows;
    k->layernorm_backward(&t, in[0], scratch, in[1], out, dgamma, dgamma + c->cols))
RUN(softmax_rows, memcpy(out, in[0], c->n * sizeof *out); k->softmax_rows(out, c->rows, c->cols, c->cols, 0.125f))
RUN(softmax_rows_backward, memcpy(out, in[1], c->n * sizeof *out);
    k->softmax_rows_backward(in[0], out, c->rows, c->cols, 0.125f))
static void run_labels(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                       void *scratch)
{
    (void)k, (void)in, (void)out;
    int32_t *labels = scratch;
    for (int r = 0; r < c->rows; r++) labels[r] = r % c->cols;
}
RUN(softmax_xent, k->softmax_xent(in[0], scratch, c->rows, c->cols, 0.1f, 1, out))

/* The row of element i, and where i is in it. */
static const float *row_of(const struct bench_case *c, const float *x, size_t i, size_t *at)
{
    *at = i % (size_t)c->cols;
    return x + (i - *at);
}
struct moments {
    double mean, rstd;
};
static struct moments moments_of(const float *x, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t j = 0; j < n; j++) sum += (double)x[j];
    for (size_t j = 0; j < n; j++) squares += ((double)x[j] - sum / (double)n) * ((double)x[j] - sum / (double)n);
    return (struct moments){ sum / (double)n, 1 / sqrt(squares / (double)n + 1e-5) };
}
EXACT(layernorm_forward)
{
    size_t at;
    struct moments m = moments_of(row_of(c, in[0], i, &at), (size_t)c->cols);
    double slope = (double)in[1][at] * m.rstd, shift = (double)in[1][(size_t)c->cols + at];
    return seen((A - m.mean) * slope + shift, (1 + fabs(A)) * fabs(slope) + fabs(shift), size);
}
EXACT(layernorm_backward)
{
    size_t at, n = (size_t)c->cols;
    const float *x = row_of(c, in[0], i, &at), *dy = row_of(c, in[1], i, &at);
    struct moments m = moments_of(x, n);
    double mean = 0, along = 0, sizes = 0;
    for (size_t j = 0; j < n; j++) {
        double g = (double)dy[j] * (double)in[1][j], normal = ((double)x[j] - m.mean) * m.rstd;
        mean += g / (double)n, along += g * normal / (double)n, sizes += fabs(g) * (1 + fabs(normal)) / (double)n;
    }
    double g = B * (double)in[1][at], normal = (A - m.mean) * m.rstd;
    return seen(m.rstd * (g - mean - normal * along), m.rstd * (fabs(g) + sizes * (1 + fabs(normal))), size);
}
static double softmax_at(const float *x, size_t n, size_t at, double scale)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += exp(scale * ((double)x[j] - (double)x[at]));
    return 1 / sum;
}
EXACT(softmax_rows)
{
    size_t at;
    const float *x = row_of(c, in[0], i, &at);
    return seen(softmax_at(x, (size_t)c->cols, at, 0.125), 0, size);
}
EXACT(softmax_rows_backward)
{
    size_t at;
    const float *y = row_of(c, in[0], i, &at), *dy = row_of(c, in[1], i, &at);
    double sum = 0, sizes = 0;
    for (size_t j = 0; j < (size_t)c->cols; j++) {
        double term = (double)y[j] * (double)dy[j];
        sum += term, sizes += fabs(term);
    }
    return seen(0.125 * A * (B - sum), 0.125 * fabs(A) * (fabs(B) + sizes), size);
}
EXACT(softmax_xent)
{
    size_t at, row = i / (size_t)c->cols;
    const float *x = row_of(c, in[0], i, &at);
    double target = 0.1 / c->cols + (row % (size_t)c->cols == at ? 0.9 : 0);
    return seen(softmax_at(x, (size_t)c->cols, at, 1) - target, target, size);
}

/* ---- Pools. argmax lies in the scratch ---- */
RUN(maxpool_forward, k->maxpool_forward(&c->pool, in[0], out, scratch))
RUN(maxpool_prepare, k->maxpool_forward(&c->pool, in[1], in[0], scratch); memset(out, 0, c->out * sizeof *out))
RUN(maxpool_backward, k->maxpool_backward(&c->pool, in[0], scratch, out))
RUN(avgpool_forward, k->avgpool_forward(&c->pool, in[0], out))
RUN(avgpool_backward, k->avgpool_backward(&c->pool, in[0], out))

/* What window o of channel ch holds: the maximum, where it is, and the mean. */
struct window {
    double most, mean;
    size_t where;
};
static struct window window_of(const struct qgm_pool *p, const float *x, int n, int oy, int ox, int ch)
{
    struct window v = { .most = -INFINITY };
    int count = 0;
    for (int t = 0; t < p->k * p->k; t++) {
        int y = oy * p->stride - p->pad + t / p->k, xx = ox * p->stride - p->pad + t % p->k;
        if (y < 0 || y >= p->h || xx < 0 || xx >= p->w) continue;
        size_t at = (((size_t)n * (size_t)p->h + (size_t)y) * (size_t)p->w + (size_t)xx) * (size_t)p->c + (size_t)ch;
        double value = (double)x[at];
        if (value > v.most) v.most = value, v.where = at;
        v.mean += value, count++;
    }
    v.mean /= count;
    return v;
}
static struct window window_at(const struct qgm_pool *p, const float *x, size_t i)
{
    size_t pixel = i / (size_t)p->c, ow = (size_t)qgm_pool_ow(p), oh = (size_t)qgm_pool_oh(p);
    return window_of(p, x, (int)(pixel / (ow * oh)), (int)(pixel / ow % oh), (int)(pixel % ow),
                     (int)(i % (size_t)p->c));
}
EXACT(maxpool_forward) { return seen(window_at(&c->pool, in[0], i).most, 0, size); }
EXACT(avgpool_forward) { return seen(window_at(&c->pool, in[0], i).mean, 1, size); }
/* Gradients of the windows whose maximum is element i: dy are the maxima that the preparation left in in[0]. */
EXACT(maxpool_backward)
{
    const struct qgm_pool *p = &c->pool;
    size_t pixel = i / (size_t)p->c, w = (size_t)p->w, h = (size_t)p->h;
    int y = (int)(pixel / w % h), x = (int)(pixel % w), n = (int)(pixel / (w * h)), ch = (int)(i % (size_t)p->c);
    double sum = *size = 0;
    for (int oy = 0; oy < qgm_pool_oh(p); oy++)
        for (int ox = 0; ox < qgm_pool_ow(p); ox++) {
            int dy = y - oy * p->stride + p->pad, dx = x - ox * p->stride + p->pad;
            if (dy < 0 || dy >= p->k || dx < 0 || dx >= p->k) continue;
            struct window v = window_of(p, in[1], n, oy, ox, ch);
            if (v.where == i) sum += v.most, *size += fabs(v.most);
        }
    return sum;
}
/* Windows that do not overlap: a share of one gradient each. */
EXACT(avgpool_backward)
{
    const struct qgm_pool *p = &c->pool;
    size_t pixel = i / (size_t)p->c, w = (size_t)p->w, h = (size_t)p->h, k = (size_t)p->k;
    size_t o = (pixel / (w * h) * (h / k) + pixel / w % h / k) * (w / k) + pixel % w / k;
    return seen((double)in[0][o * (size_t)p->c + i % (size_t)p->c] / (double)(k * k), 0, size);
}

/* ---- The table ---- */
enum shapes { ELEMENTS, CHANNELS, HIDDEN, BIASED, SCORES, LOGITS };
static const struct {
    enum shapes of;
    const char *name;
    int rows, cols;
} shapes[] = {
    { ELEMENTS, "4Ki", 1, 1 << 12 },
    { ELEMENTS, "16Mi", 1, 1 << 24 },
    { CHANNELS, "resnet20-16-image", 32 * 32, 16 },
    { CHANNELS, "resnet20-16", 32 * 32 * 32, 16 },
    { CHANNELS, "resnet20-64", 32 * 8 * 8, 64 },
    { CHANNELS, "resnet18-64", 32 * 56 * 56, 64 },
    { CHANNELS, "resnet18-stem", 32 * 112 * 112, 64 },
    { HIDDEN, "bert", 32 * 128, 768 },
    { HIDDEN, "bert-512", 32 * 512, 768 },
    { BIASED, "bert", 32 * 128, 768 },
    { BIASED, "bert-512-ffn", 32 * 512, 3072 },
    { SCORES, "bert-scores", 32 * 12 * 128, 128 },
    { LOGITS, "imagenet", 32, 1000 },
    { LOGITS, "bert-words", 32 * 19, 30522 }, /* 15 % of 128 tokens are to be guessed */
};
/* flops and bytes: of an element. */
#define STREAM(kernel_, shapes_, flops_, bytes_)                                                                       \
    {                                                                                                                  \
        shapes_,                                                                                                       \
        {                                                                                                              \
            .kernel = #kernel_, .run = run_##kernel_, .exact = exact_##kernel_, .flops = flops_, .bytes = bytes_       \
        }                                                                                                              \
    }
static const struct {
    enum shapes shapes;
    struct bench_case c;
} streams[] = {
    STREAM(add, ELEMENTS, 1, 12),
    STREAM(relu_forward, ELEMENTS, 0, 8),
    STREAM(relu_backward, ELEMENTS, 0, 12),
    STREAM(axpy, ELEMENTS, 2, 12),
    STREAM(mix, ELEMENTS, 6, 12),
    STREAM(dot, ELEMENTS, 2, 8),
    STREAM(distance2, ELEMENTS, 3, 8),
    STREAM(exp, ELEMENTS, 0, 8),
    STREAM(log, ELEMENTS, 0, 8),
    STREAM(tanh, ELEMENTS, 0, 8),
    STREAM(sigmoid, ELEMENTS, 0, 8),
    STREAM(erf, ELEMENTS, 0, 8),
    STREAM(gelu_forward, ELEMENTS, 0, 8),
    STREAM(gelu_backward, ELEMENTS, 0, 12),
    STREAM(norm_moments, CHANNELS, 4, 4),
    STREAM(norm_forward, CHANNELS, 4, 8),
    STREAM(norm_residual, CHANNELS, 4, 12),
    STREAM(norm_swish, CHANNELS, 4, 8),
    STREAM(norm_sums, CHANNELS, 4, 8),
    STREAM(norm_slopes, CHANNELS, 4, 12), /* norm_sums of EvoNorm, which also writes the slopes */
    STREAM(norm_backward, CHANNELS, 5, 12),
    STREAM(add_bias, BIASED, 1, 8),
    STREAM(sum_rows, BIASED, 1, 4),
    STREAM(layernorm_forward, HIDDEN, 7, 8),
    STREAM(layernorm_backward, HIDDEN, 12, 12),
    STREAM(softmax_rows, SCORES, 0, 16), /* 8 of them for the copy: it works in place */
    STREAM(softmax_rows_backward, SCORES, 4, 20),
    STREAM(softmax_xent, LOGITS, 0, 8),
};

typedef void run(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                 void *scratch);
static const struct {
    run *of, *by;
} preparations[] = {
    { run_axpy, run_axpy_prepare },         { run_log, run_log_prepare },
    { run_add_bias, run_add_bias_prepare }, { run_layernorm_backward, run_layernorm_prepare },
    { run_softmax_xent, run_labels },
};

static size_t outputs(const struct bench_case *c)
{
    if (c->exact == exact_dot || c->exact == exact_distance2) return 1;
    if (c->exact == exact_sum_rows) return (size_t)c->cols;
    if (c->exact == exact_norm_moments || c->exact == exact_norm_sums) return 2 * (size_t)c->cols;
    return c->n;
}

static size_t add_pools(struct bench_case *cases)
{
    static const struct bench_case most[] = {
        { .kernel = "maxpool_forward", .run = run_maxpool_forward, .exact = exact_maxpool_forward },
        { .kernel = "maxpool_backward",
          .prepare = run_maxpool_prepare,
          .run = run_maxpool_backward,
          .exact = exact_maxpool_backward },
        { .kernel = "avgpool_forward", .run = run_avgpool_forward, .exact = exact_avgpool_forward },
        { .kernel = "avgpool_backward", .run = run_avgpool_backward, .exact = exact_avgpool_backward },
    };
    static const struct qgm_pool max = { 32, 112, 112, 64, 3, 2, 1 }, mean = { 32, 8, 8, 64, 8, 8, 0 };
    for (size_t i = 0; i < QGM_COUNT(most); i++) {
        struct bench_case c = most[i];
        const struct qgm_pool *p = i < 2 ? &max : &mean;
        size_t x = (size_t)p->n * (size_t)(p->h * p->w * p->c);
        size_t y = (size_t)p->n * (size_t)(qgm_pool_oh(p) * qgm_pool_ow(p) * p->c);
        c.shape = i < 2 ? "resnet18" : "resnet20", c.pool = *p, c.bytes = qgm_pool_bytes(p), c.scratch = y;
        c.in[0] = i % 2 ? y : x, c.in[1] = i == 1 ? x : 1, c.out = i % 2 ? x : y;
        cases[i] = c;
    }
    return QGM_COUNT(most);
}

size_t bench_streams(struct bench_case *cases)
{
    size_t count = 0;
    for (size_t k = 0; k < QGM_COUNT(streams); k++)
        for (size_t s = 0; s < QGM_COUNT(shapes); s++) {
            if (shapes[s].of != streams[k].shapes) continue;
            struct bench_case c = streams[k].c;
            c.shape = shapes[s].name, c.rows = shapes[s].rows, c.cols = shapes[s].cols;
            c.n = c.in[0] = c.in[1] = (size_t)c.rows * (size_t)c.cols;
            c.out = outputs(&c), c.flops *= (double)c.n, c.bytes *= (double)c.n;
            if (shapes[s].of != ELEMENTS) c.scratch = 8 * (size_t)c.rows + 16 * (size_t)c.cols;
            for (size_t i = 0; i < QGM_COUNT(preparations); i++)
                if (c.run == preparations[i].of) c.prepare = preparations[i].by;
            cases[count++] = c;
        }
    return count + add_pools(cases + count);
}
