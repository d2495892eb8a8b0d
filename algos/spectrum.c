/* How fast a graph averages: eigenvalues and the spectral norm off consensus, by LAPACK. SPDX-License-Identifier: MIT
 */
#include "graph.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLED_DRAWS = 64 }; /* of a graph without a period */

/* out = W in, for dense n x n matrices in and out and W given by rows. */
static void multiply(const struct qgm_row *rows, size_t n, const double *in, double *out)
{
    memset(out, 0, n * n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++) {
            const double *from = in + (size_t)rows[i].from[k] * n;
            for (size_t j = 0; j < n; j++) out[i * n + j] += rows[i].w[k] * from[j];
        }
}

/* a <- the product of a period's matrices, the last on the left. b is room for another. */
static double *product(struct qgm_topology *t, double *a, double *b)
{
    size_t n = (size_t)qgm_topology_clients(t);
    memset(a, 0, n * n * sizeof *a);
    for (size_t i = 0; i < n; i++) a[i * n + i] = 1;
    for (int d = 0; d < qgm_topology_period(t); d++) {
        multiply(qgm_topology_rows(t, d), n, a, b);
        double *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

/* mean <- mean of W and square <- mean of W'W over draws: E || (W - 11'/n) x ||^2 <= p || x ||^2 with p the largest
 * eigenvalue of E[W'W] - 11'/n. */
static void moments(struct qgm_topology *t, double *mean, double *square)
{
    size_t n = (size_t)qgm_topology_clients(t);
    memset(mean, 0, n * n * sizeof *mean);
    memset(square, 0, n * n * sizeof *square);
    for (long d = 0; d < SAMPLED_DRAWS; d++) {
        const struct qgm_row *rows = qgm_topology_rows(t, d);
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < rows[i].n; k++) {
                mean[i * n + (size_t)rows[i].from[k]] += rows[i].w[k] / SAMPLED_DRAWS;
                for (int j = 0; j < rows[i].n; j++)
                    square[(size_t)rows[i].from[k] * n + (size_t)rows[i].from[j]] +=
                        rows[i].w[k] * rows[i].w[j] / SAMPLED_DRAWS;
            }
    }
}

/* Second largest and smallest eigenvalue of the symmetric part of a. */
static int eigenvalues(const double *a, double *work, double *values, size_t n, struct qgm_spectrum *s)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) work[i * n + j] = 0.5 * (a[i * n + j] + a[j * n + i]);
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'N', 'U', (lapack_int)n, work, (lapack_int)n, values) != 0) return -1;
    s->lambda_min = values[0];
    s->lambda2 = n > 1 ? values[n - 2] : 0;
    return 0;
}

/* || a - 11'/n ||_2 */
static int norm_off_consensus(double *a, double *work, double *values, size_t n, double *norm)
{
    double *rest = work;
    for (size_t i = 0; i < n * n; i++) a[i] -= 1.0 / (double)n;
    if (LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'N', 'N', (lapack_int)n, (lapack_int)n, a, (lapack_int)n, values, NULL, 1,
                       NULL, 1, rest) != 0)
        return -1;
    *norm = values[0];
    return 0;
}

/* room: n x n numbers three times, and n. */
static int solve(struct qgm_topology *t, double *room, struct qgm_spectrum *s)
{
    size_t n = (size_t)qgm_topology_clients(t);
    double *a = room, *work = room + n * n, *square = room + 2 * n * n, *values = room + 3 * n * n, norm = 0;
    if (!qgm_topology_period(t)) {
        moments(t, a, square);
        QGM_TRY(eigenvalues(a, work, values, n, s));
        QGM_TRY(norm_off_consensus(square, work, values, n, &norm));
        s->gap = 1 - sqrt(norm);
        return 0;
    }
    double *result = product(t, a, work);
    work = result == a ? work : a;
    QGM_TRY(eigenvalues(result, work, values, n, s));
    if (s->symmetric && !s->time_varying)
        norm = n > 1 ? fmax(fabs(s->lambda2), fabs(s->lambda_min)) : 0;
    else
        QGM_TRY(norm_off_consensus(result, work, values, n, &norm));
    s->gap = 1 - norm;
    return 0;
}

int qgm_spectrum_solve(struct qgm_topology *t, struct qgm_spectrum *s)
{
    size_t n = (size_t)qgm_topology_clients(t);
    double *room = malloc((3 * n * n + n) * sizeof *room);
    if (!room) return -1;
    int result = solve(t, room, s);
    free(room);
    return result;
}
