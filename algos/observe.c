/* Telemetry: sums over clients of one block of their rows. Compiled once per ISA, and in double.
 * SPDX-License-Identifier: MIT */
#include "block.h"
#include "pass.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Sum over clients of || v_i - vbar ||^2 and || vbar ||^2, on one block, each row read once: with d_i = v_i - v_0 the
 * former is sum || d_i ||^2 - n || dbar ||^2, where little cancels, since the d_i are no larger than what they measure.
 * Equal vectors give exactly 0. */
static void spread(const real *v, const struct qgm_view *view, size_t len, double out[2])
{
    size_t n = (size_t)view->clients, step = view->step;
    vf count = vf_of((double)n), apart = vf_zero(), together = vf_zero();
    for (size_t k = 0; k < len; k += VF) {
        vf first = vf_load(v + k), sum = vf_zero(), squares = vf_zero();
        for (size_t i = 1; i < n; i++) {
            vf d = vf_sub(vf_load(v + k + i * step), first);
            sum = vf_add(sum, d);
            squares = vf_fma(d, d, squares);
        }
        vf offset = vf_div(sum, count), centre = vf_add(first, offset);
        apart = vf_add(apart, vf_max(vf_fnma(sum, offset, squares), vf_zero()));
        together = vf_fma(centre, centre, together);
    }
    out[0] = (double)vf_sum(apart);
    out[1] = (double)vf_sum(together);
}

/* Sums over clients of <v, g> and || v ||^2, where v is the state that plays the part of a momentum. Every fourth
 * vector has the same accumulator: one for all would wait for itself. */
static void cosine(const struct qgm_view *view, size_t len, double out[2])
{
    vf both[4] = { vf_zero(), vf_zero(), vf_zero(), vf_zero() }, own[4] = { both[0], both[0], both[0], both[0] };
    for (size_t i = 0; i < (size_t)view->clients; i++) {
        const real *v = (const real *)view->v + i * view->step, *g = (const real *)view->g + i * view->step;
        size_t k = 0;
        for (; k + 4 * VF <= len; k += 4 * VF) UNROLL
        for (size_t a = 0; a < 4; a++) {
            vf m = vf_load(v + k + a * VF);
            both[a] = vf_fma(m, vf_load(g + k + a * VF), both[a]);
            own[a] = vf_fma(m, m, own[a]);
        }
        for (size_t a = 0; k < len; k += VF, a++) {
            vf m = vf_load(v + k);
            both[a] = vf_fma(m, vf_load(g + k), both[a]);
            own[a] = vf_fma(m, m, own[a]);
        }
    }
    out[0] = (double)vf_sum(vf_add(vf_add(both[0], both[1]), vf_add(both[2], both[3])));
    out[1] = (double)vf_sum(vf_add(vf_add(own[0], own[1]), vf_add(own[2], own[3])));
}

/* Sums are made for pieces of this many elements and added in their order, however much of a block is at hand. */
enum { PIECE = QGM_BLOCK / 4 };

void QGM_ISA(qgm_pass_observe_add)(const struct qgm_view *of, size_t len, double *out)
{
    struct qgm_view view = *of;
    for (size_t k = 0; k < len; k += PIECE) {
        double sum[2 * QGM_SPREADS] = { 0 };
        size_t piece = least(len - k, PIECE);
        if (view.x) spread(view.x, &view, piece, sum + 2 * QGM_SPREAD_X);
        if (view.g) spread(view.g, &view, piece, sum + 2 * QGM_SPREAD_G);
        if (view.v) cosine(&view, piece, sum + 2 * QGM_SPREAD_COSINE);
        for (int i = 0; i < 2 * QGM_SPREADS; i++) out[i] += sum[i];
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
