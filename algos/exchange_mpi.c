/* The group and the exchange of processes that an MPI launcher started: a plug-in, one for each MPI, so that programs
 * need no MPI to run alone. MPI-3.1 calls only; an error of MPI ends the job, as MPI does by default.
 *
 * Only messages that some client of another process listens to travel, each once to every process that wants it. A
 * thread has its own communicator and two panels in flight; messages between two processes are posted in the same order
 * on both sides (message, then client), so one tag is enough. Threads call MPI at the same time where the MPI allows
 * that (MPI_THREAD_MULTIPLE); elsewhere (MPI_THREAD_FUNNELED) the engine exchanges with one. SPDX-License-Identifier:
 * MIT
 */
#include "algo.h"
#include "exchange.h"
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

/* ---- The exchange ---- */

struct route { /* a client's panels, to or from a process */
    int client, process;
};
/* What this process sends and receives, clients ascending. */
struct routes {
    struct route *send, *receive;
    int sends, receives;
};
/* Messages of one panel that are under way; on cache lines of its own. */
struct travel {
    MPI_Request *request;
    int requests;
} __attribute__((aligned(QGM_ALIGN)));

struct mpi {
    struct qgm_exchange base;
    struct qgm_group *group;
    int threads, messages;
    size_t real;
    struct qgm_arena arena;
    char **panel;          /* [thread][flight][buffer][message][client] */
    struct travel *travel; /* [thread][flight] */
    MPI_Comm *comm;        /* [thread] */
    int *owner;            /* [client]: the process it lives in */
    char *wanted;          /* [local client][process], and [client]: while planning */
    struct routes neighbours, everyone;
};

static char *const *panels(struct qgm_exchange *exchange, int thread, int flight, int buffer, int message)
{
    struct mpi *m = (struct mpi *)exchange;
    size_t set = (size_t)((thread * QGM_MAX_DEPTH + flight) * 2 + buffer);
    return m->panel + (set * (size_t)m->messages + (size_t)message) * (size_t)m->base.clients;
}

/* From `wanted` to lists. */
static void list_routes(const struct mpi *m, struct routes *r)
{
    const char *to = m->wanted, *from = m->wanted + (size_t)m->base.count * (size_t)m->group->ranks;
    r->sends = r->receives = 0;
    for (int i = 0; i < m->base.count; i++)
        for (int p = 0; p < m->group->ranks; p++)
            if (to[(size_t)i * (size_t)m->group->ranks + (size_t)p] && p != m->group->rank)
                r->send[r->sends++] = (struct route){ m->base.first + i, p };
    for (int j = 0; j < m->base.clients; j++)
        if (from[j] && m->owner[j] != m->group->rank) r->receive[r->receives++] = (struct route){ j, m->owner[j] };
}

static size_t wanted_bytes(const struct mpi *m)
{
    return (size_t)m->base.count * (size_t)m->group->ranks + (size_t)m->base.clients;
}

static int plan(struct qgm_exchange *exchange, const struct qgm_row *rows, struct qgm_error *err)
{
    struct mpi *m = (struct mpi *)exchange;
    size_t ranks = (size_t)m->group->ranks;
    char *to = m->wanted, *from = m->wanted + (size_t)m->base.count * ranks;
    (void)err;
    memset(m->wanted, 0, wanted_bytes(m));
    for (int i = 0; i < m->base.clients; i++)
        for (int k = 0; k < rows[i].n; k++) {
            int j = rows[i].from[k];
            if (m->owner[i] == m->group->rank) from[j] = 1;
            if (m->owner[j] == m->group->rank) to[(size_t)(j - m->base.first) * ranks + (size_t)m->owner[i]] = 1;
        }
    list_routes(m, &m->neighbours);
    return 0;
}

static void begin(struct qgm_exchange *exchange, int thread, int flight, int buffer, int messages, size_t elements,
                  bool everyone)
{
    struct mpi *m = (struct mpi *)exchange;
    const struct routes *r = everyone ? &m->everyone : &m->neighbours;
    struct travel *t = &m->travel[thread * QGM_MAX_DEPTH + flight];
    int bytes = (int)(elements * m->real);
    t->requests = 0;
    for (int k = 0; k < messages; k++)
        for (int i = 0; i < r->receives; i++)
            MPI_Irecv(panels(exchange, thread, flight, buffer, k)[r->receive[i].client], bytes, MPI_BYTE,
                      r->receive[i].process, 0, m->comm[thread], &t->request[t->requests++]);
    for (int k = 0; k < messages; k++)
        for (int i = 0; i < r->sends; i++)
            MPI_Isend(panels(exchange, thread, flight, buffer, k)[r->send[i].client], bytes, MPI_BYTE,
                      r->send[i].process, 0, m->comm[thread], &t->request[t->requests++]);
}

static void finish(struct qgm_exchange *exchange, int thread, int flight)
{
    struct travel *t = &((struct mpi *)exchange)->travel[thread * QGM_MAX_DEPTH + flight];
    if (t->requests) MPI_Waitall(t->requests, t->request, MPI_STATUSES_IGNORE);
    t->requests = 0;
}

/* Large messages move only inside calls of MPI. */
static void progress(struct qgm_exchange *exchange, int thread)
{
    struct mpi *m = (struct mpi *)exchange;
    for (int flight = 0; flight < m->base.depth; flight++) {
        struct travel *t = &m->travel[thread * QGM_MAX_DEPTH + flight];
        int done = 0;
        if (t->requests) MPI_Testall(t->requests, t->request, &done, MPI_STATUSES_IGNORE);
        if (done) t->requests = 0;
    }
}

static void exchange_close(struct qgm_exchange **exchange)
{
    struct mpi *m = (struct mpi *)*exchange;
    if (!m) return;
    for (int t = 0; m->comm && t < m->threads; t++) MPI_Comm_free(&m->comm[t]);
    qgm_arena_close(&m->arena);
    free(m);
    *exchange = NULL;
}

static const struct qgm_exchange_ops exchange_ops = {
    .panels = panels, .plan = plan, .begin = begin, .finish = finish, .progress = progress, .close = exchange_close
};

/* Large enough for the network, small enough for the cache: a thread's panels together take about 4 MiB; and at least
 * four panels a thread, so that there is something to overlap. The same in every process. */
static size_t panel_elements(const struct qgm_group *g, const struct qgm_exchange_size *s)
{
    size_t local = (size_t)(s->clients + g->ranks - 1) / (size_t)g->ranks + 2;
    size_t most = ((size_t)4 << 20) / (QGM_MAX_DEPTH * 2 * (size_t)s->messages * local * s->real);
    size_t share = s->dim / ((size_t)s->threads * 4);
    size_t blocks = (most < share ? most : share) / QGM_BLOCK;
    return (blocks < 1 ? 1 : blocks > 64 ? 64 : blocks) * QGM_BLOCK;
}

static int set_up(struct mpi *m, struct qgm_group *g, const struct qgm_exchange_size *s)
{
    int first = qgm_group_first(g, s->clients, g->rank);
    m->base = (struct qgm_exchange){ .op = &exchange_ops,
                                     .clients = s->clients,
                                     .first = first,
                                     .count = qgm_group_first(g, s->clients, g->rank + 1) - first,
                                     .depth = QGM_MAX_DEPTH,
                                     .panel = panel_elements(g, s) };
    m->group = g;
    m->threads = s->threads;
    m->messages = s->messages;
    m->real = s->real;
    return m->base.count * (g->ranks - 1) + s->clients - m->base.count; /* most routes */
}

static size_t memory(const struct mpi *m, int routes)
{
    size_t flights = (size_t)m->threads * QGM_MAX_DEPTH, sets = flights * 2 * (size_t)m->messages;
    size_t clients = (size_t)m->base.clients, count = (size_t)routes;
    return qgm_piece(sets * clients, sizeof *m->panel) +
           qgm_piece(sets * clients * (m->base.panel + QGM_ALIGN / m->real), m->real) +
           qgm_piece(flights, sizeof *m->travel) +
           flights * qgm_piece((size_t)m->messages * count, sizeof(MPI_Request)) +
           qgm_piece((size_t)m->threads, sizeof *m->comm) + qgm_piece(clients, sizeof *m->owner) +
           qgm_piece(wanted_bytes(m), 1) + 2 * qgm_piece(count, sizeof(struct route));
}

static void take_memory(struct mpi *m, int routes)
{
    size_t flights = (size_t)m->threads * QGM_MAX_DEPTH, sets = flights * 2 * (size_t)m->messages;
    size_t panels_in_all = sets * (size_t)m->base.clients, step = m->base.panel + QGM_ALIGN / m->real;
    m->panel = qgm_take(&m->arena, panels_in_all, sizeof *m->panel);
    char *base = qgm_take(&m->arena, panels_in_all * step, m->real);
    for (size_t i = 0; i < panels_in_all; i++) m->panel[i] = base + i * step * m->real;
    m->travel = qgm_take(&m->arena, flights, sizeof *m->travel);
    for (size_t f = 0; f < flights; f++) {
        m->travel[f].request = qgm_take(&m->arena, (size_t)(m->messages * routes), sizeof(MPI_Request));
        m->travel[f].requests = 0;
    }
    m->comm = qgm_take(&m->arena, (size_t)m->threads, sizeof *m->comm);
    m->owner = qgm_take(&m->arena, (size_t)m->base.clients, sizeof *m->owner);
    m->wanted = qgm_take(&m->arena, wanted_bytes(m), 1);
    struct route *route[2];
    for (int i = 0; i < 2; i++) route[i] = qgm_take(&m->arena, (size_t)routes, sizeof **route);
    int sends = m->base.count * (m->group->ranks - 1);
    m->neighbours = (struct routes){ .send = route[0], .receive = route[0] + sends };
    m->everyone = (struct routes){ .send = route[1], .receive = route[1] + sends };
}

static int open_exchange(struct qgm_group *g, struct qgm_exchange **exchange, const struct qgm_exchange_size *s,
                         struct qgm_error *err)
{
    *exchange = NULL;
    struct mpi *m = calloc(1, sizeof *m);
    if (!m) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int routes = set_up(m, g, s);
    if (qgm_arena_open(&m->arena, memory(m, routes), err) < 0) {
        free(m);
        return -1;
    }
    take_memory(m, routes);
    for (int t = 0; t < s->threads; t++) MPI_Comm_dup(MPI_COMM_WORLD, &m->comm[t]);
    for (int r = 0; r < g->ranks; r++)
        for (int i = qgm_group_first(g, s->clients, r); i < qgm_group_first(g, s->clients, r + 1); i++) m->owner[i] = r;
    memset(m->wanted, 1, wanted_bytes(m));
    list_routes(m, &m->everyone);
    *exchange = &m->base;
    return 0;
}

static size_t exchange_bytes(const struct qgm_group *g, const struct qgm_exchange_size *s)
{
    struct mpi m;
    int routes = set_up(&m, (struct qgm_group *)(uintptr_t)g, s);
    return memory(&m, routes);
}

/* ---- The group ---- */

enum { CHUNK = 1 << 30 }; /* bytes: counts of MPI are ints */
static MPI_Comm world;    /* of calls that are no messages between clients */

static void share(struct qgm_group *g, void *values, size_t each, const int *first)
{
    MPI_Datatype item;
    int *count = malloc((size_t)g->ranks * sizeof *count);
    if (!count) MPI_Abort(MPI_COMM_WORLD, 1);
    for (int r = 0; r < g->ranks; r++) count[r] = first[r + 1] - first[r];
    MPI_Type_contiguous((int)each, MPI_BYTE, &item);
    MPI_Type_commit(&item);
    MPI_Allgatherv(MPI_IN_PLACE, 0, item, values, count, first, item, world);
    MPI_Type_free(&item);
    free(count);
}

static void turn(struct qgm_group *g, const void *to, const int *bytes_to, void *from, const int *bytes_from)
{
    int *at = malloc(2 * (size_t)g->ranks * sizeof *at), *at_from = at + g->ranks, sum[2] = { 0, 0 };
    if (!at) MPI_Abort(MPI_COMM_WORLD, 1);
    for (int r = 0; r < g->ranks; r++) {
        at[r] = sum[0];
        at_from[r] = sum[1];
        sum[0] += bytes_to[r];
        sum[1] += bytes_from[r];
    }
    MPI_Alltoallv(to, bytes_to, at, MPI_BYTE, from, bytes_from, at_from, MPI_BYTE, world);
    free(at);
}

static int piece(size_t bytes, size_t at) { return bytes - at < CHUNK ? (int)(bytes - at) : CHUNK; }

static void tell(struct qgm_group *g, void *at, size_t bytes)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK) MPI_Bcast((char *)at + k, piece(bytes, k), MPI_BYTE, 0, world);
}

static void send_to(struct qgm_group *g, const void *at, size_t bytes, int to)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK) MPI_Send((const char *)at + k, piece(bytes, k), MPI_BYTE, to, 0, world);
}

static void receive(struct qgm_group *g, void *at, size_t bytes, int from)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK)
        MPI_Recv((char *)at + k, piece(bytes, k), MPI_BYTE, from, 0, world, MPI_STATUS_IGNORE);
}

static void stop(struct qgm_group *g, int code)
{
    (void)g;
    MPI_Abort(MPI_COMM_WORLD, code);
}

/* Also when a program ends in the middle of its work, after --help for one. */
static void leave(void)
{
    int ended = 0;
    MPI_Finalized(&ended);
    if (!ended) MPI_Finalize();
}

static void group_close(struct qgm_group **g)
{
    leave();
    *g = NULL;
}

static const struct qgm_group_ops group_ops = { .name = "mpi",
                                                .exchange = open_exchange,
                                                .exchange_bytes = exchange_bytes,
                                                .share = share,
                                                .turn = turn,
                                                .tell = tell,
                                                .send = send_to,
                                                .receive = receive,
                                                .abort = stop,
                                                .close = group_close };

qgm_group_entry qgm_group_mpi;
int qgm_group_mpi(struct qgm_group **group, struct qgm_error *err)
{
    static struct qgm_group g;
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED)
        return qgm_fail(err, QGM_SYSTEM, "MPI could not be started, or allows no threads beside it");
    atexit(leave);
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    g = (struct qgm_group){ .op = &group_ops, .many = provided == MPI_THREAD_MULTIPLE };
    MPI_Comm_rank(world, &g.rank);
    MPI_Comm_size(world, &g.ranks);
    *group = &g;
    return 0;
}
