/* Numbers on raw arrays. One table of functions an ISA; all tables give the same bits.
 *
 * Conventions. Arrays are float32, dense, C order: images N,H,W,C; matrices row-major. Sizes in elements unless a name
 * says bytes. Kernels never allocate, print or fail: sizes are asserted. Inputs and outputs do not overlap unless
 * "in place" is said. Pointers need 4-byte alignment only. Nothing is read or written outside the arrays. Zero sizes
 * are allowed and do nothing. NaN and infinity propagate as in the naive loop.
 * "Order" says which sequence of roundings makes each output, the part of a contract that bit-equality rests on.
 * `scratch` is 64-byte aligned and holds the number of bytes the matching query returns.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_KERNELS_H
#define QGM_KERNELS_H
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A chain of n terms errs as the square root of n does, so long sums are cut: terms that lie in `rows` rows of `terms`
 * each go through chains of `join` whole rows or, where one row is too long, of `length` of its terms, as even as can
 * be. The first chain starts where the sum does, each later one from 0, and is added to what was there. */
enum { QGM_CHAIN = 768 };
struct qgm_cut {
    int join, length; /* both >= 1 */
};
static inline struct qgm_cut qgm_cut(int terms, int most)
{
    if (terms < 1) terms = 1;
    int parts = (terms + most - 1) / most;
    return (struct qgm_cut){ parts > 1 ? 1 : most / terms, (terms + parts - 1) / parts };
}

/* c = op(a) op(b) + beta c [+ bias] [then relu].  c is m x n, op(a) m x k, op(b) k x n; op transposes when ta / tb is
 * set, so a is k x m in memory when ta. Leading dimensions are row strides in floats. beta is 0 (c need not be
 * initialised) or 1. bias: n floats added to every row, or NULL.
 * Order: each c[i][j] is a chain of fma over p = 0..k-1 that starts from c[i][j] (beta 1), else bias[j], else 0
 * (beta 1 with a bias: bias is added last); more than QGM_CHAIN terms are cut. So the result does not depend on
 * tile sizes. */
struct qgm_gemm {
    int m, n, k;
    bool ta, tb;
    const float *a;
    int lda;
    const float *b;
    int ldb;
    float beta;
    float *c;
    int ldc;
    const float *bias;
    bool relu;
};
size_t qgm_gemm_scratch(const struct qgm_gemm *g); /* bytes, of every ISA, and enough for a smaller m or k too */

/* A batch of n images of h x w x ci, convolved with co filters of kh x kw: x is n,h,w,ci; y is n,oh,ow,co with
 * oh = (h + 2 pad - kh) / stride + 1; weights are kh,kw,ci,co (PyTorch's co,ci,kh,kw with axes moved).
 * forward:          y = x * w + bias, then max(0, .) when relu. bias: co floats, or NULL.
 *   Order: an fma chain over (ky, kx, ci) ascending from bias[co] or 0; taps in the padding are skipped. It is cut to
 *   QGM_CHAIN terms: rows are those of the kernel inside the image, terms the (kx, ci) inside it.
 * backward_data:    dx = gradient with respect to x. Order: as forward's, over (oy, ox, co) ascending from 0.
 * Where qgm_conv_winograd(), these two go through winograd.h, which has their order (bias or 0 is added last). There a
 * NaN or infinity reaches the whole tile of 4 x 4 outputs that reads it, as NaN. Error: against a chain's, twice in the
 * mean; at most (ci + 22) 2^-24 times the same sums over absolute values, which are some 40 times those of a chain.
 * backward_weights: dw += gradient with respect to w. Order: images in groups of qgm_conv_group(); in each one chain
 * over (n, oy, ox) ascending from 0; the groups' sums are added to dw in ascending order. Where qgm_conv_merges(),
 * columns ox that see the same kernel columns go together: the chain runs over (stretch of columns, n, oy, ox). Where
 * qgm_conv_winograd_weights(), it goes through winograd.h, in chains of 64 tiles of 4 x 4 outputs; error as above, with
 * (64 + tiles / 64 + 22) for (ci + 22). A NaN or infinity then reaches all taps of its channels. */
struct qgm_conv {
    int n, h, w, ci, co, kh, kw, stride, pad;
};
static inline int qgm_conv_oh(const struct qgm_conv *c) { return (c->h + 2 * c->pad - c->kh) / c->stride + 1; }
static inline int qgm_conv_ow(const struct qgm_conv *c) { return (c->w + 2 * c->pad - c->kw) / c->stride + 1; }
/* As many images as make a chain of at most 1024 pixels, at least one: chains long enough to be fast, short enough to
 * be accurate. */
static inline int qgm_conv_group(const struct qgm_conv *c)
{
    int pixels = qgm_conv_oh(c) * qgm_conv_ow(c);
    return pixels < 1024 ? 1024 / pixels : 1;
}
/* Shapes that Winograd's form computes faster: known from the layer alone, so that an image's outputs do not depend on
 * the batch it is in. At least half of the outputs of its tiles must lie in the image. */
static inline bool qgm_conv_winograd(const struct qgm_conv *c)
{
    if (c->kh != 3 || c->kw != 3 || c->stride != 1 || c->pad > 2 || c->ci < 16 || c->co < 16) return false;
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c), tiles = (oh + 3) / 4 * ((ow + 3) / 4);
    return oh * ow >= 8 * tiles && c->h * c->w >= 8 * ((c->h + 3) / 4 * ((c->w + 3) / 4));
}
/* The same for backward_weights: its 36 sums of ci x co are many times the weights, and must not cost more to go
 * through than the products save. */
static inline bool qgm_conv_winograd_weights(const struct qgm_conv *c)
{
    double tiles = (double)c->n * ((qgm_conv_oh(c) + 3) / 4) * ((qgm_conv_ow(c) + 3) / 4);
    return qgm_conv_winograd(c) && (double)c->ci * c->co <= 2048 * tiles;
}
/* Too few input channels to fill a tile with one tap: backward_weights takes a row of taps together. */
static inline bool qgm_conv_merges(const struct qgm_conv *c) { return c->ci < 8 && c->kw > 1; }
/* Small images of many channels: backward_weights first copies the pixels it multiplies next to each other. */
static inline bool qgm_conv_gathers(const struct qgm_conv *c)
{
    return c->ci >= 128 && c->co >= 128 && qgm_conv_oh(c) * qgm_conv_ow(c) <= 256;
}
size_t qgm_conv_scratch(const struct qgm_conv *c); /* bytes, of all three passes, every ISA and every smaller n */
double qgm_conv_flops(const struct qgm_conv *c);   /* of one pass: 2 n oh ow kh kw ci co */
double qgm_conv_bytes(const struct qgm_conv *c);   /* x, w and y once each */

/* Windows of k x k every `stride` pixels, `pad` pixels of border that never win a maximum and count as absent in an
 * average. x is n,h,w,c; y is n,oh,ow,c. argmax: one byte an output, ky * k + kx of the first maximum (k <= 15).
 * maxpool: a NaN in the window wins only if it comes first. Backward passes overwrite dx; where windows overlap,
 * gradients are added in ascending order of (oy, ox). */
struct qgm_pool {
    int n, h, w, c, k, stride, pad;
};
static inline int qgm_pool_oh(const struct qgm_pool *p) { return (p->h + 2 * p->pad - p->k) / p->stride + 1; }
static inline int qgm_pool_ow(const struct qgm_pool *p) { return (p->w + 2 * p->pad - p->k) / p->stride + 1; }
double qgm_pool_bytes(const struct qgm_pool *p);

/* Norms, one table of per-channel vectors over rows x c values (rows: the pixels of one image, or of a whole batch):
 *   norm_forward:  y = f(x) scale + shift [+ residual] [then relu], f(x) = x - mean, or x sigmoid(x) when swish.
 *                  In place on x or residual allowed.
 *   norm_sums:     where relu, dy becomes dz: 0 where y is not positive. To sums[j] is added the sum over rows of dz,
 *                  to sums[c + j] that of dz f(x), in double. When swish, dx = dz f'(x), which costs little here.
 *                  dx may be dy.
 *   norm_backward: dx = g scale + slope (x - mean) + offset, g being dz, or what norm_sums left in dx when swish.
 *                  In place on g allowed.
 *   norm_moments:  to sums[j] is added the sum over rows of d, to sums[c + j] that of d^2, d = x - origin: a row of the
 *                  data, so that nothing cancels.
 * y is read only when relu, dx written by norm_sums only when swish. Order of the sums: chunks of 128 rows; in each,
 * row r goes to chain r mod 4, the chains are added as (0 + 1) + (2 + 3), and the chunks in double, ascending. */
struct qgm_norm {
    size_t rows;
    int c;
    bool swish, relu;
    const float *mean, *scale; /* c floats each */
    const float *shift;        /* forward */
    const float *slope;        /* backward */
    const float *offset;       /* backward */
};

/* Transformer encoders
 * layernorm_forward:     y = (x - mean) rstd gamma + beta, row by row, rstd = 1 / sqrt(variance + epsilon), the biased
 *                        one; stats: mean and rstd of every row, or NULL. In place allowed.
 * layernorm_backward:    dx from dy; dgamma and dbeta are added to, row by row. In place on dy allowed.
 * gelu_forward:          y = x (1 + erf(x / sqrt 2)) / 2. In place allowed.
 * gelu_backward:         dx = dy times its derivative at x. In place on x or dy allowed.
 * softmax_rows:          in place, x = softmax(scale x) over the first `live` >= 1 of cols; the others become 0.
 *                        scale >= 0.
 * softmax_rows_backward: in place on dy, dy = scale y (dy - sum(y dy)), y being the output of softmax_rows.
 * Order of row sums: 16 lanes, element 16 i + l in lane l. softmax: one chain, ascending i; layernorm: four, i in chain
 * i % 4, added as (0 + 1) + (2 + 3). Then the tree of vf_sum. */
struct qgm_layernorm {
    size_t rows;
    int c;
    double epsilon;
    const float *gamma, *beta; /* beta: forward only */
};

/* Rows and elements
 * add_bias:      y[r][c] += bias[c].
 * sum_rows:      db[c] += sum over rows of dy[r][c]. Order: rows in chunks of 256, each summed ascending from 0, chunks
 *                added ascending.
 * relu_forward:  y = x > 0 ? x : 0. In place allowed.
 * relu_backward: dx = y > 0 ? dy : 0, y being the output of forward. In place on dy allowed.
 * add:           y = a + b. In place allowed.
 * softmax_xent:  returns the sum over rows of the cross-entropy between softmax(logits) and the labels in 0..classes-1,
 *                the target being (1 - smoothing) on the label and smoothing / classes everywhere; when dlogits is not
 *                NULL, dlogits = scale * (softmax - target). In place on logits allowed. Order of sums: 16
 *                lanes, element 16 i + l in lane l, in chains of 1024 classes that are added up.
 *
 * Functions
 * exp, log, tanh, sigmoid, erf: y = f(x), in place allowed, at most 2 ulp from the real value. NaN gives NaN, log of a
 *                negative number too; overflow gives infinity; subnormal arguments and results are honoured.
 *
 * Block operations
 * mix:           out = sum_j w[j] in[j], j ascending: w[0] in[0], then fma. out may be in[j] of any j.
 * axpy:          y = a x + y (fma). x may be y.
 * dot:           sum a b;  distance2: sum (a - b)^2. Order: blocks of 1024 elements, each summed in 16 lanes (element
 *                16 i + l in lane l, ascending i, fma) and down the tree of vf_sum; block sums added in double. */

/* The table of one ISA. Chosen once a process; fetch it once and keep the pointer. */
struct qgm_kernels {
    const char *isa; /* "scalar", "avx2", "avx512", "neon"; a backend's name where one replaces rows */
#define QGM_KERNEL(name, result, arguments, flops, bytes) result(*name) arguments;
#include "kernels.def"
#undef QGM_KERNEL
};

/* The table in use: the best this CPU runs, unless $QGM_ISA or qgm_kernels_use() chose another. Never NULL. */
const struct qgm_kernels *qgm_kernels(void);
/* The table of that name, or NULL where it is not built or this CPU lacks it. "auto" is the best. */
const struct qgm_kernels *qgm_kernels_named(const char *isa);
/* Choose before first use; NULL means $QGM_ISA, else "auto". An unknown or missing ISA is a QGM_USAGE error. */
int qgm_kernels_use(const char *isa, struct qgm_error *err);
/* Whose matrix products and convolutions the table in use has from now on: "qgm", ours, or "onednn", the library's,
 * which is outside the promise of equal bits. Call after qgm_kernels_use(). A QGM_USAGE error where it was not built.
 */
int qgm_kernels_backend(const char *name, struct qgm_error *err);
/* NULL-terminated names, worst first: what is compiled in, and what of it this CPU runs. */
const char *const *qgm_isas_built(void);
const char *const *qgm_isas_usable(void);

#ifdef __cplusplus
}
#endif
#endif
