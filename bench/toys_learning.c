/* Toy problems that learn: least squares and logistic regression, drawn from the seed.
 * SPDX-License-Identifier: MIT */
#include "random.h"
#include "toy.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Heterogeneous least squares: f_i(x) = || A_i (x - x*) ||^2 / 2 + <v_i, x - x*> ----
 * which is || A_i x - b_i ||^2 / 2 up to a constant, with b_i = A_i x* - A_i^-T v_i. A_i = diag(s) Q_i with Q_i random
 * orthogonal; sum_i v_i = 0 puts the optimum at x*, and the v_i are scaled so that 1/n sum || v_i ||^2 is zeta2
 * exactly. (Vogels et al. 2021, appendix, reach a wanted zeta2 by bisection.) data: A_i, then v_i, of each client. */

enum { DIM, LEAST_ZETA2, LOW };

static double *matrix(const struct qgm_toy *toy, int client)
{
    return toy->data + (size_t)client * (toy->dim * toy->dim + toy->dim);
}
static double *offset(const struct qgm_toy *toy, int client) { return matrix(toy, client) + toy->dim * toy->dim; }

/* Reflect the rows of q, d x d, at the hyperplane orthogonal to a random direction. */
static void reflect(double *q, size_t d, struct qgm_random *r, double *axis)
{
    double norm2 = 0;
    for (size_t k = 0; k < d; k++) {
        axis[k] = qgm_random_normal(r);
        norm2 += axis[k] * axis[k];
    }
    for (size_t i = 0; i < d; i++) {
        double dot = 0;
        for (size_t k = 0; k < d; k++) dot += q[i * d + k] * axis[k];
        for (size_t k = 0; k < d; k++) q[i * d + k] -= 2 * dot / norm2 * axis[k];
    }
}

/* d reflections of the identity, then row k times s_k: squares evenly from `low` to 1. */
static void draw_matrix(const struct qgm_toy *toy, int client, double *axis)
{
    size_t d = toy->dim;
    double *a = matrix(toy, client), low = toy->knob[LOW];
    struct qgm_random r = qgm_random(toy->seed, QGM_RANDOM_TEST, (uint32_t)client, 0);
    for (size_t k = 0; k < d; k++) a[k * d + k] = 1;
    for (size_t k = 0; k < d; k++) reflect(a, d, &r, axis);
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < d; k++) a[i * d + k] *= sqrt(d > 1 ? low + (1 - low) * (double)i / (double)(d - 1) : 1);
    for (size_t k = 0; k < d; k++) offset(toy, client)[k] = qgm_random_normal(&r);
}

/* Mean 0, mean square zeta2. */
static void centre_offsets(const struct qgm_toy *toy)
{
    int n = toy->clients;
    double square = 0;
    for (size_t k = 0; k < toy->dim; k++) {
        double mean = 0;
        for (int i = 0; i < n; i++) mean += offset(toy, i)[k] / n;
        for (int i = 0; i < n; i++) {
            offset(toy, i)[k] -= mean;
            square += offset(toy, i)[k] * offset(toy, i)[k] / n;
        }
    }
    double scale = square > 0 ? sqrt(toy->zeta2 / square) : 0;
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < toy->dim; k++) offset(toy, i)[k] *= scale;
}

static int least_squares_open(struct qgm_toy *toy, struct qgm_error *err)
{
    size_t d = (size_t)toy->knob[DIM];
    toy->zeta2 = toy->knob[LEAST_ZETA2];
    if (toy->zeta2 > 0 && toy->clients < 2)
        return qgm_fail(err, QGM_USAGE, "least-squares:zeta2=%g: one client alone cannot differ: use zeta2=0",
                        toy->zeta2);
    QGM_TRY(qgm_toy_allocate(toy, d, (size_t)toy->clients * (d * d + d), err));
    for (int i = 0; i < toy->clients; i++) draw_matrix(toy, i, toy->optimum); /* as scratch */
    centre_offsets(toy);
    struct qgm_random r = qgm_random(toy->seed, QGM_RANDOM_TEST, 0, 1);
    double norm2 = 0;
    for (size_t k = 0; k < d; k++) {
        toy->optimum[k] = qgm_random_normal(&r);
        norm2 += toy->optimum[k] * toy->optimum[k];
    }
    for (size_t k = 0; k < d; k++) toy->optimum[k] /= sqrt(norm2); /* at distance 1 from the start */
    return 0;
}

/* (A_i (x - x*))_row */
static double residual(const struct qgm_toy *toy, int client, size_t row, const double *x)
{
    const double *a = matrix(toy, client) + row * toy->dim;
    double sum = 0;
    for (size_t k = 0; k < toy->dim; k++) sum += a[k] * (x[k] - toy->optimum[k]);
    return sum;
}

static void least_squares_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    size_t d = toy->dim;
    memcpy(out, offset(toy, client), d * sizeof *out);
    for (size_t row = 0; row < d; row++) {
        double r = residual(toy, client, row, x);
        for (size_t k = 0; k < d; k++) out[k] += r * matrix(toy, client)[row * d + k];
    }
}

static double least_squares_value(const struct qgm_toy *toy, const double *x)
{
    double sum = 0;
    for (int i = 0; i < toy->clients; i++)
        for (size_t row = 0; row < toy->dim; row++) {
            double r = residual(toy, i, row, x);
            sum += r * r / 2 / toy->clients;
        }
    return sum;
}

/* ---- Logistic regression: f_i(x) = mean_s log(1 + exp(-y_s <a_s, x>)) + l2 || x ||^2 / 2 ----
 * a_s = (y_s u + noise, 1), u a unit vector. The first half of the clients sees label 1 with probability
 * (1 + skew) / 2, the second half with (1 - skew) / 2. data: y_s a_s of each example; then scratch for the optimum. */

enum { LOGISTIC_DIM, EXAMPLES, SKEW, L2 };

static const double *examples(const struct qgm_toy *toy, int client)
{
    return toy->data + (size_t)client * (size_t)toy->knob[EXAMPLES] * toy->dim;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* log(1 + exp(-z)) without overflow, and its slope's share 1 / (1 + exp(z)). */
static double loss(double z) { return z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z; }
static double doubt(double z) { return z > 0 ? exp(-z) / (1 + exp(-z)) : 1 / (1 + exp(z)); }

static void logistic_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    size_t d = toy->dim, count = (size_t)toy->knob[EXAMPLES];
    for (size_t k = 0; k < d; k++) out[k] = toy->knob[L2] * x[k];
    for (size_t s = 0; s < count; s++) {
        const double *a = examples(toy, client) + s * d;
        double share = doubt(dot(a, x, d)) / (double)count;
        for (size_t k = 0; k < d; k++) out[k] -= share * a[k];
    }
}

static double logistic_loss(const struct qgm_toy *toy, const double *x)
{
    size_t d = toy->dim, count = (size_t)toy->knob[EXAMPLES] * (size_t)toy->clients;
    double sum = 0;
    for (size_t s = 0; s < count; s++) sum += loss(dot(toy->data + s * d, x, d)) / (double)count;
    return sum + toy->knob[L2] / 2 * dot(x, x, d);
}
static double logistic_value(const struct qgm_toy *toy, const double *x)
{
    return logistic_loss(toy, x) - logistic_loss(toy, toy->optimum);
}

/* Solve h y = g in place of g, h symmetric positive definite, by Cholesky's factors in place of h. */
static void solve(double *h, double *g, size_t d)
{
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = h[i * d + j] - dot(h + i * d, h + j * d, j);
            h[i * d + j] = i == j ? sqrt(sum) : sum / h[j * d + j];
        }
        g[i] = (g[i] - dot(h + i * d, g, i)) / h[i * d + i];
    }
    for (size_t i = d; i-- > 0;) {
        for (size_t j = i + 1; j < d; j++) g[i] -= h[j * d + i] * g[j];
        g[i] /= h[i * d + i];
    }
}

/* One step of Newton's method on f from x; returns its length. */
static double newton(const struct qgm_toy *toy, double *x, double *h, double *g)
{
    size_t d = toy->dim, count = (size_t)toy->knob[EXAMPLES] * (size_t)toy->clients;
    memset(h, 0, d * d * sizeof *h);
    for (size_t k = 0; k < d; k++) {
        h[k * d + k] = toy->knob[L2];
        g[k] = toy->knob[L2] * x[k];
    }
    for (size_t s = 0; s < count; s++) {
        const double *a = toy->data + s * d;
        double p = doubt(dot(a, x, d)), bend = p * (1 - p) / (double)count;
        for (size_t i = 0; i < d; i++) {
            g[i] -= p / (double)count * a[i];
            for (size_t k = 0; k < d; k++) h[i * d + k] += bend * a[i] * a[k];
        }
    }
    solve(h, g, d);
    for (size_t k = 0; k < d; k++) x[k] -= g[k];
    return sqrt(dot(g, g, d));
}

static void draw_examples(struct qgm_toy *toy, int client, const double *u)
{
    struct qgm_random r = qgm_random(toy->seed, QGM_RANDOM_TEST, (uint32_t)client, 2);
    double positive = (1 + (2 * client < toy->clients ? 1 : -1) * toy->knob[SKEW]) / 2;
    for (double *a = (double *)examples(toy, client); a < examples(toy, client + 1); a += toy->dim) {
        double y = qgm_random_double(&r) < positive ? 1 : -1;
        for (size_t k = 0; k < toy->dim; k++) a[k] = k + 1 < toy->dim ? u[k] + y * qgm_random_normal(&r) : y;
    }
}

static int logistic_open(struct qgm_toy *toy, struct qgm_error *err)
{
    size_t d = (size_t)toy->knob[LOGISTIC_DIM] + 1, numbers = d * (size_t)toy->knob[EXAMPLES] * (size_t)toy->clients;
    QGM_TRY(qgm_toy_allocate(toy, d, numbers + d * d + d, err));
    double *h = toy->data + numbers, *g = h + d * d, norm2 = 0;
    struct qgm_random r = qgm_random(toy->seed, QGM_RANDOM_TEST, 0, 3);
    for (size_t k = 0; k + 1 < d; k++) {
        g[k] = qgm_random_normal(&r);
        norm2 += g[k] * g[k];
    }
    for (size_t k = 0; k + 1 < d; k++) g[k] /= sqrt(norm2);
    for (int i = 0; i < toy->clients; i++) draw_examples(toy, i, g);
    double length = 1;
    for (int tries = 0; tries < 100 && length > 1e-12; tries++) length = newton(toy, toy->optimum, h, g);
    if (!(length < 1e-9))
        return qgm_fail(err, QGM_USAGE, "logistic: Newton's method finds no optimum: use a larger l2 than %g",
                        toy->knob[L2]);
    for (int i = 0; i < toy->clients; i++) {
        logistic_gradient(toy, i, toy->optimum, g);
        toy->zeta2 += dot(g, g, d) / toy->clients;
    }
    return 0;
}

const struct qgm_toy_kind qgm_toys_learning[] = {
    { .name = "least-squares",
      .about = "f_i = |A_i x - b_i|^2 / 2, curvatures from low to 1, optimum at distance 1: heterogeneity is exactly "
               "zeta2 there",
      .algos = "dsgd dsgdm-n qg-dsgdm-n gt momentum-tracking",
      .clients = 16,
      .steps = 2000,
      .lr = 0.1,
      .knob = { { "dim", "unknowns", 10, 1, 1000, true },
                { "zeta2", "how much the clients' gradients differ at the optimum, exactly", 0.1, 0, 1e12 },
                { "low", "smallest curvature", 0.1, 1e-6, 1 } },
      .open = least_squares_open,
      .gradient = least_squares_gradient,
      .value = least_squares_value },
    { .name = "logistic",
      .about = "logistic regression; half of the clients see mostly one label, half the other",
      .algos = "dsgd dsgdm-n qg-dsgdm-n gt momentum-tracking",
      .clients = 16,
      .steps = 2000,
      .lr = 0.5,
      .knob = { { "dim", "features", 10, 1, 1000, true },
                { "examples", "of a client", 50, 1, 100000, true },
                { "skew", "0: labels alike; 1: one label a client", 0.8, 0, 1 },
                { "l2", "regularisation", 0.01, 1e-6, 100 } },
      .open = logistic_open,
      .gradient = logistic_gradient,
      .value = logistic_value },
    { 0 },
};
