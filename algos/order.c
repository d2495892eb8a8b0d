/* In which order clients go through the parts of a step, where all of them live here: each as soon as those it listens
 * to have made their messages, so that what it needs is still in the caches. SPDX-License-Identifier: MIT */
#include "engine_inside.h"

enum { ORDER_INTS = 3 * QGM_ORDERS + 3 }; /* and 1, of each client */

size_t qgm_order_bytes(const struct qgm_engine *e)
{
    return qgm_piece(ORDER_INTS * (size_t)e->exchange->clients + 1, sizeof(int));
}

void qgm_order_open(struct qgm_engine *e)
{
    size_t clients = (size_t)e->exchange->clients;
    int *next = qgm_take(&e->arena, ORDER_INTS * clients + 1, sizeof(int));
    for (int q = 0; q < QGM_ORDERS; q++, next += 3 * clients)
        e->order[q] = (struct qgm_order){ .client = next, .ready = next + clients, .seat = next + 2 * clients };
    e->places = next;
    if (e->group->ranks == 1) e->pass.order = e->order;
}

/* place: of each client in the part before; it becomes that in this part. need, count: scratch. */
static void follow(struct qgm_order *o, const struct qgm_row *rows, int clients, int *place, int *need, int *count)
{
    for (int i = 0; i <= clients; i++) count[i] = 0;
    for (int i = 0; i < clients; i++) {
        need[i] = place[i] + 1;
        for (int k = 0; rows && k < rows[i].n; k++)
            if (place[rows[i].from[k]] >= need[i]) need[i] = place[rows[i].from[k]] + 1;
        count[need[i]]++;
    }
    for (int i = 0, before = 0; i <= clients; i++) {
        int here = count[i];
        count[i] = before;
        before += here;
    }
    for (int i = 0; i < clients; i++) {
        place[i] = count[need[i]]++;
        o->client[place[i]] = i;
        o->ready[place[i]] = need[i];
    }
    o->span = 0;
    for (int s = 0; s < clients; s++) o->span = o->ready[s] - s > o->span ? o->ready[s] - s : o->span;
}

/* Where messages lie: a client's go where those of another one lay to whom nobody listens any more, so that they stay
 * in the nearest caches however many clients there are. made: who makes messages, in their order; NULL: ascending.
 * last, empty: scratch. */
static void seat(struct qgm_order *o, const struct qgm_row *rows, int clients, const int *made, const int *place,
                 int *last, int *empty)
{
    int seats = 0, vacant = 0, through = 0;
    for (int i = 0; i < clients; i++) last[i] = place[i];
    for (int i = 0; rows && i < clients; i++)
        for (int k = 0; k < rows[i].n; k++)
            if (place[i] > last[rows[i].from[k]]) last[rows[i].from[k]] = place[i];
    for (int m = 0; m < clients; m++) {
        for (; through < m && o->ready[through] <= m; through++) { /* these have gone before the m-th message is made */
            const struct qgm_row own = { 1, &o->client[through], NULL };
            const struct qgm_row *heard = rows ? &rows[o->client[through]] : &own;
            for (int k = 0; k < heard->n; k++) {
                if (last[heard->from[k]] != through) continue;
                last[heard->from[k]] = clients; /* a row may name a client twice */
                empty[vacant++] = o->seat[heard->from[k]];
            }
        }
        o->seat[made ? made[m] : m] = vacant ? empty[--vacant] : seats++;
    }
}

void qgm_order_step(struct qgm_engine *e, bool telemetry)
{
    const struct qgm_row *rows = e->step.exchanges ? e->pass.rows : NULL;
    int clients = e->exchange->clients, *place = e->places;
    bool same = qgm_topology_period(e->topology) == 1 && !e->faults && e->ordered_rows == e->pass.rows &&
                e->ordered_exchanges == e->step.exchanges;
    if (same || (!e->pass.order && !telemetry)) return;
    e->ordered_rows = e->pass.rows;
    e->ordered_exchanges = e->step.exchanges;
    for (int i = 0; i < clients; i++) place[i] = i;
    for (int q = 0; q < QGM_ORDERS; q++) {
        follow(&e->order[q], rows, clients, place, place + clients, place + 2 * clients);
        seat(&e->order[q], rows, clients, q ? e->order[q - 1].client : NULL, place, place + clients,
             place + 2 * clients);
    }
    e->seated = false;
}

void qgm_order_segment(struct qgm_engine *e)
{
    struct qgm_pass *p = &e->pass;
    int exchanges = 0;
    bool means = false;
    for (const struct qgm_stage *s = p->stage; s < p->stage + p->stages; s++) {
        exchanges += s->op == QGM_OP_MIX || s->op == QGM_OP_RELAY;
        means = means || s->op == QGM_OP_MEAN;
    }
    /* Messages of a part lie where those of the one before the last did: who is far ahead must not write there. */
    p->ordered = !means && exchanges <= QGM_ORDERS;
    p->finish = p->ordered && exchanges ? e->order[exchanges - 1].client : NULL;
    if (!p->order || !e->exchange->op->sit || (p->ordered ? e->seated : !e->shares_seats)) return;
    const int *seats[QGM_ORDERS] = { e->order[0].seat, e->order[1].seat };
    e->exchange->op->sit(e->exchange, p->ordered ? seats : NULL);
    e->seated = e->shares_seats = p->ordered;
}
