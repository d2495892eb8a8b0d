/* The exchange of clients that share memory: a table of addresses. SPDX-License-Identifier: MIT */
#include "algo.h"
#include "exchange.h"
#include <stdlib.h>

struct local {
    struct qgm_exchange base;
    int messages;
    struct qgm_arena arena;
    char **panel; /* [thread][buffer][message][client] */
};

static size_t tables(int threads, int messages) { return (size_t)threads * 2 * (size_t)messages; }

static char *const *panels(struct qgm_exchange *exchange, int thread, int buffer, int message)
{
    struct local *l = (struct local *)exchange;
    return l->panel + ((size_t)(thread * 2 + buffer) * (size_t)l->messages + (size_t)message) * (size_t)l->base.clients;
}

static int trade(struct qgm_exchange *exchange, int thread, int buffer, int messages, size_t elements,
                 const struct qgm_row *rows)
{
    (void)exchange, (void)thread, (void)buffer, (void)messages, (void)elements, (void)rows;
    return 0; /* what is written is readable */
}

static int gather(struct qgm_exchange *exchange, double *values, int each, struct qgm_error *err)
{
    (void)exchange, (void)values, (void)each, (void)err;
    return 0; /* every client is local */
}

static void local_close(struct qgm_exchange **exchange)
{
    struct local *l = (struct local *)*exchange;
    if (!l) return;
    qgm_arena_close(&l->arena);
    free(l);
    *exchange = NULL;
}

static const struct qgm_exchange_ops ops = {
    .name = "local", .panels = panels, .trade = trade, .gather = gather, .close = local_close
};

/* Panels of neighbouring clients are a cache line more than a block apart: blocks are a power of two, and equal
 * addresses modulo 4096 make loads wait for unrelated stores. */
static size_t panel_elements(size_t real) { return QGM_BLOCK + QGM_ALIGN / real; }

size_t qgm_exchange_local_bytes(int clients, int threads, int messages, size_t real)
{
    size_t count = tables(threads, messages) * (size_t)clients;
    return qgm_piece(count, sizeof(char *)) + qgm_piece(count * panel_elements(real), real);
}

int qgm_exchange_local(struct qgm_exchange **exchange, int clients, int threads, int messages, size_t real,
                       struct qgm_error *err)
{
    *exchange = NULL;
    struct local *l = calloc(1, sizeof *l);
    if (!l) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    l->base = (struct qgm_exchange){ .op = &ops, .clients = clients, .count = clients, .panel = QGM_BLOCK };
    l->messages = messages;
    if (qgm_arena_open(&l->arena, qgm_exchange_local_bytes(clients, threads, messages, real), err) < 0) {
        free(l);
        return -1;
    }
    size_t count = tables(threads, messages) * (size_t)clients, step = panel_elements(real);
    l->panel = qgm_take(&l->arena, count, sizeof *l->panel);
    char *base = qgm_take(&l->arena, count * step, real);
    for (size_t i = 0; i < count; i++) l->panel[i] = base + i * step * real;
    *exchange = &l->base;
    return 0;
}
