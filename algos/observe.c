/* Telemetry: sums over clients of one block of their rows. Compiled once per ISA, and in double.
 * SPDX-License-Identifier: MIT */
#include "observe.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Some clients, and what comes of their sums on the way through a strip. */
struct some {
    const struct qgm_view *view;
    struct qgm_sums *sums;
    int kind, from, to; /* kind: 0 x, 1 g */
    vf apart, together, both[4], own[4];
};

/* Sums over clients, on `wide` vectors at a time, each row read once. Of g_i: || g_i - gbar ||^2 and || gbar ||^2: with
 * d_i = g_i - g_0, g_0 of the client that comes first, the former is sum || d_i ||^2 - n || dbar ||^2, where little
 * cancels, since the d_i are no larger than what they measure. Equal vectors give exactly 0. Of v, the state that plays
 * the part of a momentum, unless it is NULL: <v_i, g_i> and || v_i ||^2. What is ahead is fetched meanwhile: arithmetic
 * alone would leave the memory idle. */
VF_INLINE void add_column(struct some *s, const real *g, const real *v, size_t k, int wide)
{
    const struct qgm_view *view = s->view;
    real *firsts = s->sums->first[s->kind] + k, *sums = s->sums->sum[s->kind] + k;
    real *squared = s->sums->squares[s->kind] + k;
    vf first[4], sum[4], squares[4];
    UNROLL
    for (int a = 0; a < wide; a++) {
        first[a] = s->from ? vf_load(firsts + a * VF) : vf_zero();
        sum[a] = s->from ? vf_load(sums + a * VF) : vf_zero();
        squares[a] = s->from ? vf_load(squared + a * VF) : vf_zero();
    }
    for (int i = s->from; i < s->to; i++) {
        size_t at = (size_t)(view->order ? view->order[i] : i) * view->step + k;
        vf gi[4];
        UNROLL
        for (int a = 0; a < wide; a++) {
            gi[a] = vf_load(g + at + a * VF);
            if (i == 0) first[a] = gi[a];
            vf d = vf_sub(gi[a], first[a]);
            sum[a] = vf_add(sum[a], d);
            squares[a] = vf_fma(d, d, squares[a]);
        }
        if (!v) continue;
        UNROLL
        for (int a = 0; a < wide; a++) {
            vf m = vf_load(v + at + a * VF);
            s->both[a] = vf_fma(m, gi[a], s->both[a]);
            s->own[a] = vf_fma(m, m, s->own[a]);
        }
    }
    vf share = vf_of(1.0 / (double)view->clients);
    UNROLL
    for (int a = 0; a < wide; a++) {
        if (s->to < view->clients) {
            vf_store(firsts + a * VF, first[a]);
            vf_store(sums + a * VF, sum[a]);
            vf_store(squared + a * VF, squares[a]);
            continue;
        }
        vf offset = vf_mul(sum[a], share), centre = vf_add(first[a], offset);
        s->apart = vf_add(s->apart, vf_max(vf_zero(), vf_fnma(sum[a], offset, squares[a])));
        s->together = vf_fma(centre, centre, s->together);
    }
}

static double of_four(const vf v[4]) { return (double)vf_sum(vf_add(vf_add(v[0], v[1]), vf_add(v[2], v[3]))); }

/* Forced inline: with v and without are two loops. */
VF_INLINE void add_rows(struct some *s, const real *g, const real *v, size_t len, double *out)
{
    size_t k = 0;
    s->apart = s->together = vf_zero();
    for (int a = 0; v && a < 4; a++) {
        s->both[a] = s->from ? vf_load(s->sums->both + a * VF) : vf_zero();
        s->own[a] = s->from ? vf_load(s->sums->own + a * VF) : vf_zero();
    }
    for (; k + 4 * VF <= len; k += 4 * VF) {
        add_column(s, g, v, k, 4);
        if (s->view->meanwhile) s->view->meanwhile(s->view->user);
    }
    for (; k < len; k += VF) add_column(s, g, v, k, 1);
    if (s->to < s->view->clients) {
        for (int a = 0; v && a < 4; a++) {
            vf_store(s->sums->both + a * VF, s->both[a]);
            vf_store(s->sums->own + a * VF, s->own[a]);
        }
        return;
    }
    double *spread = out + 2 * (s->kind ? QGM_SPREAD_G : QGM_SPREAD_X), *cosine = out + 2 * QGM_SPREAD_COSINE;
    spread[0] += (double)vf_sum(s->apart);
    spread[1] += (double)vf_sum(s->together);
    if (!v) return;
    cosine[0] += of_four(s->both);
    cosine[1] += of_four(s->own);
}

void QGM_ISA(qgm_pass_observe_some)(const struct qgm_view *view, struct qgm_sums *sums, int from, int to, size_t len,
                                    double *out)
{
    struct some s; /* add_rows sets the sums: clearing them here too takes as long as a few clients */
    s.view = view, s.sums = sums, s.kind = 0, s.from = from, s.to = to;
    if (view->x) add_rows(&s, view->x, NULL, len, out);
    s.kind = 1;
    if (view->g && view->v) add_rows(&s, view->g, view->v, len, out);
    if (view->g && !view->v) add_rows(&s, view->g, NULL, len, out);
}

void QGM_ISA(qgm_pass_observe_clear)(const struct qgm_view *view, double *out)
{
    const bool measured[QGM_SPREADS] = { view->x, view->g, view->v };
    for (int i = 0; i < 2 * QGM_SPREADS; i++)
        if (measured[i / 2]) out[i] = 0;
}

void QGM_ISA(qgm_pass_observe)(const struct qgm_view *of, size_t len, double *out)
{
    struct qgm_view view = *of;
    struct qgm_sums sums;
    QGM_ISA(qgm_pass_observe_clear)(&view, out);
    for (size_t k = 0; k < len; k += QGM_STRIP) {
        for (int i = 0, next; i < view.clients; i = next) {
            next = (int)least((size_t)i + QGM_WATCH_CLIENTS, (size_t)view.clients);
            QGM_ISA(qgm_pass_observe_some)(&view, &sums, i, next, least(len - k, QGM_STRIP), out);
        }
        if (view.x) view.x = (const real *)view.x + QGM_STRIP;
        if (view.g) view.g = (const real *)view.g + QGM_STRIP;
        if (view.v) view.v = (const real *)view.v + QGM_STRIP;
    }
}
