/* In which order clients go through the parts of a step, where all of them live here: each as soon as those it listens
 * to have made their messages, so that what it needs is still in the caches. SPDX-License-Identifier: MIT */
#include "engine_inside.h"

size_t qgm_order_bytes(const struct qgm_engine *e)
{
    return e->group->ranks > 1 ? 0 : qgm_piece((2 * QGM_ORDERS + 3) * (size_t)e->exchange->clients + 1, sizeof(int));
}

void qgm_order_open(struct qgm_engine *e)
{
    if (e->group->ranks > 1) return;
    size_t clients = (size_t)e->exchange->clients;
    int *next = qgm_take(&e->arena, (2 * QGM_ORDERS + 3) * clients + 1, sizeof(int));
    for (int q = 0; q < QGM_ORDERS; q++, next += 2 * clients)
        e->order[q] = (struct qgm_order){ .client = next, .ready = next + clients };
    e->places = next;
    e->pass.order = e->order;
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

void qgm_order_step(struct qgm_engine *e)
{
    int clients = e->exchange->clients, *place = e->places;
    bool same = qgm_topology_period(e->topology) == 1 && !e->faults && e->ordered_rows == e->pass.rows &&
                e->ordered_exchanges == e->step.exchanges;
    if (same || !e->pass.order) return;
    e->ordered_rows = e->pass.rows;
    e->ordered_exchanges = e->step.exchanges;
    for (int i = 0; i < clients; i++) place[i] = i;
    for (int q = 0; q < QGM_ORDERS; q++)
        follow(&e->order[q], e->step.exchanges || e->relays ? e->pass.rows : NULL, clients, place, place + clients,
               place + 2 * clients);
}
