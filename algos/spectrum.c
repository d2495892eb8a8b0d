/* How fast a graph averages: eigenvalues and the spectral norm off consensus, by LAPACK. SPDX-License-Identifier: MIT
 */
#include "graph.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLED_DRAWS = 64 }; /* of a graph without a period: what counts is the mean of W'W over draws */

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

int qgm_spectrum_solve(struct qgm_topology *t, struct qgm_spectrum *s)
{
    size_t n = (size_t)qgm_topology_clients(t);
    double *room = malloc((2 * n * n + n) * sizeof *room), norm = 0;
    if (!room) return -1;
    double *a = product(t, room, room + n * n), *other = a == room ? room + n * n : room, *values = room + 2 * n * n;
    int result = eigenvalues(a, other, values, n, s);
    if (result == 0 && s->symmetric && !s->time_varying)
        norm = n > 1 ? fmax(fabs(s->lambda2), fabs(s->lambda_min)) : 0;
    else if (result == 0)
        result = norm_off_consensus(a, other, values, n, &norm);
    s->gap = 1 - norm;
    free(room);
    return result;
}
