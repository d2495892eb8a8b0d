/* The outer eigenvalues of a symmetric W from its rows, without a dense matrix. Graphs that mix well have theirs apart
 * from the others, and the Lanczos method finds them in some tens of products with W. Graphs that mix badly because
 * they are long (a ring, a chain, a narrow torus) crowd them together, and Lanczos would take as many products as there
 * are clients; but numbered along their length they are a narrow band, which LAPACK reduces to three diagonals.
 * SPDX-License-Identifier: MIT */
#include "graph.h"
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NARROW = 4,    /* a band that wide at most is solved as a band at once */
    SHARE = 16,    /* one of n / SHARE at most, if Lanczos fails */
    PRODUCTS = 600 /* with W, at most */
};
enum { EVERY = 20 }; /* products between looks at what they gave */

/* An eigenvalue of W is known to lie so near to what is returned: the bound of qgm_needs_check allows for 1e-9. */
static const double tolerance = 1e-10;

/* ---- A band ---- */

/* Number the clients breadth first from `start` (Cuthill and McKee 1969): place[i] is i's number. Returns the one that
 * comes last, which is far from the start. */
static int number_from(const struct qgm_row *rows, int n, int start, int *place, int *queue)
{
    int tail = 0;
    for (int i = 0; i < n; i++) place[i] = -1;
    for (int head = 0, next = start; head < n; head++, next = 0) {
        while (head == tail && place[next] >= 0) next++; /* another component */
        if (head == tail) place[next] = tail, queue[tail++] = next;
        const struct qgm_row *row = &rows[queue[head]];
        for (int k = 0; k < row->n; k++)
            if (row->w[k] != 0 && place[row->from[k]] < 0) place[row->from[k]] = tail, queue[tail++] = row->from[k];
    }
    return queue[n - 1];
}

static int band_width(const struct qgm_row *rows, int n, const int *place)
{
    int width = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++)
            if (rows[i].w[k] != 0 && abs(place[i] - place[rows[i].from[k]]) > width)
                width = abs(place[i] - place[rows[i].from[k]]);
    return width;
}

static int solve_band(const struct qgm_row *rows, int n, const int *place, int width, bool row_stochastic,
                      double *lambda2, double *lambda_min)
{
    size_t step = (size_t)width + 1;
    double *band = calloc((size_t)n, (step + 2) * sizeof *band), *diagonal = band + (size_t)n * step;
    if (!band) return -1;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++) {
            int down = place[i] - place[rows[i].from[k]];
            if (rows[i].w[k] != 0 && down >= 0)
                band[(size_t)place[rows[i].from[k]] * step + (size_t)down] = rows[i].w[k];
        }
    int code =
        LAPACKE_dsbtrd(LAPACK_COL_MAJOR, 'N', 'L', n, width, band, (lapack_int)step, diagonal, diagonal + n, NULL, 1);
    if (code == 0) code = LAPACKE_dsterf(n, diagonal, diagonal + n);
    qgm_spectrum_outer(diagonal, n, row_stochastic, lambda2, lambda_min);
    free(band);
    return code ? 1 : 0;
}

/* ---- Lanczos, on vectors whose mean is 0: there W has all its eigenvalues but the 1 of consensus ---- */

struct krylov {
    size_t n;
    int most;
    double *q;            /* vectors of n numbers, orthonormal: most + 1 of them */
    double *alpha, *beta; /* W in their terms: the diagonal, and beside it */
};

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Make v orthogonal to consensus and to the first `count` vectors, then its length 1; returns what that was. Twice is
 * enough: once leaves what cancellation has left of them. */
static double settle(const struct krylov *s, double *v, int count)
{
    for (int pass = 0; pass < 2; pass++) {
        double mean = 0;
        for (size_t i = 0; i < s->n; i++) mean += v[i] / (double)s->n;
        for (size_t i = 0; i < s->n; i++) v[i] -= mean;
        for (int k = 0; k < count; k++) {
            const double *q = s->q + (size_t)k * s->n;
            double along = dot(q, v, s->n);
            for (size_t i = 0; i < s->n; i++) v[i] -= along * q[i];
        }
    }
    double length = sqrt(dot(v, v, s->n));
    for (size_t i = 0; i < s->n && length > 0; i++) v[i] /= length;
    return length;
}

/* The which-th eigenvalue of W among the first m vectors, counted from 1. W has one within *error of it (Parlett, The
 * Symmetric Eigenvalue Problem, 13.2). */
static int ritz(const struct krylov *s, int m, int which, double *value, double *error)
{
    double d[PRODUCTS], e[PRODUCTS], vector[PRODUCTS], values[PRODUCTS];
    lapack_int found, failed[PRODUCTS];
    memcpy(d, s->alpha, (size_t)m * sizeof *d);
    memcpy(e, s->beta, (size_t)m * sizeof *e);
    if (LAPACKE_dstevx(LAPACK_COL_MAJOR, 'V', 'I', m, d, e, 0, 0, which, which, 2 * DBL_MIN, &found, values, vector, m,
                       failed))
        return -1;
    *value = *values;
    *error = fabs(s->beta[m - 1] * vector[m - 1]);
    return 0;
}

/* 0; 1 if they did not come out. */
static int lanczos(const struct krylov *s, const struct qgm_row *rows, double *lambda2, double *lambda_min)
{
    struct qgm_random random = qgm_random(0, QGM_RANDOM_GRAPH, 0, 0);
    for (size_t i = 0; i < s->n; i++) s->q[i] = qgm_random_double(&random) - 0.5;
    settle(s, s->q, 0);
    for (int m = 1; m <= s->most; m++) {
        const double *q = s->q + (size_t)(m - 1) * s->n;
        double *next = s->q + (size_t)m * s->n, error[2] = { 0 };
        for (size_t i = 0; i < s->n; i++) {
            next[i] = 0;
            for (int k = 0; k < rows[i].n; k++) next[i] += rows[i].w[k] * q[rows[i].from[k]];
        }
        s->alpha[m - 1] = dot(q, next, s->n);
        s->beta[m - 1] = settle(s, next, m);
        bool complete = s->beta[m - 1] < 1e-13; /* W leads no further: nothing else is in the start */
        if (!complete && m % EVERY && m < s->most) continue;
        if (ritz(s, m, 1, lambda_min, &error[0]) < 0 || ritz(s, m, m, lambda2, &error[1]) < 0) return 1;
        if (complete || (error[0] < tolerance && error[1] < tolerance)) return 0;
    }
    return 1;
}

static int solve_lanczos(const struct qgm_row *rows, int n, double *lambda2, double *lambda_min)
{
    struct krylov s = { .n = (size_t)n, .most = PRODUCTS < n ? PRODUCTS : n - 1 };
    size_t most = (size_t)s.most;
    s.q = malloc(((most + 1) * s.n + 2 * most) * sizeof *s.q);
    if (!s.q) return -1;
    s.alpha = s.q + (most + 1) * s.n;
    s.beta = s.alpha + most;
    int result = lanczos(&s, rows, lambda2, lambda_min);
    free(s.q);
    return result;
}

int qgm_spectrum_sparse(const struct qgm_row *rows, int n, bool row_stochastic, double *lambda2, double *lambda_min,
                        struct qgm_error *err)
{
    int *place = malloc((size_t)n * 2 * sizeof *place), result = 1;
    if (!place) return qgm_fail(err, QGM_SYSTEM, "out of memory for the eigenvalues of %d clients' weights", n);
    number_from(rows, n, number_from(rows, n, 0, place, place + n), place, place + n);
    int width = band_width(rows, n, place);
    if (width > NARROW && row_stochastic) result = solve_lanczos(rows, n, lambda2, lambda_min);
    if (result > 0 && (width <= NARROW || width <= n / SHARE))
        result = solve_band(rows, n, place, width, row_stochastic, lambda2, lambda_min);
    free(place);
    if (result < 0) return qgm_fail(err, QGM_SYSTEM, "out of memory for the eigenvalues of %d clients' weights", n);
    return result;
}
