/* The exchange of clients that share memory: a table of addresses. SPDX-License-Identifier: MIT */
#include "algo.h"
#include "exchange.h"
#include <stdlib.h>

struct local {
    struct qgm_exchange base;
    int messages, threads;
    size_t real;
    struct qgm_arena arena;
    char **panel; /* [thread][buffer][message][client] */
    char *place;  /* of panels [thread][seat][buffer][message]: what is in use at a time lies together */
};

static size_t tables(const struct qgm_exchange_size *s) { return (size_t)s->threads * 2 * (size_t)s->messages; }

static char *const *panels(struct qgm_exchange *exchange, int thread, int flight, int buffer, int message)
{
    struct local *l = (struct local *)exchange;
    (void)flight; /* there is one */
    return l->panel + ((size_t)(thread * 2 + buffer) * (size_t)l->messages + (size_t)message) * (size_t)l->base.clients;
}

/* Panels are a cache line more than a block apart: blocks are a power of two, and equal addresses modulo 4096 make
 * loads wait for unrelated stores. */
static size_t panel_elements(size_t real) { return QGM_BLOCK + QGM_ALIGN / real; }

static void sit(struct qgm_exchange *exchange, const int *const seat[2])
{
    struct local *l = (struct local *)exchange;
    size_t clients = (size_t)l->base.clients, messages = (size_t)l->messages, each = 2 * messages;
    size_t step = panel_elements(l->real) * l->real, share = clients * each * step + QGM_APART * l->real;
    for (size_t row = 0; row < (size_t)l->threads * each; row++) {
        const int *at = seat ? seat[row % each / messages] : NULL;
        char *base = l->place + row / each * share + row % each * step, **panel = l->panel + row * clients;
        for (size_t i = 0; i < clients; i++) panel[i] = base + (at ? (size_t)at[i] : i) * each * step;
    }
}

static int plan(struct qgm_exchange *exchange, const struct qgm_row *rows, struct qgm_error *err)
{
    (void)exchange, (void)rows, (void)err;
    return 0;
}

static void begin(struct qgm_exchange *exchange, int thread, int flight, int buffer, int messages, size_t elements,
                  bool everyone)
{
    (void)exchange, (void)thread, (void)flight, (void)buffer, (void)messages, (void)elements, (void)everyone;
}

static void finish(struct qgm_exchange *exchange, int thread, int flight)
{
    (void)exchange, (void)thread, (void)flight; /* what is written is readable */
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
    .panels = panels, .sit = sit, .plan = plan, .begin = begin, .finish = finish, .close = local_close
};

size_t qgm_exchange_local_bytes(const struct qgm_exchange_size *s, struct qgm_exchange *shape)
{
    size_t count = tables(s) * (size_t)s->clients;
    *shape = (struct qgm_exchange){
        .clients = s->clients, .count = s->clients, .depth = 1, .shared = true, .panel = QGM_BLOCK
    };
    return qgm_piece(count, sizeof(char *)) +
           qgm_piece(count * panel_elements(s->real) + (size_t)s->threads * QGM_APART, s->real);
}

int qgm_exchange_local(struct qgm_exchange **exchange, const struct qgm_exchange_size *s, struct qgm_error *err)
{
    *exchange = NULL;
    struct local *l = calloc(1, sizeof *l);
    if (!l) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    size_t bytes = qgm_exchange_local_bytes(s, &l->base);
    l->base.op = &ops;
    l->messages = s->messages;
    l->threads = s->threads;
    l->real = s->real;
    if (qgm_arena_open(&l->arena, bytes, err) < 0) {
        free(l);
        return -1;
    }
    size_t count = tables(s) * (size_t)s->clients, step = panel_elements(s->real);
    l->panel = qgm_take(&l->arena, count, sizeof *l->panel);
    l->place = qgm_take(&l->arena, count * step + (size_t)s->threads * QGM_APART, s->real);
    sit(&l->base, NULL);
    *exchange = &l->base;
    return 0;
}
