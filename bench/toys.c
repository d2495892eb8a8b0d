/* Opening toy problems, and those that need no numbers of their own: a quadratic, two valleys, averaging.
 * SPDX-License-Identifier: MIT */
#include "toy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOYS = 16 };
static const struct qgm_toy_kind *const groups[] = { qgm_toys_plain, qgm_toys_learning };

static const struct qgm_toy_kind *nth(int n)
{
    for (size_t i = 0; i < QGM_COUNT(groups); i++)
        for (const struct qgm_toy_kind *k = groups[i]; k->name; k++)
            if (n-- == 0) return k;
    return NULL;
}

const char *const *qgm_toy_names(void)
{
    static const char *names[MAX_TOYS + 1];
    const struct qgm_toy_kind *k;
    for (int i = 0; i < MAX_TOYS && (k = nth(i)); i++) names[i] = k->name;
    return names;
}

const struct qgm_toy_kind *qgm_toy_kind(const char *spec)
{
    const struct qgm_toy_kind *k;
    for (int i = 0; (k = nth(i)); i++)
        if (qgm_spec_is(spec, k->name)) return k;
    return NULL;
}

static int fail_name(const char *spec, struct qgm_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)qgm_spec_name(spec), spec);
    const char *near = qgm_nearest(name, qgm_toy_names());
    if (near) return qgm_fail(err, QGM_USAGE, "unknown problem '%s': did you mean '%s'?", name, near);
    return qgm_fail(err, QGM_USAGE, "unknown problem '%s': --help shows all", name);
}

int qgm_toy_open(struct qgm_toy *toy, const char *spec, int clients, uint64_t seed, struct qgm_error *err)
{
    *toy = (struct qgm_toy){ .kind = qgm_toy_kind(spec), .seed = seed };
    if (!toy->kind) return fail_name(spec, err);
    toy->clients = clients ? clients : toy->kind->clients;
    QGM_TRY(qgm_spec_read(spec, "problem", toy->kind->knob, toy->knob, err));
    if (toy->kind->open(toy, err) == 0) return 0;
    qgm_toy_close(toy);
    return -1;
}

void qgm_toy_close(struct qgm_toy *toy)
{
    free(toy->data);
    free(toy->optimum);
    *toy = (struct qgm_toy){ 0 };
}

int qgm_toy_allocate(struct qgm_toy *toy, size_t dim, size_t data, struct qgm_error *err)
{
    toy->dim = dim;
    toy->data = calloc(data + 1, sizeof *toy->data);
    toy->optimum = calloc(dim, sizeof *toy->optimum);
    if (!toy->data || !toy->optimum) return qgm_fail(err, QGM_SYSTEM, "out of memory for the problem");
    return 0;
}

/* ---- f_i(x) = (x - i)^2 / 2 ---- */

static int quadratic_open(struct qgm_toy *toy, struct qgm_error *err)
{
    QGM_TRY(qgm_toy_allocate(toy, 1, 0, err));
    double n = toy->clients;
    *toy->optimum = (n - 1) / 2;
    toy->zeta2 = (n * n - 1) / 12;
    return 0;
}

static void quadratic_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    (void)toy;
    *out = *x - client;
}

static double quadratic_value(const struct qgm_toy *toy, const double *x)
{
    double d = *x - *toy->optimum;
    return d * d / 2;
}

/* ---- Two valleys, both least at (1, 1): f_i(x) = f(x) + <v_i, x>, with v_i evenly on a circle, so sum v_i = 0 ---- */

enum { ZETA2 };

static int valley_open(struct qgm_toy *toy, struct qgm_error *err)
{
    if (toy->knob[ZETA2] > 0 && toy->clients < 2)
        return qgm_fail(err, QGM_USAGE, "%s:zeta2=%g: one client alone cannot differ from the others: use --clients",
                        toy->kind->name, toy->knob[ZETA2]);
    QGM_TRY(qgm_toy_allocate(toy, 2, 0, err));
    toy->optimum[0] = toy->optimum[1] = 1;
    toy->zeta2 = toy->knob[ZETA2];
    return 0;
}

static void tilt(const struct qgm_toy *toy, int client, double *out)
{
    double angle = 2 * acos(-1) * client / toy->clients, zeta = sqrt(toy->zeta2);
    out[0] += zeta * cos(angle);
    out[1] += zeta * sin(angle);
}

/* a (1 - x)^2 + b (y - x^2)^2 */
static double valley(const double *x, double a, double b)
{
    double wall = 1 - x[0], bend = x[1] - x[0] * x[0];
    return a * wall * wall + b * bend * bend;
}

static void valley_gradient(const double *x, double a, double b, double *out)
{
    double bend = x[1] - x[0] * x[0];
    out[0] = -2 * a * (1 - x[0]) - 4 * b * x[0] * bend;
    out[1] = 2 * b * bend;
}

static void rosenbrock_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    valley_gradient(x, 1, 100, out);
    tilt(toy, client, out);
}
static double rosenbrock_value(const struct qgm_toy *toy, const double *x)
{
    (void)toy;
    return valley(x, 1, 100);
}
static void steep_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    valley_gradient(x, 100, 1, out);
    tilt(toy, client, out);
}
static double steep_value(const struct qgm_toy *toy, const double *x)
{
    (void)toy;
    return valley(x, 100, 1);
}

/* ---- Averaging: no gradient; client i starts at the i-th unit vector, so every mode has the same energy ---- */

static int consensus_open(struct qgm_toy *toy, struct qgm_error *err)
{
    QGM_TRY(qgm_toy_allocate(toy, (size_t)toy->clients, 0, err));
    free(toy->optimum);
    toy->optimum = NULL;
    return 0;
}

static void unit_vector(const struct qgm_toy *toy, int client, double *x)
{
    (void)toy;
    x[client] = 1;
}

static void no_gradient(const struct qgm_toy *toy, int client, const double *x, double *out)
{
    (void)client, (void)x;
    memset(out, 0, toy->dim * sizeof *out);
}

#define ZETA2_KNOB                                                                                                     \
    {                                                                                                                  \
        "zeta2", "how much the clients' gradients differ, exactly", 0, 0, 1e12                                         \
    }
const struct qgm_toy_kind qgm_toys_plain[] = {
    { .name = "quadratic",
      .about = "f_i = (x - i)^2 / 2 in one dimension: who keeps a bias from heterogeneous clients, and how much",
      .algos = "dsgd dsgdm-n qg-dsgdm qg-dsgdm-n gt",
      .clients = 16,
      .steps = 5000,
      .lr = 0.01,
      .open = quadratic_open,
      .gradient = quadratic_gradient,
      .value = quadratic_value },
    { .name = "rosenbrock",
      .about = "(1 - x)^2 + 100 (y - x^2)^2 from (0, 0): a bent valley",
      .algos = "dsgdm qg-dsgdm dsgdm-n qg-dsgdm-n",
      .clients = 1,
      .steps = 1500,
      .lr = 1e-3,
      .knob = { ZETA2_KNOB },
      .open = valley_open,
      .gradient = rosenbrock_gradient,
      .value = rosenbrock_value },
    { .name = "steep-valley",
      .about = "100 (1 - x)^2 + (y - x^2)^2 from (0, 0): the weights the other way round",
      .algos = "dsgdm qg-dsgdm dsgdm-n qg-dsgdm-n",
      .clients = 1,
      .steps = 500,
      .lr = 1e-3,
      .knob = { ZETA2_KNOB },
      .open = valley_open,
      .gradient = steep_gradient,
      .value = steep_value },
    { .name = "consensus",
      .about = "no gradient, every mode alike at the start; objective: how much of the consensus distance is left",
      .algos = "dsgd qg-dsgdm",
      .clients = 16,
      .steps = 400,
      .lr = 1,
      .open = consensus_open,
      .start = unit_vector,
      .gradient = no_gradient },
    { 0 },
};
