/* Sums of messages. For files compiled per ISA. SPDX-License-Identifier: MIT */
#ifndef QGM_MIX_H
#define QGM_MIX_H
#include "block.h"
#include "topology.h"

/* out = sum_j w_j in_j[at ...], `wide` vectors at a time: what a neighbour costs, its address and its weight, is then
 * shared among them. */
VF_INLINE void mix_body(real *out, char *const *in, const struct qgm_row *row, int n, size_t at, size_t len, int wide)
{
    for (size_t k = 0; k < len; k += (size_t)wide * VF) {
        vf sum[4], w = vf_of(row->w[0]);
        const real *from = (const real *)in[row->from[0]] + at + k;
        UNROLL
        for (int v = 0; v < wide; v++) sum[v] = vf_mul(w, vf_load(from + v * VF));
        for (int j = 1; j < n; j++) {
            w = vf_of(row->w[j]);
            from = (const real *)in[row->from[j]] + at + k;
            UNROLL
            for (int v = 0; v < wide; v++) sum[v] = vf_fma(w, vf_load(from + v * VF), sum[v]);
        }
        UNROLL
        for (int v = 0; v < wide; v++) vf_store(out + k + v * VF, sum[v]);
    }
}

/* The same for few neighbours, their addresses and weights found once. */
enum { QGM_FEW = 5 };
VF_INLINE void mix_few(real *out, char *const *in, const struct qgm_row *row, int n, size_t at, size_t len)
{
    const real *from[QGM_FEW];
    vf w[QGM_FEW];
    UNROLL
    for (int j = 0; j < n; j++) from[j] = (const real *)in[row->from[j]] + at, w[j] = vf_of(row->w[j]);
    for (size_t k = 0; k < len; k += 4 * VF) {
        vf sum[4];
        UNROLL
        for (int v = 0; v < 4; v++) {
            sum[v] = vf_mul(w[0], vf_load(from[0] + k + v * VF));
            UNROLL
            for (int j = 1; j < n; j++) sum[v] = vf_fma(w[j], vf_load(from[j] + k + v * VF), sum[v]);
        }
        UNROLL
        for (int v = 0; v < 4; v++) vf_store(out + k + v * VF, sum[v]);
    }
}

static inline void mix(real *out, char *const *in, const struct qgm_row *row, size_t at, size_t len)
{
    if (len % (4 * VF))
        mix_body(out, in, row, row->n, at, len, 1);
    else if (row->n == 3) /* a ring */
        mix_few(out, in, row, 3, at, len);
    else if (row->n == 5) /* a torus */
        mix_few(out, in, row, 5, at, len);
    else
        mix_body(out, in, row, row->n, at, len, 4);
}

/* The same where the client's neighbours get an older message than the one it made for itself. */
static inline void mix_late(real *out, char *const *in, const struct qgm_row *row, int self, const real *own, size_t at,
                            size_t len)
{
    for (int j = 0; j < row->n; j++) {
        const real *from = row->from[j] == self ? own : (const real *)in[row->from[j]] + at;
        vf w = vf_of(row->w[j]);
        for (size_t k = 0; k < len; k += VF)
            vf_store(out + k, j ? vf_fma(w, vf_load(from + k), vf_load(out + k)) : vf_mul(w, vf_load(from + k)));
    }
}

/* Where all clients' vectors lie: at in[j], or a step apart. */
struct vectors {
    char *const *in;
    const real *first;
    size_t step;
};
VF_INLINE const real *vector_of(const struct vectors *v, int j)
{
    return v->in ? (const real *)v->in[j] : v->first + (size_t)j * v->step;
}

/* The mean of all clients' messages: ascending sum, one division. */
VF_INLINE void mean_body(real *out, const struct vectors *of, int clients, size_t at, size_t len, int wide)
{
    vf n = vf_of(clients);
    for (size_t k = 0; k < len; k += (size_t)wide * VF) {
        vf sum[4];
        const real *from = vector_of(of, 0) + at + k;
        UNROLL
        for (int v = 0; v < wide; v++) sum[v] = vf_load(from + v * VF);
        for (int j = 1; j < clients; j++) {
            from = vector_of(of, j) + at + k;
            UNROLL
            for (int v = 0; v < wide; v++) sum[v] = vf_add(sum[v], vf_load(from + v * VF));
        }
        UNROLL
        for (int v = 0; v < wide; v++) vf_store(out + k + v * VF, vf_div(sum[v], n));
    }
}

static inline void mean(real *out, const struct vectors *of, int clients, size_t at, size_t len)
{
    if (len % (4 * VF))
        mean_body(out, of, clients, at, len, 1);
    else
        mean_body(out, of, clients, at, len, 4);
}

#endif
