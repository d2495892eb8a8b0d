/* How fast a graph averages: eigenvalues and the spectral norm off consensus, by LAPACK. SPDX-License-Identifier: MIT
 */
#include "graph.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 512 }; /* clients, from which on a symmetric W is not made dense without need */

static int fail_memory(struct qgm_topology *t, double numbers, struct qgm_error *err)
{
    return qgm_fail(err, QGM_SYSTEM, "out of memory: the eigenvalues of %s on %d clients need %.2f GiB",
                    qgm_topology_spec(t), qgm_topology_clients(t), numbers * sizeof(double) / (1 << 30));
}

static int fail_lapack(struct qgm_topology *t, lapack_int code, struct qgm_error *err)
{
    if (code == LAPACK_WORK_MEMORY_ERROR || code == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return fail_memory(t, pow(qgm_topology_clients(t), 2), err);
    return qgm_fail(err, QGM_SYSTEM, "LAPACK found no eigenvalues of %s on %d clients (code %d)", qgm_topology_spec(t),
                    qgm_topology_clients(t), (int)code);
}

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

/* a <- its mean over all ways to renumber the clients that leave the chances of a draw as they are. */
static void mean_over_numberings(double *a, size_t n, enum qgm_alike alike)
{
    double rest = 0;
    for (size_t d = 0; alike != QGM_AS_NUMBERED && d < n; d++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += a[i * n + (i + d) % n];
        for (size_t i = 0; i < n; i++) a[i * n + (i + d) % n] = sum / (double)n;
        rest += d ? sum / (double)n / (double)(n - 1) : 0;
    }
    for (size_t i = 0; alike == QGM_RENUMBERED && i < n; i++)
        for (size_t j = 0; j < n; j++) a[i * n + j] = i == j ? a[i * n + j] : rest;
}

/* mean <- W as expected and square <- W'W: E || (W - 11'/n) x ||^2 <= p || x ||^2 with p the largest eigenvalue of
 * E[W'W] - 11'/n. That of a mean over draws is larger, with few draws by much, since in some direction all of them
 * happen to mix badly. But clients that are alike are so as expected: that tells E[W'W] but for two numbers where all
 * are, and each draw has the same two. */
enum { FEW = 64, MANY = 2048 };
static int moments(struct qgm_topology *t, double *mean, double *square, struct qgm_error *err)
{
    size_t n = (size_t)qgm_topology_clients(t);
    enum qgm_alike alike = qgm_topology_alike(t);
    long draws = alike == QGM_RENUMBERED ? FEW : MANY;
    memset(mean, 0, n * n * sizeof *mean);
    memset(square, 0, n * n * sizeof *square);
    for (long d = 0; d < draws; d++) {
        const struct qgm_row *rows = qgm_topology_rows(t, d);
        if (!rows) return qgm_fail(err, QGM_SYSTEM, "out of memory for a draw of %s", qgm_topology_spec(t));
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < rows[i].n; k++) {
                mean[i * n + (size_t)rows[i].from[k]] += rows[i].w[k] / (double)draws;
                for (int j = 0; j < rows[i].n; j++)
                    square[(size_t)rows[i].from[k] * n + (size_t)rows[i].from[j]] +=
                        rows[i].w[k] * rows[i].w[j] / (double)draws;
            }
    }
    mean_over_numberings(mean, n, alike);
    mean_over_numberings(square, n, alike);
    return 0;
}

void qgm_spectrum_outer(const double *values, int n, bool consensus, double *lambda2, double *lambda_min)
{
    int one = n - 1;
    for (int k = n - 1; consensus && k-- > 0;)
        if (fabs(values[k] - 1) < fabs(values[one] - 1) - 1e-9) one = k;
    *lambda2 = n > 1 ? values[one < n - 1 ? n - 1 : n - 2] : 0;
    *lambda_min = values[one == 0 && n > 1];
}

/* lambda2 and lambda_min of a symmetric matrix, which is lost. */
static int eigenvalues(struct qgm_topology *t, double *a, double *values, struct qgm_spectrum *s, struct qgm_error *err)
{
    lapack_int n = qgm_topology_clients(t), code = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', n, a, n, values);
    if (code) return fail_lapack(t, code, err);
    qgm_spectrum_outer(values, n, s->row_stochastic && s->column_stochastic, &s->lambda2, &s->lambda_min);
    return 0;
}

/* The same of the symmetric part of a, which is kept. */
static int eigenvalues_of_part(struct qgm_topology *t, const double *a, double *work, double *values,
                               struct qgm_spectrum *s, struct qgm_error *err)
{
    size_t n = (size_t)qgm_topology_clients(t);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) work[i * n + j] = 0.5 * (a[i * n + j] + a[j * n + i]);
    return eigenvalues(t, work, values, s, err);
}

/* The largest |eigenvalue| of a matrix, which is lost. room: 2 n numbers. */
static int radius(struct qgm_topology *t, double *a, double *room, struct qgm_spectrum *s, struct qgm_error *err)
{
    lapack_int n = qgm_topology_clients(t);
    lapack_int code = LAPACKE_dgeev(LAPACK_ROW_MAJOR, 'N', 'N', n, a, n, room, room + n, NULL, 1, NULL, 1);
    if (code) return fail_lapack(t, code, err);
    s->radius = 0;
    for (lapack_int i = 0; i < n; i++) s->radius = fmax(s->radius, hypot(room[i], room[n + i]));
    return 0;
}

/* || a - 11'/n ||_2 */
static int norm_off_consensus(struct qgm_topology *t, double *a, double *work, double *values, double *norm,
                              struct qgm_error *err)
{
    lapack_int n = qgm_topology_clients(t);
    for (size_t i = 0; i < (size_t)n * (size_t)n; i++) a[i] -= 1.0 / n;
    lapack_int code = LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'N', 'N', n, n, a, n, values, NULL, 1, NULL, 1, work);
    if (code) return fail_lapack(t, code, err);
    *norm = values[0];
    return 0;
}

/* room: n x n numbers three times, and n. */
static int solve_dense(struct qgm_topology *t, double *room, struct qgm_spectrum *s, struct qgm_error *err)
{
    size_t n = (size_t)qgm_topology_clients(t);
    double *a = room, *work = room + n * n, *square = room + 2 * n * n, *values = room + 3 * n * n, norm = 0;
    if (!qgm_topology_period(t)) {
        QGM_TRY(moments(t, a, square, err));
        QGM_TRY(eigenvalues_of_part(t, a, work, values, s, err));
        QGM_TRY(norm_off_consensus(t, square, work, values, &norm, err));
        s->gap = 1 - sqrt(norm);
        return 0;
    }
    double *result = product(t, a, work);
    work = result == a ? work : a;
    QGM_TRY(eigenvalues_of_part(t, result, work, values, s, err));
    if (s->negative) {
        memcpy(work, result, n * n * sizeof *work);
        QGM_TRY(radius(t, work, square, s, err));
    }
    QGM_TRY(norm_off_consensus(t, result, work, values, &norm, err));
    s->gap = 1 - norm;
    return 0;
}

/* A symmetric W that stays: its rows are enough if there are many clients and few links, else one dense matrix. */
static int solve_symmetric(struct qgm_topology *t, struct qgm_spectrum *s, struct qgm_error *err)
{
    size_t n = (size_t)qgm_topology_clients(t);
    const struct qgm_row *rows = qgm_topology_rows(t, 0);
    int result = 1;
    if (n > LARGE) result = qgm_spectrum_sparse(rows, (int)n, s->row_stochastic, &s->lambda2, &s->lambda_min, err);
    if (result > 0) {
        double *a = calloc(n * n + n, sizeof *a);
        if (!a) return fail_memory(t, (double)(n * n + n), err);
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < rows[i].n; k++) {
                size_t j = (size_t)rows[i].from[k];
                a[i * n + j] += 0.5 * rows[i].w[k];
                a[j * n + i] += 0.5 * rows[i].w[k];
            }
        result = eigenvalues(t, a, a + n * n, s, err);
        free(a);
    }
    double most = fmax(fabs(s->lambda2), fabs(s->lambda_min));
    s->gap = n > 1 ? 1 - most : 1;
    if (s->negative) s->radius = s->row_stochastic ? fmax(most, 1) : most;
    return result;
}

int qgm_spectrum_solve(struct qgm_topology *t, struct qgm_spectrum *s, struct qgm_error *err)
{
    struct qgm_spectrum found = *s;
    size_t n = (size_t)qgm_topology_clients(t), numbers = 3 * n * n + n;
    if (s->symmetric && !s->time_varying)
        QGM_TRY(solve_symmetric(t, &found, err));
    else {
        double *room = malloc(numbers * sizeof *room);
        if (!room) return fail_memory(t, (double)numbers, err);
        int result = solve_dense(t, room, &found, err);
        free(room);
        QGM_TRY(result);
    }
    *s = found;
    return 0;
}
