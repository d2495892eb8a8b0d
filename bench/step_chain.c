/* Nesterov quasi-global momentum as a chain of plain passes, one kernel call an operation: what a step costs without
 * fusion. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "progress.h"
#include "step.h"
#include <stdlib.h>
#include <string.h>

static size_t stride_of(size_t dim) { return qgm_pad16(dim) + 16; }
size_t qgm_chain_bytes(int n, size_t dim) { return qgm_piece(5 * (size_t)n * stride_of(dim), sizeof(float)); }

int qgm_chain_open(struct qgm_chain *c, int n, size_t dim, struct qgm_topology *topology, int threads)
{
    size_t stride = stride_of(dim);
    *c = (struct qgm_chain){ .n = n, .dim = dim, .rows = qgm_topology_rows(topology, 0) };
    for (int i = 0; i < n; i++)
        if (c->rows[i].n > QGM_CHAIN_NEIGHBOURS) return -1;
    c->x = malloc(5 * (size_t)n * sizeof *c->x);
    if (!c->x || qgm_arena_open(&c->memory, qgm_chain_bytes(n, dim), NULL) < 0) {
        qgm_chain_close(c);
        return -1;
    }
    float *rows = qgm_take(&c->memory, 5 * (size_t)n * stride, sizeof(float));
    c->m = c->x + n;
    c->g = c->m + n;
    c->u = c->g + n;
    c->half = c->u + n;
    for (int i = 0; i < 5 * n; i++) c->x[i] = rows + (size_t)i * stride;
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < 5 * n; i++)
        for (size_t k = 0; k < dim; k++) c->x[i][k] = 0.001f * (float)(k % 100);
    return 0;
}

void qgm_chain_close(struct qgm_chain *c)
{
    qgm_arena_close(&c->memory);
    free(c->x);
}

static void chain_client(const struct qgm_chain *c, const struct qgm_kernels *kernels, int i)
{
    float *u = c->u[i], *half = c->half[i];
    size_t bytes = c->dim * sizeof(float);
    kernels->axpy(1e-4f, c->x[i], c->g[i], c->dim); /* g += wd x */
    memcpy(u, c->g[i], bytes);
    kernels->axpy(0.9f, c->m[i], u, c->dim); /* u = g + beta m */
    memcpy(half, c->g[i], bytes);
    kernels->axpy(0.9f, u, half, c->dim); /* d = g + beta u */
    memcpy(u, c->x[i], bytes);
    kernels->axpy(-0.1f, half, u, c->dim); /* u = x - lr d */
}

static void chain_mix(const struct qgm_chain *c, const struct qgm_kernels *kernels, int i)
{
    const struct qgm_row *row = &c->rows[i];
    const float *in[QGM_CHAIN_NEIGHBOURS];
    float w[QGM_CHAIN_NEIGHBOURS], *half = c->half[i];
    for (int k = 0; k < row->n; k++) {
        in[k] = c->u[row->from[k]];
        w[k] = (float)row->w[k];
    }
    kernels->mix(half, in, w, row->n, c->dim);
    kernels->axpy(-1, half, c->x[i], c->dim);       /* x - x' */
    kernels->axpy(-0.1f, c->m[i], c->m[i], c->dim); /* m *= mu */
    kernels->axpy(1, c->x[i], c->m[i], c->dim);     /* m += (1 - mu) (x - x') / lr */
    memcpy(c->x[i], half, c->dim * sizeof(float));
}

double qgm_chain_step(const struct qgm_chain *c, int threads)
{
    const struct qgm_kernels *kernels = qgm_kernels();
    double begin = qgm_seconds();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int i = 0; i < c->n; i++) chain_client(c, kernels, i);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int i = 0; i < c->n; i++) chain_mix(c, kernels, i);
    return qgm_seconds() - begin;
}
