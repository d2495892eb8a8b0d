/* The layers of the networks the suite is for, at batch 32, and plain sizes. SPDX-License-Identifier: MIT */
#include "kernels_cases.h"
#include <math.h>

enum { BATCH = 32 };

/* ---- Products: out = in[0] in[1] ---- */
static const struct {
    const char *name;
    int m, n, k;
    bool ta, tb;
} products[] = {
    { "64^3", 64, 64, 64, 0, 0 },
    { "128^3", 128, 128, 128, 0, 0 },
    { "256^3", 256, 256, 256, 0, 0 },
    { "512^3", 512, 512, 512, 0, 0 },
    { "1024^3", 1024, 1024, 1024, 0, 0 },
    { "2048^3", 2048, 2048, 2048, 0, 0 },
    { "1024^3-nt", 1024, 1024, 1024, 0, 1 },
    { "1024^3-tn", 1024, 1024, 1024, 1, 0 },
    { "lenet-fc1", BATCH, 120, 400, 0, 0 },
    { "lenet-fc1-dx", BATCH, 400, 120, 0, 1 },
    { "lenet-fc1-dw", 400, 120, BATCH, 1, 0 },
    { "resnet20-fc", BATCH, 10, 64, 0, 0 },
    { "vgg11-fc", BATCH, 512, 512, 0, 0 },
    { "bert-qkv", 4096, 768, 768, 0, 1 }, /* 32 texts of 128 tokens, 768 numbers, 12 heads of 64 */
    { "bert-qkv-dx", 4096, 768, 768, 0, 0 },
    { "bert-qkv-dw", 768, 768, 4096, 1, 0 },
    { "bert-scores", 128, 128, 64, 0, 1 },
    { "bert-context", 128, 64, 128, 0, 0 },
    { "bert-values-dx", 128, 64, 128, 1, 0 },
    { "bert-ffn1", 4096, 3072, 768, 0, 1 },
    { "bert-ffn2", 4096, 768, 3072, 0, 1 },
    { "one-row", 1, 512, 512, 0, 0 },
};

static void run_gemm(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                     void *scratch)
{
    struct qgm_gemm g = c->gemm;
    g.a = in[0], g.b = in[1], g.c = out;
    k->gemm(&g, scratch);
}

static double exact_gemm(const struct bench_case *c, float *const in[2], size_t i, double *size)
{
    const struct qgm_gemm *g = &c->gemm;
    size_t row = i / (size_t)g->n, col = i % (size_t)g->n;
    double sum = *size = 0;
    for (size_t p = 0; p < (size_t)g->k; p++) {
        double a = (double)in[0][g->ta ? p * (size_t)g->lda + row : row * (size_t)g->lda + p];
        double b = (double)in[1][g->tb ? col * (size_t)g->ldb + p : p * (size_t)g->ldb + col];
        sum += a * b, *size += fabs(a * b);
    }
    return sum;
}

static struct bench_case gemm_case(size_t i)
{
    struct qgm_gemm g = {
        .m = products[i].m, .n = products[i].n, .k = products[i].k, .ta = products[i].ta, .tb = products[i].tb
    };
    g.lda = g.ta ? g.m : g.k, g.ldb = g.tb ? g.k : g.n, g.ldc = g.n;
    size_t m = (size_t)g.m, n = (size_t)g.n, k = (size_t)g.k;
    return (struct bench_case){ .kernel = "gemm",
                                .shape = products[i].name,
                                .gemm = g,
                                .in = { m * k, k * n },
                                .out = m * n,
                                .scratch = qgm_gemm_scratch(&g),
                                .flops = 2.0 * (double)m * (double)n * (double)k,
                                .bytes = 4.0 * (double)(m * k + k * n + m * n),
                                .run = run_gemm,
                                .exact = exact_gemm };
}

/* ---- Convolutions ---- */
static const struct {
    const char *name;
    struct qgm_conv c;
} layers[] = {
    { "resnet20-stem", { BATCH, 32, 32, 3, 16, 3, 3, 1, 1 } },
    { "resnet20-16", { BATCH, 32, 32, 16, 16, 3, 3, 1, 1 } },
    { "resnet20-16-32", { BATCH, 32, 32, 16, 32, 3, 3, 2, 1 } },
    { "resnet20-32", { BATCH, 16, 16, 32, 32, 3, 3, 1, 1 } },
    { "resnet20-32-64", { BATCH, 16, 16, 32, 64, 3, 3, 2, 1 } },
    { "resnet20-64", { BATCH, 8, 8, 64, 64, 3, 3, 1, 1 } },
    { "resnet20-1x1-32", { BATCH, 32, 32, 16, 32, 1, 1, 2, 0 } },
    { "resnet20-1x1-64", { BATCH, 16, 16, 32, 64, 1, 1, 2, 0 } },
    { "vgg11-1", { BATCH, 32, 32, 3, 64, 3, 3, 1, 1 } },
    { "vgg11-2", { BATCH, 16, 16, 64, 128, 3, 3, 1, 1 } },
    { "vgg11-3", { BATCH, 8, 8, 128, 256, 3, 3, 1, 1 } },
    { "vgg11-4", { BATCH, 8, 8, 256, 256, 3, 3, 1, 1 } },
    { "vgg11-5", { BATCH, 4, 4, 256, 512, 3, 3, 1, 1 } },
    { "vgg11-6", { BATCH, 4, 4, 512, 512, 3, 3, 1, 1 } },
    { "vgg11-7", { BATCH, 2, 2, 512, 512, 3, 3, 1, 1 } },
    { "lenet-1", { BATCH, 28, 28, 1, 6, 5, 5, 1, 2 } },
    { "lenet-2", { BATCH, 14, 14, 6, 16, 5, 5, 1, 0 } },
    { "resnet18-stem", { BATCH, 224, 224, 3, 64, 7, 7, 2, 3 } },
    { "resnet18-64", { BATCH, 56, 56, 64, 64, 3, 3, 1, 1 } },
    { "resnet18-128", { BATCH, 28, 28, 128, 128, 3, 3, 1, 1 } },
    { "resnet18-256", { BATCH, 14, 14, 256, 256, 3, 3, 1, 1 } },
    { "resnet18-512", { BATCH, 7, 7, 512, 512, 3, 3, 1, 1 } },
};

static void run_forward(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                        void *scratch)
{
    k->conv_forward(&c->conv, in[0], in[1], NULL, false, out, scratch);
}
static void run_backward_data(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                              void *scratch)
{
    k->conv_backward_data(&c->conv, in[0], in[1], out, scratch);
}
static void run_backward_weights(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2],
                                 float *out, void *scratch)
{
    k->conv_backward_weights(&c->conv, in[0], in[1], out, scratch);
}

/* Visit every (x, y, w) triple of a convolution that meets in one number, and add up the products of two of the three
 * that make element i of the third. */
struct at {
    int n, y, x, c;
};
static struct at split(size_t i, int h, int w, int c)
{
    size_t pixel = i / (size_t)c;
    return (struct at){ (int)(pixel / (size_t)(h * w)), (int)(pixel / (size_t)w % (size_t)h), (int)(pixel % (size_t)w),
                        (int)(i % (size_t)c) };
}
static void accumulate(double a, double b, double *sum, double *size) { *sum += a * b, *size += fabs(a * b); }

static size_t pixel_index(int n, int y, int x, int h, int w)
{
    return ((size_t)n * (size_t)h + (size_t)y) * (size_t)w + (size_t)x;
}

static double exact_forward(const struct bench_case *b, float *const in[2], size_t i, double *size)
{
    const struct qgm_conv *c = &b->conv;
    struct at o = split(i, qgm_conv_oh(c), qgm_conv_ow(c), c->co);
    double sum = *size = 0;
    for (int tap = 0; tap < c->kh * c->kw; tap++) {
        int y = o.y * c->stride + tap / c->kw - c->pad, x = o.x * c->stride + tap % c->kw - c->pad;
        if (y < 0 || y >= c->h || x < 0 || x >= c->w) continue;
        size_t pixel = pixel_index(o.n, y, x, c->h, c->w) * (size_t)c->ci;
        for (size_t k = 0; k < (size_t)c->ci; k++)
            accumulate((double)in[0][pixel + k],
                       (double)in[1][((size_t)(tap * c->ci) + k) * (size_t)c->co + (size_t)o.c], &sum, size);
    }
    return sum;
}

static double exact_backward_data(const struct bench_case *b, float *const in[2], size_t i, double *size)
{
    const struct qgm_conv *c = &b->conv;
    struct at p = split(i, c->h, c->w, c->ci);
    double sum = *size = 0;
    for (int tap = 0; tap < c->kh * c->kw; tap++) {
        int y = p.y + c->pad - tap / c->kw, x = p.x + c->pad - tap % c->kw;
        if (y < 0 || x < 0 || y % c->stride || x % c->stride) continue;
        y /= c->stride, x /= c->stride;
        if (y >= qgm_conv_oh(c) || x >= qgm_conv_ow(c)) continue;
        size_t pixel = pixel_index(p.n, y, x, qgm_conv_oh(c), qgm_conv_ow(c)) * (size_t)c->co;
        for (size_t k = 0; k < (size_t)c->co; k++)
            accumulate((double)in[0][pixel + k],
                       (double)in[1][((size_t)(tap * c->ci) + (size_t)p.c) * (size_t)c->co + k], &sum, size);
    }
    return sum;
}

static double exact_backward_weights(const struct bench_case *b, float *const in[2], size_t i, double *size)
{
    const struct qgm_conv *c = &b->conv;
    struct at w = split(i, c->kh * c->kw, c->ci, c->co); /* y: tap, x: input channel */
    double sum = *size = 0;
    for (int n = 0; n < c->n; n++)
        for (int oy = 0; oy < qgm_conv_oh(c); oy++)
            for (int ox = 0; ox < qgm_conv_ow(c); ox++) {
                int y = oy * c->stride + w.y / c->kw - c->pad, x = ox * c->stride + w.y % c->kw - c->pad;
                if (y < 0 || y >= c->h || x < 0 || x >= c->w) continue;
                accumulate(
                    (double)in[0][pixel_index(n, y, x, c->h, c->w) * (size_t)c->ci + (size_t)w.x],
                    (double)in[1][pixel_index(n, oy, ox, qgm_conv_oh(c), qgm_conv_ow(c)) * (size_t)c->co + (size_t)w.c],
                    &sum, size);
            }
    return sum;
}

static const struct bench_case passes[] = {
    { .kernel = "conv_forward", .run = run_forward, .exact = exact_forward },
    { .kernel = "conv_backward_data", .run = run_backward_data, .exact = exact_backward_data },
    { .kernel = "conv_backward_weights", .run = run_backward_weights, .exact = exact_backward_weights },
};

static struct bench_case conv_case(size_t layer, size_t pass)
{
    const struct qgm_conv *c = &layers[layer].c;
    struct bench_case b = passes[pass];
    size_t x = (size_t)c->n * (size_t)(c->h * c->w * c->ci), w = (size_t)(c->kh * c->kw * c->ci * c->co);
    size_t y = (size_t)c->n * (size_t)(qgm_conv_oh(c) * qgm_conv_ow(c) * c->co);
    b.shape = layers[layer].name, b.conv = *c, b.scratch = qgm_conv_scratch(c);
    b.in[0] = pass == 1 ? y : x, b.in[1] = pass == 2 ? y : w, b.out = pass == 0 ? y : pass == 1 ? x : w;
    b.flops = qgm_conv_flops(c), b.bytes = qgm_conv_bytes(c);
    return b;
}

size_t bench_cases(const struct bench_case **cases)
{
    static struct bench_case all[QGM_COUNT(products) + QGM_COUNT(passes) * QGM_COUNT(layers) + BENCH_STREAMS];
    size_t count = 0;
    for (size_t i = 0; i < QGM_COUNT(products); i++) all[count++] = gemm_case(i);
    for (size_t pass = 0; pass < QGM_COUNT(passes); pass++)
        for (size_t i = 0; i < QGM_COUNT(layers); i++) all[count++] = conv_case(i, pass);
    count += bench_streams(all + count);
    *cases = all;
    return count;
}
