/* Simulated time. SPDX-License-Identifier: MIT */
#include "network.h"
#include "random.h"
#include "spec.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LATENCY, BANDWIDTH, STEP, SPREAD, KNOBS };
static const struct {
    const char *name;
    double latency_us, mbit_s;
} networks[] = {
    { "infiniband", 2, 100000 }, { "ethernet", 30, 10000 }, { "wan", 20000, 1000 }, { "edge", 50000, 50 }
};

static int find(const char *spec, struct qgm_knob knobs[KNOBS + 1], struct qgm_error *err)
{
    const char *names[QGM_COUNT(networks) + 2] = { "off" };
    for (size_t i = 0; i < QGM_COUNT(networks); i++) {
        names[i + 1] = networks[i].name;
        if (!qgm_spec_is(spec, networks[i].name)) continue;
        knobs[LATENCY] = (struct qgm_knob){ "latency-us", "", networks[i].latency_us, 0, 1e9, false, NULL };
        knobs[BANDWIDTH] = (struct qgm_knob){ "mbit-s", "", networks[i].mbit_s, 1e-6, 1e12, false, NULL };
        knobs[STEP] = (struct qgm_knob){ "step-ms", "", 10, 0, 1e9, false, NULL };
        knobs[SPREAD] = (struct qgm_knob){ "spread", "", 0, 0, 5, false, NULL };
        knobs[KNOBS] = (struct qgm_knob){ 0 };
        return 0;
    }
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)qgm_spec_name(spec), spec);
    const char *near = qgm_nearest(name, names);
    return qgm_fail(
        err, QGM_USAGE,
        "--network %s: expected off, infiniband, ethernet, wan or edge, options behind a colon (wan:spread=0.3)%s%s%s",
        spec, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int qgm_network_open(struct qgm_network *n, const char *spec, int clients, uint64_t seed, struct qgm_error *err)
{
    struct qgm_knob knobs[KNOBS + 1];
    double value[KNOBS];
    *n = (struct qgm_network){ .clients = clients };
    if (strcmp(spec, "off") == 0) return 0;
    QGM_TRY(find(spec, knobs, err));
    QGM_TRY(qgm_spec_read(spec, "network", knobs, value, err));
    n->latency = value[LATENCY] * 1e-6;
    n->bandwidth = value[BANDWIDTH] * 1e6 / 8;
    n->clock = calloc((size_t)clients, 4 * sizeof *n->clock);
    if (!n->clock) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    n->ready = n->clock + clients;
    n->compute = n->ready + clients;
    n->sends = n->compute + clients;
    for (int i = 0; i < clients; i++) {
        struct qgm_random r = qgm_random(seed, QGM_RANDOM_FAULT, (uint32_t)i, UINT32_MAX);
        n->compute[i] = value[STEP] * 1e-3 * exp(value[SPREAD] * qgm_random_normal(&r));
    }
    return 0;
}

void qgm_network_close(struct qgm_network *n)
{
    free(n->clock);
    *n = (struct qgm_network){ 0 };
}

/* Messages that set off when their senders are ready. Those of a client share its line both ways: each takes as long as
 * the fuller of the two lines it uses. */
static void exchange(struct qgm_network *n, const struct qgm_row *rows, double bytes)
{
    for (int i = 0; i < n->clients; i++)
        for (int k = 0; k < rows[i].n; k++) {
            int j = rows[i].from[k];
            double lines = fmax(n->sends[j], rows[i].n - 1);
            double arrives = n->ready[j] + n->latency + lines * bytes / n->bandwidth;
            if (j != i) n->clock[i] = fmax(n->clock[i], arrives);
        }
}

void qgm_network_step(struct qgm_network *n, const struct qgm_row *rows, double bytes, int rounds, bool early)
{
    if (!n->clock) return;
    for (int i = 0; i < n->clients; i++) {
        n->ready[i] = n->clock[i] + (early ? 0 : n->compute[i]);
        n->clock[i] += n->compute[i];
    }
    double *out = memset(n->sends, 0, (size_t)n->clients * sizeof *n->sends);
    for (int i = 0; i < n->clients; i++)
        for (int k = 0; k < rows[i].n; k++) out[rows[i].from[k]] += rows[i].from[k] != i;
    for (int round = 0; round < rounds && bytes > 0; round++) {
        if (round) memcpy(n->ready, n->clock, (size_t)n->clients * sizeof *n->ready);
        exchange(n, rows, bytes / rounds);
    }
}

double qgm_network_seconds(const struct qgm_network *n)
{
    double most = n->clock ? 0 : NAN;
    for (int i = 0; n->clock && i < n->clients; i++) most = fmax(most, n->clock[i]);
    return most;
}
