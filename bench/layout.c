/* Drawing a graph by stress majorisation (Gansner, Koren and North, GD 2004): minimise sum_ij w_ij (|| p_i - p_j || -
 * d_ij)^2 with d_ij the links between i and j and w_ij = 1 / d_ij^2, one point after the other. Starts from a circle,
 * where graphs stay that look the same turned by one client. SPDX-License-Identifier: MIT */
#include "layout.h"
#include <math.h>
#include <stdlib.h>

enum { SWEEPS = 300 };

static double least(double a, double b) { return a < b ? a : b; }

/* d: n x n, the fewest links between each two (Floyd and Warshall); n for clients that nothing joins. */
static void distances(const struct qgm_row *rows, size_t n, double *d)
{
    for (size_t k = 0; k < n * n; k++) d[k] = k % (n + 1) ? (double)n : 0;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++) {
            size_t j = (size_t)rows[i].from[k];
            if (j != i && rows[i].w[k] != 0) d[i * n + j] = d[j * n + i] = 1;
        }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) d[i * n + j] = least(d[i * n + j], d[i * n + k] + d[k * n + j]);
}

/* Where the others want client i: the mean of the points at the right distance from each, in its direction from them.
 */
static void move(size_t i, const double *d, size_t n, double *xy)
{
    double x = 0, y = 0, weights = 0;
    for (size_t j = 0; j < n; j++) {
        if (j == i) continue;
        double want = d[i * n + j], w = 1 / (want * want);
        double dx = xy[2 * i] - xy[2 * j], dy = xy[2 * i + 1] - xy[2 * j + 1], apart = sqrt(dx * dx + dy * dy);
        double scale = apart > 1e-9 ? want / apart : 0;
        x += w * (xy[2 * j] + scale * dx);
        y += w * (xy[2 * j + 1] + scale * dy);
        weights += w;
    }
    if (weights > 0) {
        xy[2 * i] = x / weights;
        xy[2 * i + 1] = y / weights;
    }
}

/* The same seen from client i as from client 0, for all i: a ring, the exponential graphs. */
static bool turns(const double *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (d[i * n + j] != d[(j + n - i) % n]) return false;
    return true;
}

/* Middle to the origin, the farthest coordinate to 1; to five decimals, none of them -0. */
static void fit(double *xy, size_t n)
{
    double low[2] = { xy[0], xy[1] }, high[2] = { xy[0], xy[1] };
    for (size_t k = 0; k < 2 * n; k++) {
        low[k % 2] = fmin(low[k % 2], xy[k]);
        high[k % 2] = fmax(high[k % 2], xy[k]);
    }
    double half = fmax(high[0] - low[0], high[1] - low[1]) / 2;
    for (size_t k = 0; k < 2 * n; k++) {
        double from_middle = half > 0 ? (xy[k] - (low[k % 2] + high[k % 2]) / 2) / half : 0;
        xy[k] = rint(from_middle * 1e5) / 1e5 + 0.0;
    }
}

int qgm_layout(const struct qgm_row *rows, int clients, double *xy, struct qgm_error *err)
{
    size_t n = (size_t)clients;
    double *d = malloc(n * n * sizeof *d), radius = clients / (2 * acos(-1.0));
    if (!d) return qgm_fail(err, QGM_SYSTEM, "out of memory for a drawing of %d clients", clients);
    distances(rows, n, d);
    for (size_t i = 0; i < n; i++) {
        double angle = 2 * acos(-1.0) * (double)i / clients;
        xy[2 * i] = radius * sin(angle);
        xy[2 * i + 1] = radius * cos(angle);
    }
    for (int sweep = 0; sweep < SWEEPS && !turns(d, n); sweep++)
        for (size_t i = 0; i < n; i++) move(i, d, n, xy);
    fit(xy, n);
    free(d);
    return 0;
}
