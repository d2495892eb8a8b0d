/* Messages that come late (--stale): what is remembered of those sent, and who is late in a step.
 * SPDX-License-Identifier: MIT */
#include "engine_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t rows(const struct qgm_engine *e)
{
    const struct qgm_late *l = &e->pass.late;
    return (size_t)e->exchange->count * (size_t)l->slots * (size_t)l->keep;
}

size_t qgm_late_bytes(const struct qgm_engine *e) { return qgm_piece(rows(e) * e->pass.stride, e->table->real); }

/* An old message in place of a late one is an old model in place of a new one, for a client that averages models. Where
 * a message counts for something else than its own value, no other can stand in. */
static const char *counts_once(const struct qgm_engine *e)
{
    if (e->relays) return "each of its messages is told apart from the one before on the same link";
    if (e->algo->push_sum) return "its messages carry shares of a sum, and one that came twice would be counted twice";
    if (e->algo->increments) return "its messages are differences, and one that came twice would be added twice";
    return NULL;
}

int qgm_late_plan(struct qgm_engine *e, const struct qgm_fault_config *faults, struct qgm_error *err)
{
    struct qgm_late *l = &e->pass.late;
    if (!(faults->stale > 0 && faults->stale_steps > 0)) return 0;
    const char *why = counts_once(e);
    if (why) return qgm_fail(err, QGM_USAGE, "%s cannot go on with old messages: %s", e->algo->name, why);
    for (const struct qgm_stage *s = e->algo->stage; s->op; s++)
        if (s->op == QGM_OP_MIX && !(s->to_x && s->when)) l->slots += s->arg; /* that is instead of another one */
    l->keep = (int)faults->stale_steps + 1;
    e->age = calloc((size_t)qgm_topology_clients(e->topology), sizeof *e->age);
    l->age = e->age;
    return e->age ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
}

void qgm_late_open(struct qgm_engine *e)
{
    struct qgm_late *l = &e->pass.late;
    if (!l->slots) return;
    l->sent = qgm_take(&e->arena, rows(e) * e->pass.stride, e->table->real);
    memset(l->sent, 0, rows(e) * e->pass.stride * e->table->real);
}

void qgm_late_step(struct qgm_engine *e)
{
    struct qgm_late *l = &e->pass.late;
    if (!l->slots || !e->step.exchanges) return;
    l->exchange = qgm_engine_exchanges(e);
    for (int i = 0; i < e->exchange->clients; i++) e->age[i] = qgm_faults_age(e->faults, i, e->local);
}

int qgm_late_pieces(const struct qgm_engine *e)
{
    return e->exchange->clients * e->pass.late.slots * e->pass.late.keep;
}

void qgm_late_piece(struct qgm_engine *e, int i, struct qgm_engine_piece *out)
{
    const struct qgm_late *l = &e->pass.late;
    int each = l->slots * l->keep, first = e->exchange->first;
    out->client = i / each;
    snprintf(out->name, sizeof out->name, "client.%d.sent.%d.%d", out->client, i % each / l->keep, i % l->keep);
    if (out->client >= first && out->client < first + e->exchange->count)
        out->at = l->sent + (size_t)(i - first * each) * e->pass.stride * e->table->real;
}
