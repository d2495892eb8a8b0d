/* Telemetry: sums over clients of one block of their rows. Compiled once per ISA, and in double.
 * SPDX-License-Identifier: MIT */
#include "block.h"
#include "pass.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Sums over clients, on `wide` vectors at a time, each row read once. Of g_i: || g_i - gbar ||^2 and || gbar ||^2: with
 * d_i = g_i - g_0 the former is sum || d_i ||^2 - n || dbar ||^2, where little cancels, since the d_i are no larger
 * than what they measure. Equal vectors give exactly 0. Of v, the state that plays the part of a momentum, unless it is
 * NULL: <v_i, g_i> and || v_i ||^2. `ahead` elements on lies what the engine needs next: arithmetic alone would leave
 * the memory idle. */
struct sums {
    vf apart, together, both[4], own[4];
};

VF_INLINE void add_column(struct sums *s, const real *g, const real *v, size_t step, size_t n, size_t ahead, int wide)
{
    vf first[4], sum[4], squares[4];
    UNROLL
    for (int a = 0; a < wide; a++) {
        first[a] = vf_load(g + a * VF);
        sum[a] = squares[a] = vf_zero();
    }
    for (size_t i = 0; i < n; i++, g += step) {
        vf gi[4];
        UNROLL
        for (int a = 0; a < wide; a++) {
            if (v) __builtin_prefetch(g + ahead + a * VF);
            gi[a] = vf_load(g + a * VF);
            vf d = vf_sub(gi[a], first[a]);
            sum[a] = vf_add(sum[a], d);
            squares[a] = vf_fma(d, d, squares[a]);
        }
        if (!v) continue;
        UNROLL
        for (int a = 0; a < wide; a++) {
            vf m = vf_load(v + a * VF);
            s->both[a] = vf_fma(m, gi[a], s->both[a]);
            s->own[a] = vf_fma(m, m, s->own[a]);
        }
        v += step;
    }
    vf count = vf_of((double)n);
    UNROLL
    for (int a = 0; a < wide; a++) {
        vf offset = vf_div(sum[a], count), centre = vf_add(first[a], offset);
        s->apart = vf_add(s->apart, vf_max(vf_fnma(sum[a], offset, squares[a]), vf_zero()));
        s->together = vf_fma(centre, centre, s->together);
    }
}

static double of_four(const vf v[4]) { return (double)vf_sum(vf_add(vf_add(v[0], v[1]), vf_add(v[2], v[3]))); }

/* Forced inline: with v and without are two loops. */
VF_INLINE void add_rows(const struct qgm_view *view, const real *g, const real *v, size_t len, double *spread,
                        double *cosine)
{
    size_t n = (size_t)view->clients, step = view->step, k = 0;
    struct sums s = { .apart = vf_zero(), .together = vf_zero() };
    for (int a = 0; a < 4; a++) s.both[a] = s.own[a] = vf_zero();
    for (; k + 4 * VF <= len; k += 4 * VF) add_column(&s, g + k, v ? v + k : NULL, step, n, view->ahead, 4);
    for (; k < len; k += VF) add_column(&s, g + k, v ? v + k : NULL, step, n, view->ahead, 1);
    spread[0] += (double)vf_sum(s.apart);
    spread[1] += (double)vf_sum(s.together);
    if (!v) return;
    cosine[0] += of_four(s.both);
    cosine[1] += of_four(s.own);
}

/* Sums are made for pieces of this many elements and added in their order, however much of a block is at hand. */
enum { PIECE = QGM_BLOCK / 4 };

void QGM_ISA(qgm_pass_observe_add)(const struct qgm_view *of, size_t len, double *out)
{
    struct qgm_view view = *of;
    for (size_t k = 0; k < len; k += PIECE) {
        size_t piece = least(len - k, PIECE);
        double *x = out + 2 * QGM_SPREAD_X, *g = out + 2 * QGM_SPREAD_G, *cosine = out + 2 * QGM_SPREAD_COSINE;
        if (view.x) add_rows(&view, view.x, NULL, piece, x, NULL);
        if (view.g && view.v) add_rows(&view, view.g, view.v, piece, g, cosine);
        if (view.g && !view.v) add_rows(&view, view.g, NULL, piece, g, NULL);
        if (view.x) view.x = (const real *)view.x + PIECE;
        if (view.g) view.g = (const real *)view.g + PIECE;
        if (view.v) view.v = (const real *)view.v + PIECE;
    }
}

void QGM_ISA(qgm_pass_observe_clear)(const struct qgm_view *view, double *out)
{
    const bool measured[QGM_SPREADS] = { view->x, view->g, view->v };
    for (int i = 0; i < 2 * QGM_SPREADS; i++)
        if (measured[i / 2]) out[i] = 0;
}

void QGM_ISA(qgm_pass_observe)(const struct qgm_view *view, size_t len, double *out)
{
    QGM_ISA(qgm_pass_observe_clear)(view, out);
    QGM_ISA(qgm_pass_observe_add)(view, len, out);
}
