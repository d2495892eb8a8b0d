/* What qgm-bench-kernels measures: the matrix of kernels and shapes. SPDX-License-Identifier: MIT */
#ifndef QGM_KERNELS_CASES_H
#define QGM_KERNELS_CASES_H
#include "kernels.h"

/* One kernel on one shape. Operands are shared by all cases of a kernel and hold small random numbers. */
struct bench_case {
    const char *kernel, *shape;
    struct qgm_gemm gemm;
    struct qgm_conv conv;
    struct qgm_pool pool;
    int rows, cols;
    size_t n; /* elements */
    /* Floats of the two inputs and the output, and bytes of scratch. */
    size_t in[2], out, scratch;
    double flops, bytes;
    /* Once, before the first run; NULL where nothing is to be prepared. */
    void (*prepare)(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out,
                    void *scratch);
    void (*run)(const struct bench_case *c, const struct qgm_kernels *k, float *const in[2], float *out, void *scratch);
    /* What out[i] should be, computed in double from the definition, and the sum of the absolute values of its terms.
     */
    double (*exact)(const struct bench_case *c, float *const in[2], size_t i, double *size);
};

size_t bench_cases(const struct bench_case **cases);
/* Those of kernels_streams.c, at most BENCH_STREAMS. */
enum { BENCH_STREAMS = 128 };
size_t bench_streams(struct bench_case *cases);

#endif
