/* The exchange between processes of an MPI job. Processes of one machine write their messages into memory that all of
 * them see (MPI_Win_allocate_shared) and read each other's there: nothing is copied, a counter says how many exchanges
 * a process has begun. Between machines only messages that some client there listens to travel, each once to every
 * process that wants it. A thread has its own communicator and several panels in flight; messages between two processes
 * are posted in the same order on both sides (message, then client), so one tag is enough. Threads call MPI at the same
 * time where the MPI allows that (MPI_THREAD_MULTIPLE); elsewhere (MPI_THREAD_FUNNELED) the engine exchanges with one.
 * SPDX-License-Identifier: MIT */
#include "exchange_mpi.h"
#include "algo.h"
#include "standing_mpi.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Messages of one panel that are under way; on cache lines of its own. */
struct travel {
    MPI_Request *request;
    int requests;
    long begun;                     /* exchanges of this flight */
    bool everyone, was_to_everyone; /* the last one, and the one before */
} __attribute__((aligned(QGM_ALIGN)));
/* How many exchanges of a flight a process has begun, where others see it. */
struct signal {
    atomic_long begun;
} __attribute__((aligned(QGM_ALIGN)));

struct mpi {
    struct qgm_exchange base;
    struct qgm_group *group;
    const struct qgm_host *host;
    int threads, messages;
    size_t real;
    struct qgm_arena arena;
    MPI_Win window;                /* MPI_WIN_NULL: this process shares memory with no other */
    char **segment;                /* [host rank]: signals [thread][flight], then panels [set][message][its client] */
    char **panel;                  /* [set][message][client], set = [thread][flight][buffer] */
    struct travel *travel;         /* [thread][flight] */
    MPI_Comm *comm;                /* [thread] */
    int *owner;                    /* [client]: the process it lives in */
    char *wanted;                  /* [local client][process], and [client]: while planning */
    char *linked;                  /* [2][host rank]: do we exchange with it now; did we in the exchange before */
    int *partner, partners;        /* those of either kind */
    long planned_at;               /* exchanges begun when the last plan was made */
    struct qgm_standing *standing; /* NULL: exchanges do not stand */
    bool stands;                   /* those of this step do */
    struct routes neighbours, everyone;
};

static size_t flights_of(const struct mpi *m) { return (size_t)m->threads * (size_t)m->base.depth; }

static char *const *panels(struct qgm_exchange *exchange, int thread, int flight, int buffer, int message)
{
    struct mpi *m = (struct mpi *)exchange;
    size_t set = (size_t)((thread * m->base.depth + flight) * 2 + buffer);
    return m->panel + (set * (size_t)m->messages + (size_t)message) * (size_t)m->base.clients;
}

/* Sets alternate from one exchange of a flight to the next, also across steps: where others read this process's panels
 * in place, they may still be at the last ones. They are done with those before, since `finish` has seen them begin the
 * exchange after. */
static int first_buffer(struct qgm_exchange *exchange, int thread, int flight)
{
    struct mpi *m = (struct mpi *)exchange;
    return (int)(m->travel[thread * m->base.depth + flight].begun % 2);
}

/* From `wanted` to lists. */
static void list_routes(const struct mpi *m, struct routes *r)
{
    const char *to = m->wanted, *from = m->wanted + (size_t)m->base.count * (size_t)m->group->ranks;
    r->sends = r->receives = 0;
    for (int i = 0; i < m->base.count; i++)
        for (int p = 0; p < m->group->ranks; p++)
            if (to[(size_t)i * (size_t)m->group->ranks + (size_t)p] && m->host->rank_of[p] < 0)
                r->send[r->sends++] = (struct route){ m->base.first + i, p };
    for (int j = 0; j < m->base.clients; j++)
        if (from[j] && m->host->rank_of[m->owner[j]] < 0) r->receive[r->receives++] = (struct route){ j, m->owner[j] };
}

static long exchanges_begun(const struct mpi *m)
{
    long sum = 0;
    for (int f = 0; f < (int)flights_of(m); f++) sum += m->travel[f].begun;
    return sum;
}

/* Whom to wait for on this machine: those whose panels we read, and those who may still read ours. */
static void list_partners(struct mpi *m)
{
    const char *to = m->wanted, *from = m->wanted + (size_t)m->base.count * (size_t)m->group->ranks;
    char *now = m->linked, *before = m->linked + m->host->size;
    bool used = exchanges_begun(m) != m->planned_at;
    m->planned_at = exchanges_begun(m);
    for (int h = 0; h < m->host->size; h++) before[h] = now[h] || (before[h] && !used);
    memset(now, 0, (size_t)m->host->size);
    for (int p = 0; p < m->group->ranks; p++)
        for (int i = 0; i < m->base.count && m->host->rank_of[p] >= 0; i++)
            now[m->host->rank_of[p]] |= to[(size_t)i * (size_t)m->group->ranks + (size_t)p];
    for (int j = 0; j < m->base.clients; j++)
        if (from[j] && m->host->rank_of[m->owner[j]] >= 0) now[m->host->rank_of[m->owner[j]]] = 1;
    m->partners = 0;
    for (int h = 0; h < m->host->size; h++)
        if ((now[h] || before[h]) && h != m->host->rank_of[m->group->rank]) m->partner[m->partners++] = h;
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
    if (m->window != MPI_WIN_NULL) list_partners(m);
    m->stands = m->standing && qgm_standing_plan(m->standing, rows, m->base.clients);
    return 0;
}

static atomic_long *signal_of(const struct mpi *m, int rank_here, int thread, int flight)
{
    return &((struct signal *)(void *)m->segment[rank_here])[thread * m->base.depth + flight].begun;
}

static void begin(struct qgm_exchange *exchange, int thread, int flight, int buffer, int messages, size_t elements,
                  bool everyone)
{
    struct mpi *m = (struct mpi *)exchange;
    const struct routes *r = everyone ? &m->everyone : &m->neighbours;
    struct travel *t = &m->travel[thread * m->base.depth + flight];
    int bytes = (int)(elements * m->real);
    t->was_to_everyone = t->everyone;
    t->everyone = everyone;
    t->begun++;
    if (m->window != MPI_WIN_NULL)
        atomic_store_explicit(signal_of(m, m->host->rank_of[m->group->rank], thread, flight), t->begun,
                              memory_order_release);
    t->requests = 0;
    if (m->stands && !everyone) {
        struct qgm_standing_panel panel = { thread, flight, buffer, messages, bytes };
        char *const *places[QGM_MAX_MESSAGES];
        for (int k = 0; k < messages; k++) places[k] = panels(exchange, thread, flight, buffer, k);
        t->request[t->requests++] = qgm_standing_start(m->standing, &panel, r, places);
        return;
    }
    for (int k = 0; k < messages; k++)
        for (int i = 0; i < r->receives; i++)
            MPI_Irecv(panels(exchange, thread, flight, buffer, k)[r->receive[i].client], bytes, MPI_BYTE,
                      r->receive[i].process, 0, m->comm[thread], &t->request[t->requests++]);
    for (int k = 0; k < messages; k++)
        for (int i = 0; i < r->sends; i++)
            MPI_Isend(panels(exchange, thread, flight, buffer, k)[r->send[i].client], bytes, MPI_BYTE,
                      r->send[i].process, 0, m->comm[thread], &t->request[t->requests++]);
}

/* Until a process of this machine has come as far. What this one has to send to others may move inside calls of MPI
 * only, and where processes share a core the other one needs it: so neither is kept waiting for long. */
static void await(const struct mpi *m, int rank_here, int thread, int flight)
{
    const atomic_long *begun = signal_of(m, rank_here, thread, flight);
    long want = m->travel[thread * m->base.depth + flight].begun;
    for (int turns = 0; atomic_load_explicit(begun, memory_order_acquire) < want; turns++) {
        int flag;
        if (turns < 64) continue;
        if (m->host->size < m->group->ranks) MPI_Iprobe(MPI_ANY_SOURCE, 0, m->comm[thread], &flag, MPI_STATUS_IGNORE);
        sched_yield();
    }
}

static void finish(struct qgm_exchange *exchange, int thread, int flight)
{
    const struct mpi *m = (const struct mpi *)exchange;
    struct travel *t = &m->travel[thread * m->base.depth + flight];
    if (t->requests) MPI_Waitall(t->requests, t->request, MPI_STATUSES_IGNORE);
    t->requests = 0;
    if (m->window == MPI_WIN_NULL) return;
    bool all = t->everyone || t->was_to_everyone;
    for (int k = 0; k < (all ? m->host->size : m->partners); k++) await(m, all ? k : m->partner[k], thread, flight);
}

/* Large messages move only inside calls of MPI. */
static void progress(struct qgm_exchange *exchange, int thread)
{
    struct mpi *m = (struct mpi *)exchange;
    int waiting = 0;
    for (int flight = 0; flight < m->base.depth; flight++) {
        struct travel *t = &m->travel[thread * m->base.depth + flight];
        int done = 0;
        if (!t->requests) continue;
        MPI_Testall(t->requests, t->request, &done, MPI_STATUSES_IGNORE);
        if (done)
            t->requests = 0;
        else if (++waiting == QGM_MAX_DEPTH)
            return; /* each call moves all of them on */
    }
}

static void exchange_close(struct qgm_exchange **exchange)
{
    struct mpi *m = (struct mpi *)*exchange;
    if (!m) return;
    qgm_standing_close(&m->standing);
    for (int t = 0; m->comm && t < m->threads; t++) MPI_Comm_free(&m->comm[t]);
    if (m->window != MPI_WIN_NULL) MPI_Win_free(&m->window);
    qgm_arena_close(&m->arena);
    free(m);
    *exchange = NULL;
}

static const struct qgm_exchange_ops exchange_ops = { .panels = panels,
                                                      .first_buffer = first_buffer,
                                                      .plan = plan,
                                                      .begin = begin,
                                                      .finish = finish,
                                                      .progress = progress,
                                                      .close = exchange_close };

/* All panels of a thread's share, within 64 MiB for those of everyone in both sets. */
static int early_depth(size_t panel, const struct qgm_exchange_size *s)
{
    size_t threads = (size_t)s->threads, panels = (s->dim + panel - 1) / panel, all = (panels + threads - 1) / threads;
    size_t fit = ((size_t)64 << 20) / (threads * 2 * (size_t)s->messages * (size_t)s->clients * panel * s->real);
    if (all > fit) all = fit;
    return all < QGM_MAX_DEPTH ? QGM_MAX_DEPTH : (int)all;
}

/* How messages are cut up, the same in every process. Where all share memory an exchange costs little more than a look
 * at a counter, and panels are small enough for the rows of local clients to stay in the cache. Messages that travel
 * are larger, but short of the 64 KiB from where MPIs shake hands before they send over TCP, and several are under way
 * while others are computed; together they take about 4 MiB a thread. At least four panels a thread, to have something
 * to overlap. */
static void cut(struct qgm_exchange *base, const struct qgm_host *host, const struct qgm_group *g,
                const struct qgm_exchange_size *s)
{
    bool shared = host->size == g->ranks;
    size_t local = (size_t)(s->clients + g->ranks - 1) / (size_t)g->ranks, most, share = s->dim / (size_t)s->threads;
    base->shared = shared;
    base->depth = shared ? 2 : QGM_MAX_DEPTH;
    if (shared)
        most = ((size_t)64 << 10) / (local * s->real);
    else
        most = ((size_t)4 << 20) / (QGM_MAX_DEPTH * 2 * (size_t)s->messages * (local + 2) * s->real);
    if (most > ((size_t)60 << 10) / s->real) most = ((size_t)60 << 10) / s->real;
    if (most > share / 4) most = share / 4;
    base->panel = most < QGM_BLOCK ? QGM_BLOCK : most / QGM_BLOCK * QGM_BLOCK;
    base->early = s->early && !shared;
    if (base->early) base->depth = early_depth(base->panel, s);
}

/* ---- Memory ---- */

static int set_up(struct mpi *m, struct qgm_group *g, const struct qgm_exchange_size *s)
{
    int first = qgm_group_first(g, s->clients, g->rank);
    m->base = (struct qgm_exchange){ .op = &exchange_ops,
                                     .clients = s->clients,
                                     .first = first,
                                     .count = qgm_group_first(g, s->clients, g->rank + 1) - first };
    m->group = g;
    m->host = qgm_host();
    cut(&m->base, m->host, g, s);
    m->threads = s->threads;
    m->messages = s->messages;
    m->real = s->real;
    m->window = MPI_WIN_NULL;
    return m->base.count * (g->ranks - 1) + s->clients - m->base.count; /* most routes */
}

static size_t messages_of(const struct mpi *m) { return flights_of(m) * 2 * (size_t)m->messages; } /* of all sets */
static size_t panel_bytes(const struct mpi *m) { return m->base.panel * m->real + QGM_ALIGN; }

/* Clients of this machine, and of others. */
static int clients_here(const struct mpi *m)
{
    int here = 0;
    for (int p = 0; p < m->group->ranks; p++)
        if (m->host->rank_of[p] >= 0)
            here += qgm_group_first(m->group, m->base.clients, p + 1) - qgm_group_first(m->group, m->base.clients, p);
    return here;
}

static size_t segment_bytes(const struct mpi *m)
{
    size_t page = 4096, bytes = flights_of(m) * sizeof(struct signal);
    bytes += messages_of(m) * (size_t)m->base.count * panel_bytes(m);
    return (bytes + page - 1) / page * page;
}

/* Besides the segment. */
static size_t memory(const struct mpi *m, int routes)
{
    size_t clients = (size_t)m->base.clients, count = (size_t)routes, away = clients - (size_t)clients_here(m);
    return qgm_piece((size_t)m->host->size, sizeof *m->segment) +
           qgm_piece(messages_of(m) * clients, sizeof *m->panel) +
           qgm_piece(messages_of(m) * away * panel_bytes(m), 1) + qgm_piece(flights_of(m), sizeof *m->travel) +
           flights_of(m) * qgm_piece((size_t)m->messages * count, sizeof(MPI_Request)) +
           qgm_piece((size_t)m->threads, sizeof *m->comm) + qgm_piece(clients, sizeof *m->owner) +
           qgm_piece(wanted_bytes(m), 1) + qgm_piece(2 * (size_t)m->host->size, 1) +
           qgm_piece((size_t)m->host->size, sizeof *m->partner) + 2 * qgm_piece(count, sizeof(struct route));
}

/* Every client's panels: where its process has them if that is on this machine, else where they are received. */
static void place_panels(struct mpi *m)
{
    int clients = m->base.clients, away = clients - clients_here(m), seen = 0;
    char *received = qgm_take(&m->arena, messages_of(m) * (size_t)away * panel_bytes(m), 1);
    for (int c = 0; c < clients; c++) {
        int r = m->owner[c], h = m->host->rank_of[r], first = qgm_group_first(m->group, clients, r);
        size_t every = (size_t)(h < 0 ? away : qgm_group_first(m->group, clients, r + 1) - first);
        size_t at = (size_t)(h < 0 ? seen++ : c - first);
        char *base = h < 0 ? received : m->segment[h] + flights_of(m) * sizeof(struct signal);
        for (size_t k = 0; k < messages_of(m); k++)
            m->panel[k * (size_t)clients + (size_t)c] = base + (k * every + at) * panel_bytes(m);
    }
}

static void take_memory(struct mpi *m, int routes)
{
    m->segment = qgm_take(&m->arena, (size_t)m->host->size, sizeof *m->segment);
    m->panel = qgm_take(&m->arena, messages_of(m) * (size_t)m->base.clients, sizeof *m->panel);
    m->travel = qgm_take(&m->arena, flights_of(m), sizeof *m->travel);
    for (size_t f = 0; f < flights_of(m); f++)
        m->travel[f] =
            (struct travel){ .request = qgm_take(&m->arena, (size_t)(m->messages * routes), sizeof(MPI_Request)) };
    m->comm = qgm_take(&m->arena, (size_t)m->threads, sizeof *m->comm);
    m->owner = qgm_take(&m->arena, (size_t)m->base.clients, sizeof *m->owner);
    m->wanted = qgm_take(&m->arena, wanted_bytes(m), 1);
    m->linked = memset(qgm_take(&m->arena, 2 * (size_t)m->host->size, 1), 0, 2 * (size_t)m->host->size);
    m->partner = qgm_take(&m->arena, (size_t)m->host->size, sizeof *m->partner);
    struct route *route[2];
    for (int i = 0; i < 2; i++) route[i] = qgm_take(&m->arena, (size_t)routes, sizeof **route);
    int sends = m->base.count * (m->group->ranks - 1);
    m->neighbours = (struct routes){ .send = route[0], .receive = route[0] + sends };
    m->everyone = (struct routes){ .send = route[1], .receive = route[1] + sends };
    for (int r = 0; r < m->group->ranks; r++)
        for (int i = qgm_group_first(m->group, m->base.clients, r);
             i < qgm_group_first(m->group, m->base.clients, r + 1); i++)
            m->owner[i] = r;
}

/* Pages belong to whoever touches them first: each process clears its own. */
static int open_segments(struct mpi *m, struct qgm_error *err)
{
    MPI_Info info;
    char *mine;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");
    int code = MPI_Win_allocate_shared((MPI_Aint)segment_bytes(m), 1, info, m->host->comm, &mine, &m->window);
    MPI_Info_free(&info);
    if (code != MPI_SUCCESS) {
        m->window = MPI_WIN_NULL;
        return qgm_fail(err, QGM_SYSTEM,
                        "no %zu bytes of memory that the processes of one machine share (is /dev/shm full or small?): "
                        "QGM_MPI_SHARE=1 makes them send messages instead",
                        segment_bytes(m));
    }
    memset(mine, 0, segment_bytes(m));
    for (int h = 0; h < m->host->size; h++) {
        MPI_Aint bytes;
        int unit;
        MPI_Win_shared_query(m->window, h, &bytes, &unit, &m->segment[h]);
    }
    MPI_Barrier(m->host->comm); /* nobody signals before all have cleared theirs */
    return 0;
}

int qgm_exchange_mpi(struct qgm_group *g, struct qgm_exchange **exchange, const struct qgm_exchange_size *s,
                     struct qgm_error *err)
{
    *exchange = NULL;
    struct mpi *m = calloc(1, sizeof *m);
    if (!m) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int routes = set_up(m, g, s);
    bool alone = m->host->size == 1;
    struct qgm_exchange *opened = &m->base;
    if (qgm_arena_open(&m->arena, memory(m, routes) + (alone ? qgm_piece(segment_bytes(m), 1) : 0), err) < 0) {
        free(m);
        return -1;
    }
    take_memory(m, routes);
    for (int t = 0; t < s->threads; t++) MPI_Comm_dup(MPI_COMM_WORLD, &m->comm[t]);
    if (alone) m->segment[0] = qgm_take(&m->arena, segment_bytes(m), 1);
    if ((!alone && open_segments(m, err) < 0) ||
        (m->host->size < g->ranks && qgm_standing_open(&m->standing, m->comm, s->threads, m->base.depth, err) < 0)) {
        exchange_close(&opened);
        return -1;
    }
    place_panels(m);
    memset(m->wanted, 1, wanted_bytes(m));
    list_routes(m, &m->everyone);
    *exchange = opened;
    return 0;
}

size_t qgm_exchange_mpi_bytes(const struct qgm_group *g, const struct qgm_exchange_size *s, struct qgm_exchange *shape)
{
    struct mpi m;
    int routes = set_up(&m, (struct qgm_group *)(uintptr_t)g, s);
    *shape = m.base;
    shape->op = NULL;
    return memory(&m, routes) + segment_bytes(&m);
}
