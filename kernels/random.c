/* Streams of random numbers over Philox4x32-10. SPDX-License-Identifier: MIT */
#include "random.h"
#include "dmath.h"
#include <Random123/philox.h>
#include <math.h>

struct qgm_random qgm_random(uint64_t seed, enum qgm_purpose purpose, uint32_t client, uint32_t step)
{
    return (struct qgm_random){ .key = { (uint32_t)seed, (uint32_t)(seed >> 32) },
                                .stream = { (uint32_t)purpose, client, step } };
}

uint32_t qgm_random_u32(struct qgm_random *r)
{
    if (!r->left) {
        philox4x32_ctr_t counter = { { r->next++, r->stream[0], r->stream[1], r->stream[2] } };
        philox4x32_key_t key = { { r->key[0], r->key[1] } };
        philox4x32_ctr_t out = philox4x32(counter, key);
        for (int i = 0; i < 4; i++) r->block[i] = out.v[i];
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

uint32_t qgm_random_below(struct qgm_random *r, uint32_t n)
{
    uint64_t product = (uint64_t)qgm_random_u32(r) * n;
    if ((uint32_t)product < n) {
        uint32_t reject = -n % n; /* 2^32 mod n: the excess that would favour small values */
        while ((uint32_t)product < reject) product = (uint64_t)qgm_random_u32(r) * n;
    }
    return (uint32_t)(product >> 32);
}

float qgm_random_float(struct qgm_random *r) { return (float)(qgm_random_u32(r) >> 8) * 0x1p-24f; }

double qgm_random_double(struct qgm_random *r)
{
    uint64_t high = qgm_random_u32(r), low = qgm_random_u32(r);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

double qgm_random_normal(struct qgm_random *r)
{
    double u, v, s;
    do {
        u = 2 * qgm_random_double(r) - 1;
        v = 2 * qgm_random_double(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * qgm_log(s) / s); /* the second variate is dropped: nothing to carry between calls */
}

/* Marsaglia and Tsang's rejection for shape >= 1. */
static double gamma_at_least_one(struct qgm_random *r, double shape)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = qgm_random_normal(r), t = 1 + c * x;
        if (t <= 0) continue;
        double v = t * t * t, u = qgm_random_double(r);
        if (u > 0 && qgm_log(u) < 0.5 * x * x + d - d * v + d * qgm_log(v)) return d * v;
    }
}

double qgm_random_log_gamma(struct qgm_random *r, double shape)
{
    if (shape >= 1) return qgm_log(gamma_at_least_one(r, shape));
    /* Gamma(a) = Gamma(a+1) U^(1/a): in logarithms nothing underflows. */
    double log_g = qgm_log(gamma_at_least_one(r, shape + 1)), u;
    do u = qgm_random_double(r);
    while (u == 0);
    return log_g + qgm_log(u) / shape;
}

double qgm_random_gamma(struct qgm_random *r, double shape) { return qgm_exp(qgm_random_log_gamma(r, shape)); }

void qgm_random_shuffle(struct qgm_random *r, uint32_t *index, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = qgm_random_below(r, i), swap = index[i - 1];
        index[i - 1] = index[j];
        index[j] = swap;
    }
}
