/* Looking into an engine: rows, counters, and its whole state piece by piece. SPDX-License-Identifier: MIT */
#include "engine_inside.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

char *qgm_engine_row(struct qgm_engine *e, int client, int row)
{
    int local = client - e->exchange->first;
    assert(local >= 0 && local < e->exchange->count);
    return e->pass.x + ((size_t)local * e->pass.client + (size_t)row * e->pass.stride) * e->table->real;
}

float *qgm_engine_params(struct qgm_engine *e, int client)
{
    assert(e->table->real == sizeof(float));
    return (float *)qgm_engine_row(e, client, 0);
}

float *qgm_engine_grad(struct qgm_engine *e, int client)
{
    assert(e->table->real == sizeof(float));
    return (float *)qgm_engine_row(e, client, 1);
}

double *qgm_engine_reference_params(struct qgm_engine *e, int client)
{
    assert(e->table->real == sizeof(double));
    return (double *)qgm_engine_row(e, client, 0);
}

double *qgm_engine_reference_grad(struct qgm_engine *e, int client)
{
    assert(e->table->real == sizeof(double));
    return (double *)qgm_engine_row(e, client, 1);
}

size_t qgm_engine_dim(const struct qgm_engine *e) { return e->pass.dim; }
int qgm_engine_clients(const struct qgm_engine *e) { return e->exchange->clients; }
int qgm_engine_local(const struct qgm_engine *e) { return e->local; }
int qgm_engine_threads(const struct qgm_engine *e) { return e->pass.threads; }
long qgm_engine_steps(const struct qgm_engine *e) { return e->step.t; }
bool qgm_engine_down(const struct qgm_engine *e, int client)
{
    return e->faults && qgm_faults_down_in(e->faults, client, e->step.t);
}

const struct qgm_row *qgm_engine_rows(struct qgm_engine *e)
{
    return e->faults ? qgm_faults_rows(e->faults, e->offered, QGM_LOST_OWN) : e->offered;
}

long qgm_engine_exchanges(const struct qgm_engine *e) { return e->step.t / e->local; }

int qgm_engine_rounds(const struct qgm_engine *e)
{
    int rounds = 0;
    for (const struct qgm_stage *s = e->active; s < e->active + e->stages; s++)
        rounds += s->op == QGM_OP_MEAN || s->op == QGM_OP_RELAY || (s->op == QGM_OP_MIX && e->step.exchanges);
    return rounds;
}

double qgm_engine_bytes_counted(const struct qgm_engine *e, enum qgm_bits dialect)
{
    return e->sent[dialect] * (double)(e->pass.dim * e->table->real) / e->exchange->clients;
}

double qgm_engine_bytes_sent(const struct qgm_engine *e) { return qgm_engine_bytes_counted(e, QGM_BITS_SENT); }

void qgm_engine_profile(struct qgm_engine *e, double seconds[QGM_PHASES])
{
    double all = 0;
    if (!seconds) {
        e->pass.ticks = NULL;
        return;
    }
    memset(seconds, 0, QGM_PHASES * sizeof *seconds);
    for (int t = 0; t < e->pass.threads && e->pass.ticks; t++)
        for (int k = 0; k < QGM_PHASES; k++) {
            seconds[k] += (double)e->ticks[t].phase[k];
            all += (double)e->ticks[t].phase[k];
        }
    for (int k = 0; k < QGM_PHASES; k++) seconds[k] *= all > 0 ? e->pass_seconds / all : 0;
    memset(e->ticks, 0, (size_t)e->pass.threads * sizeof *e->ticks);
    e->pass.ticks = e->ticks;
    e->pass_seconds = 0;
}

/* ---- The state, in pieces ---- */

static void pack(struct qgm_engine *e)
{
    e->counters[0] = (double)e->step.t;
    memcpy(e->counters + 1, e->sent, sizeof e->sent);
    memcpy(e->counters + 1 + QGM_BITS_DIALECTS, e->step.derived, sizeof e->step.derived);
}

void qgm_engine_restored(struct qgm_engine *e)
{
    e->step.t = (long)e->counters[0];
    memcpy(e->sent, e->counters + 1, sizeof e->sent);
    memcpy(e->step.derived, e->counters + 1 + QGM_BITS_DIALECTS, sizeof e->step.derived);
}

/* Pieces that all clients share, then each client's rows, then its memory of each neighbour. */
enum { SHARED = 3 };

static void shared_piece(struct qgm_engine *e, int i, struct qgm_engine_piece *out)
{
    size_t clients = (size_t)e->exchange->clients;
    const struct qgm_engine_piece pieces[SHARED] = {
        { .name = "engine.counters", .at = e->counters, .count = QGM_COUNTERS },
        { .name = "engine.mass", .at = e->mass, .count = clients },
        { .name = "engine.relayed", .at = e->relay.count, .count = 2 * e->relay.edges },
    };
    if (i == 0) pack(e);
    *out = pieces[i];
    out->client = -1;
    out->real = sizeof(double);
}

static bool is_local(const struct qgm_engine *e, int client)
{
    return client >= e->exchange->first && client < e->exchange->first + e->exchange->count;
}

static void edge_piece(struct qgm_engine *e, size_t i, struct qgm_engine_piece *out)
{
    int client = 0;
    while (e->relay.first_edge[client + 1] <= i / 2) client++;
    snprintf(out->name, sizeof out->name, "client.%d.%s.%zu", client, i % 2 ? "went" : "came",
             i / 2 - e->relay.first_edge[client]);
    out->client = client;
    if (is_local(e, client))
        out->at = e->pass.edges + (i - 2 * e->relay.first_edge[e->exchange->first]) * e->pass.stride * e->table->real;
}

int qgm_engine_pieces(const struct qgm_engine *e)
{
    return SHARED + e->exchange->clients * (1 + e->pass.states) + (int)(2 * e->relay.edges) + qgm_late_pieces(e);
}

void qgm_engine_piece(struct qgm_engine *e, int i, struct qgm_engine_piece *out)
{
    int rows = 1 + e->pass.states, own = e->exchange->clients * rows, edges = (int)(2 * e->relay.edges);
    *out = (struct qgm_engine_piece){ .count = e->pass.dim, .real = e->table->real };
    if (i < SHARED) {
        shared_piece(e, i, out);
        return;
    }
    i -= SHARED;
    if (i >= own + edges) {
        qgm_late_piece(e, i - own - edges, out);
        return;
    }
    if (i >= own) {
        edge_piece(e, (size_t)(i - own), out);
        return;
    }
    int row = i % rows;
    out->client = i / rows;
    if (is_local(e, out->client)) out->at = qgm_engine_row(e, out->client, row ? 1 + row : 0);
    if (row)
        snprintf(out->name, sizeof out->name, "client.%d.state.%d", out->client, row - 1);
    else
        snprintf(out->name, sizeof out->name, "client.%d.x", out->client);
}
