/* The engine: memory, one step as segments of the stage table, and what is counted along the way. The work on numbers
 * is in pass.c. SPDX-License-Identifier: MIT */
#include "engine_inside.h"
#include "kernels.h"
#include "needs.h"
#include "registry.h"
#include "spacing.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
static int default_threads(void) { return omp_get_max_threads(); }
#else
static int default_threads(void) { return 1; }
#endif

/* ---- Memory ---- */

static size_t local_edges(const struct qgm_engine *e)
{
    const struct qgm_exchange *ex = e->exchange;
    return e->relays ? e->relay.first_edge[ex->first + ex->count] - e->relay.first_edge[ex->first] : 0;
}

static size_t flights_bytes(const struct qgm_engine *e)
{
    return (size_t)e->pass.threads * (size_t)e->exchange->depth * QGM_FLIGHT_BYTES;
}

static size_t arena_bytes(const struct qgm_engine *e)
{
    const struct qgm_pass *p = &e->pass;
    size_t clients = (size_t)e->exchange->clients, local = (size_t)e->exchange->count, real = e->table->real;
    return qgm_piece(local * p->client, real) + qgm_piece(flights_bytes(e), 1) +
           qgm_piece((size_t)p->threads * p->in_step, real) + qgm_piece(local * e->blocks, sizeof(double)) +
           qgm_piece(local, sizeof(double)) + 2 * qgm_piece(clients, sizeof(double)) +
           qgm_piece((size_t)p->threads, sizeof(struct qgm_ticks)) +
           qgm_piece(e->blocks * 2 * QGM_SPREADS, sizeof(double)) + qgm_piece(2 * local_edges(e) * p->stride, real) +
           qgm_turn_bytes(e) + qgm_late_bytes(e) + qgm_order_bytes(e);
}

static int open_memory(struct qgm_engine *e, struct qgm_error *err)
{
    struct qgm_pass *p = &e->pass;
    size_t clients = (size_t)e->exchange->clients, local = (size_t)e->exchange->count, real = e->table->real;
    QGM_TRY(qgm_arena_open(&e->arena, arena_bytes(e), err));
    p->x = qgm_take(&e->arena, local * p->client, real);
    p->flights = qgm_take(&e->arena, flights_bytes(e), 1);
    memset(p->flights, 0, flights_bytes(e));
    p->in = qgm_take(&e->arena, (size_t)p->threads * p->in_step, real);
    p->partial = qgm_take(&e->arena, local * e->blocks, sizeof(double));
    p->norm = e->norm = qgm_take(&e->arena, local, sizeof(double));
    e->mass = qgm_take(&e->arena, clients, sizeof(double));
    e->mass_next = qgm_take(&e->arena, clients, sizeof(double));
    e->ticks = qgm_take(&e->arena, (size_t)p->threads, sizeof *e->ticks);
    e->telemetry = qgm_take(&e->arena, e->blocks * 2 * QGM_SPREADS, sizeof(double));
    qgm_turn_open(e);
    qgm_late_open(e);
    qgm_order_open(e);
    for (size_t i = 0; i < local; i++) e->norm[i] = 0;
    for (size_t i = 0; i < clients; i++) e->mass[i] = 1;
    memset(e->telemetry, 0, e->blocks * 2 * QGM_SPREADS * sizeof(double));
    if (e->relays) {
        p->edges = qgm_take(&e->arena, 2 * local_edges(e) * p->stride, real);
        p->first_edge = e->relay.first_edge + e->exchange->first;
        p->own = e->relay.own + e->exchange->first;
        memset(p->edges, 0, 2 * local_edges(e) * p->stride * real);
    }
    return 0;
}

/* First touched by the thread that will work on it: pages then lie in that thread's memory. */
static void clear(struct qgm_engine *e)
{
    const struct qgm_pass *p = &e->pass;
    size_t real = e->table->real, rows = (size_t)(2 + p->states), clients = (size_t)e->exchange->count;
#pragma omp parallel for schedule(static, 1) num_threads(p->threads)
    for (int thread = 0; thread < p->threads; thread++) {
        size_t panels = (p->padded + e->exchange->panel - 1) / e->exchange->panel;
        size_t begin = panels * (size_t)thread / (size_t)p->threads * e->exchange->panel;
        size_t end = panels * (size_t)(thread + 1) / (size_t)p->threads * e->exchange->panel;
        if (end >= p->padded) end = p->stride;
        for (size_t r = 0; r < clients * rows; r++) {
            size_t at = r / rows * p->client + r % rows * p->stride + begin;
            memset(p->x + at * real, 0, (end - begin) * real);
        }
    }
}

/* ---- Opening ---- */

/* Memory of edges goes with edges that stay: this no --force-pairing can change. */
static int open_relay(struct qgm_engine *e, struct qgm_error *err)
{
    for (const struct qgm_stage *s = e->algo->stage; s->op; s++) e->relays = e->relays || s->op == QGM_OP_RELAY;
    if (!e->relays) return 0;
    if (qgm_topology_period(e->topology) != 1)
        return qgm_fail(err, QGM_USAGE, "%s keeps a memory of each link; %s changes from step to step: take a tree",
                        e->algo->name, qgm_topology_spec(e->topology));
    return qgm_relay_open(&e->relay, qgm_topology_rows(e->topology, 0), qgm_topology_clients(e->topology), err);
}

static int choose(struct qgm_engine *e, const struct qgm_engine_config *config, struct qgm_error *err)
{
    e->table = config->reference ? &qgm_algo_table_double : qgm_algo_table(qgm_kernels()->isa);
    e->algo = qgm_algo_find(e->table, config->algo, err);
    if (!e->algo) return -1;
    QGM_TRY(qgm_algo_read(e->algo, config->algo, e->knob, &e->local, err));
    if (!config->dim) return qgm_fail(err, QGM_USAGE, "a model of 0 parameters cannot be trained");
    if (!(config->momentum >= 0 && config->momentum < 1))
        return qgm_fail(err, QGM_USAGE, "momentum %g: expected a number from 0 up to, not including, 1",
                        config->momentum);
    if (!config->force_pairing) QGM_TRY(qgm_needs_check(e->algo, config->topology, err));
    e->step = (struct qgm_step){ .momentum = e->algo->momentum ? config->momentum : 0,
                                 .weight_decay = config->weight_decay,
                                 .nesterov = e->algo->nesterov,
                                 .knob = e->knob,
                                 .seed = config->seed };
    return 0;
}

/* Panels belong to threads, and a panel is exchanged between the same threads everywhere: so all processes use as many
 * as the one that has the fewest. */
static int agreed_threads(const struct qgm_engine *e, const struct qgm_engine_config *config)
{
    int threads = config->threads ? config->threads : default_threads(), ranks = e->group->ranks;
    if (ranks == 1) return threads;
    int *all = calloc((size_t)ranks, sizeof *all);
    if (!all) return 1;
    all[e->group->rank] = e->group->many ? threads : 1;
    qgm_group_share(e->group, all, sizeof *all, ranks);
    for (int r = 0; r < ranks; r++)
        if (r == 0 || all[r] < threads) threads = all[r];
    free(all);
    return threads;
}

/* An all-reduce has no message that could get lost, and no sense without one of its clients. */
static int open_faults(struct qgm_engine *e, const struct qgm_engine_config *config, struct qgm_error *err)
{
    size_t clients = (size_t)qgm_topology_clients(e->topology);
    QGM_TRY(qgm_faults_open(&e->faults, &config->faults, (int)clients, err));
    if (!e->faults) return 0;
    for (const struct qgm_stage *s = e->algo->stage; s->op; s++)
        if (s->op == QGM_OP_MEAN)
            return qgm_fail(err, QGM_USAGE,
                            "%s takes means over all clients: faults are of messages between neighbours",
                            e->algo->name);
    e->down = calloc(clients, sizeof *e->down);
    e->arrived = calloc(2 * e->relay.edges + 1, sizeof *e->arrived);
    if (!e->down || !e->arrived) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    e->pass.down = e->down;
    e->pass.arrived = e->relays ? e->arrived : NULL;
    return qgm_late_plan(e, &config->faults, err);
}

/* Is there nothing of the gradient in what a step sends first? */
static bool offers_early(const struct qgm_engine *e)
{
    const struct qgm_stage *s = e->algo->stage;
    for (; s->op == QGM_OP_MAP; s++)
        if (!s->early && (!s->when || s->when(&e->step))) return false;
    return s->op == QGM_OP_MIX;
}

/* Bytes of the last cache of a core, as Linux knows it; 0: unknown. What sysconf tells is all of a socket's on some AMD
 * processors, ten times as much. */
static size_t last_cache(void)
{
    size_t kib = 0;
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
    if (!f) return 0;
    if (fscanf(f, "%zuK", &kib) != 1) kib = 0;
    fclose(f);
    return kib << 10;
}

/* Whether so much stays there, beside what else a training does. Asking for what is there already takes up to a third
 * of a step, but not asking for what is not there doubles it. */
static bool stays_in_cache(size_t bytes) { return bytes <= last_cache() / 8 * 3; }

/* All but the memory. */
static int plan(struct qgm_engine *e, const struct qgm_engine_config *config, struct qgm_error *err)
{
    QGM_TRY(choose(e, config, err));
    struct qgm_pass *p = &e->pass;
    e->group = config->group ? config->group : qgm_group_alone();
    int clients = qgm_topology_clients(config->topology);
    if (e->group->ranks > clients)
        return qgm_fail(err, QGM_USAGE, "%d processes for %d clients: start at most %d", e->group->ranks, clients,
                        clients);
    int threads = agreed_threads(e, config);
    p->algo = e->algo;
    p->in_step = (size_t)e->algo->messages * QGM_BLOCK + QGM_APART;
    p->step = &e->step;
    p->stage = e->active;
    p->dim = config->dim;
    p->padded = qgm_pad16(config->dim);
    p->states = e->algo->states_of ? e->algo->states_of(e->knob) : e->algo->states;
    size_t rows = (size_t)(2 + p->states);
    p->stride = qgm_row_stride(p->padded, rows, e->table->real);
    p->client = qgm_client_stride(p->stride, rows, e->table->real);
    e->blocks = (p->padded + QGM_BLOCK - 1) / QGM_BLOCK;
    p->threads = (size_t)threads < e->blocks ? threads : (int)e->blocks;
    e->topology = config->topology;
    e->telemetry_wanted = config->telemetry;
    e->exchange_size = (struct qgm_exchange_size){ clients,   p->threads,     e->algo->messages,
                                                   p->padded, e->table->real, offers_early(e) };
    QGM_TRY(open_relay(e, err));
    QGM_TRY(open_faults(e, config, err));
    e->bytes = e->group->op->exchange_bytes(e->group, &e->exchange_size, &e->shape);
    e->exchange = &e->shape;
    p->at_hand = stays_in_cache((size_t)e->exchange->count * p->client * e->table->real);
    e->bytes += arena_bytes(e) + sizeof *e;
    return 0;
}

static int open_exchange(struct qgm_engine *e, struct qgm_error *err)
{
    e->exchange = NULL;
    QGM_TRY(e->group->op->exchange(e->group, &e->exchange, &e->exchange_size, err));
    e->pass.exchange = e->exchange;
    return 0;
}

int qgm_engine_open(struct qgm_engine **engine, const struct qgm_engine_config *config, struct qgm_error *err)
{
    struct qgm_engine *e = *engine = calloc(1, sizeof *e);
    if (!e) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    /* The exchange last: were there no memory in one process of a group, closing it would wait for the others. */
    if (plan(e, config, err) < 0 || open_memory(e, err) < 0 || open_exchange(e, err) < 0) {
        qgm_engine_close(engine);
        return -1;
    }
    clear(e);
    return 0;
}

int qgm_engine_measure(size_t *bytes, const struct qgm_engine_config *config, struct qgm_error *err)
{
    struct qgm_engine *e = calloc(1, sizeof *e);
    if (!e) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int result = plan(e, config, err);
    *bytes = e->bytes;
    qgm_engine_close(&e);
    return result;
}

void qgm_engine_close(struct qgm_engine **engine)
{
    struct qgm_engine *e = *engine;
    if (!e) return;
    if (e->exchange && e->exchange != &e->shape) e->exchange->op->close(&e->exchange);
    qgm_arena_close(&e->arena);
    qgm_relay_close(&e->relay);
    qgm_faults_close(&e->faults);
    free(e->down);
    free(e->arrived);
    free(e->age);
    free(e);
    *engine = NULL;
}

/* ---- A step ---- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Run the stages up to and including a barrier on all threads. */
static void run_segment(struct qgm_engine *e)
{
    struct qgm_pass *p = &e->pass;
    double begin = p->ticks ? seconds() : 0;
#pragma omp parallel for schedule(static, 1) num_threads(p->threads) if (p->threads > 1)
    for (int thread = 0; thread < p->threads; thread++) e->table->pass(p, thread);
    if (p->ticks) e->pass_seconds += seconds() - begin;
}

static void finish_norm(struct qgm_engine *e)
{
    for (int i = 0; i < e->exchange->count; i++) {
        double sum = 0;
        for (size_t b = 0; b < e->blocks; b++) sum += e->pass.partial[(size_t)i * e->blocks + b];
        e->norm[i] = sqrt(sum);
    }
}

/* Directed edges in use: every client's in-neighbours, itself excluded. What gets lost was sent, but those that are
 * down send nothing. */
static double edges(const struct qgm_engine *e)
{
    double count = 0;
    for (const struct qgm_row *row = e->offered; row < e->offered + e->exchange->clients; row++)
        for (int k = 0; k < row->n; k++)
            count += row->from[k] != row - e->offered && row->w[k] != 0 && !(e->faults && e->down[row->from[k]]);
    return count;
}

static int ceil_log2(int n)
{
    int log = 0;
    while (1 << log < n) log++;
    return log;
}

/* What a message costs, as a fraction of the vector it stands for. */
static double message(const struct qgm_engine *e)
{
    size_t dim = e->pass.dim, rest = dim % QGM_BLOCK;
    if (!e->algo->words) return 1;
    double words = (double)(dim / QGM_BLOCK) * e->algo->words(&e->step, QGM_BLOCK);
    return (words + (rest ? e->algo->words(&e->step, rest) : 0)) / (double)dim;
}

/* What one stage sends, added to e->sent. links: directed, self excluded. */
static void count_stage(struct qgm_engine *e, const struct qgm_stage *s, double links)
{
    double n = e->exchange->clients, fraction = message(e);
    if (s->op == QGM_OP_MEAN) {
        e->sent[QGM_BITS_SENT] += 2 * (n - 1) * s->arg;
        if (!s->when) e->sent[QGM_BITS_LIN2021] += n * ceil_log2(e->exchange->clients) * s->arg;
    } else if (s->op == QGM_OP_RELAY || (s->op == QGM_OP_MIX && e->step.exchanges)) {
        e->sent[QGM_BITS_SENT] += fraction * s->arg * links;
        e->sent[QGM_BITS_LIN2021] += fraction * s->arg * (e->algo->counted == QGM_LIN2021_ONCE ? n : links + n);
    }
}

/* Which stages are active, in e->active; returns how many. */
static int select_stages(struct qgm_engine *e)
{
    int n = 0;
    double links = edges(e);
    for (const struct qgm_stage *s = e->algo->stage; s < e->algo->stage + QGM_MAX_STAGES && s->op; s++) {
        if (s->when && !s->when(&e->step)) continue;
        e->active[n++] = *s;
        count_stage(e, s, links);
    }
    if (e->algo->counted == QGM_LIN2021_LINKS_AND_MEAN)
        e->sent[QGM_BITS_LIN2021] += e->exchange->clients * ceil_log2(e->exchange->clients);
    return n;
}

static void mix_mass(struct qgm_engine *e)
{
    e->pass.mass = e->mass;
    e->pass.mass_next = e->mass_next;
    for (int i = 0; i < e->exchange->clients; i++) {
        const struct qgm_row *row = &e->pass.rows[i];
        double sum = 0;
        for (int k = 0; k < row->n; k++) sum += row->w[k] * e->mass[row->from[k]];
        e->mass_next[i] = e->step.exchanges ? sum : e->mass[i];
    }
}

/* Relaying goes on over the links it began with; mixing takes lost messages out of the weights. */
static int apply_faults(struct qgm_engine *e, struct qgm_error *err)
{
    size_t edge = 0;
    qgm_faults_step(e->faults, e->step.t);
    for (int i = 0; i < e->exchange->clients; i++) e->down[i] = qgm_faults_down(e->faults, i);
    for (int i = 0; e->relays && i < e->exchange->clients; i++)
        for (int k = 0; k < e->offered[i].n; k++) {
            int j = e->offered[i].from[k];
            if (i == j) continue;
            e->arrived[2 * edge] = qgm_faults_arrives(e->faults, j, i);
            e->arrived[2 * edge++ + 1] = qgm_faults_arrives(e->faults, i, j);
        }
    qgm_late_step(e);
    if (e->relays) return 0;
    enum qgm_lost lost = e->algo->push_sum ? QGM_LOST_KEPT : e->algo->increments ? QGM_LOST_NOTHING : QGM_LOST_OWN;
    e->pass.rows = qgm_faults_rows(e->faults, e->offered, lost);
    return e->pass.rows ? 0 : qgm_fail(err, QGM_SYSTEM, "out of memory");
}

static int begin_step(struct qgm_engine *e, double lr, bool telemetry, struct qgm_error *err)
{
    struct qgm_step *s = &e->step;
    assert(!e->begun || lr == s->lr);
    if (e->begun) return 0;
    s->lr = lr;
    s->per_lr = lr != 0 ? 1 / lr : 0;
    s->exchanges = (s->t + 1) % e->local == 0;
    s->fresh = s->t % e->local == 0;
    e->pass.rows = e->offered = qgm_topology_rows(e->topology, qgm_engine_exchanges(e));
    if (!e->offered)
        return qgm_fail(err, QGM_SYSTEM, "step %ld: out of memory for a draw of %s", s->t,
                        qgm_topology_spec(e->topology));
    if (e->faults) QGM_TRY(apply_faults(e, err));
    if (e->algo->push_sum) mix_mass(e);
    if (e->relays && s->exchanges) qgm_relay_step(&e->relay, e->pass.rows, e->pass.arrived);
    qgm_order_step(e, telemetry);
    if (e->algo->prepare) e->algo->prepare(s);
    e->stages = select_stages(e);
    e->pass.slot = 0;
    return e->exchange->op->plan(e->exchange, e->pass.rows, err);
}

int qgm_engine_early(struct qgm_engine *e, double lr, struct qgm_error *err)
{
    if (!e->exchange->early) return 0;
    QGM_TRY(begin_step(e, lr, e->telemetry_wanted, err)); /* whether this step is asked is not known yet */
    e->begun = true;
    if (!e->step.exchanges || !offers_early(e)) return 0;
    e->pass.stage = e->active;
    e->pass.stages = e->stages;
    e->pass.early = true;
    run_segment(e);
    e->pass.early = false;
    return 0;
}

bool qgm_engine_sends_early(const struct qgm_engine *e) { return offers_early(e); }

void qgm_engine_progress(struct qgm_engine *e, int thread)
{
    if (e->begun && thread < e->pass.threads) e->exchange->op->progress(e->exchange, thread);
}

static void sum_telemetry(const struct qgm_engine *e, struct qgm_telemetry *out)
{
    double sum[2 * QGM_SPREADS] = { 0 }, n = e->exchange->clients;
    for (size_t b = 0; b < e->blocks; b++)
        for (int k = 0; k < 2 * QGM_SPREADS; k++) sum[k] += e->telemetry[b * 2 * QGM_SPREADS + (size_t)k];
    const double *x = sum + 2 * QGM_SPREAD_X, *g = sum + 2 * QGM_SPREAD_G, *c = sum + 2 * QGM_SPREAD_COSINE;
    double gradients = g[0] + n * g[1], up = n; /* sum of || g_i ||^2; clients that have a gradient */
    for (int i = 0; e->faults && i < e->exchange->clients; i++) up -= e->down[i];
    double mean = n / up, spread = g[0] - (mean - 1) * n * g[1]; /* of these: the others' are zero */
    *out = (struct qgm_telemetry){ .consensus = sqrt(x[0] / n),
                                   .mean_norm = sqrt(x[1]),
                                   .zeta2 = (spread < 0 ? 0 : spread) / up,
                                   .grad_norm = mean * sqrt(g[1]),
                                   .cosine = NAN };
    if (e->algo->velocity && c[1] > 0 && gradients > 0) out->cosine = c[0] / sqrt(c[1] * gradients);
}

/* Whatever is left in the rows of clients that are down is not of this step. */
static void clear_gradients(struct qgm_engine *e)
{
    for (int i = e->exchange->first; i < e->exchange->first + e->exchange->count; i++)
        if (e->down[i]) memset(qgm_engine_row(e, i, 1), 0, e->pass.padded * e->table->real);
}

/* What no stage from `end` on touches is as it will be after the step; so is the momentum when gradients are. */
static unsigned ready_to_watch(const struct qgm_engine *e, int end)
{
    unsigned later = qgm_rows_touched(e->active + end, e->active + e->stages, QGM_STATE(e->pass.states) - 1);
    return QGM_WATCHED_BEFORE | (later & QGM_X ? 0 : QGM_WATCHED_X) | (later & QGM_G ? 0 : QGM_WATCHED_G);
}

int qgm_engine_step(struct qgm_engine *e, double lr, struct qgm_telemetry *telemetry, struct qgm_error *err)
{
    assert(!telemetry || e->telemetry_wanted);
    QGM_TRY(begin_step(e, lr, telemetry, err));
    if (telemetry && e->faults) clear_gradients(e);
    int n = e->stages;
    unsigned unseen = QGM_WATCHED_X | (e->algo->spends_gradient ? QGM_WATCHED_BEFORE : QGM_WATCHED_G);
    bool elsewhere = e->group->ranks > 1;
    e->pass.telemetry = telemetry && !elsewhere ? e->telemetry : NULL;
    for (int begin = 0, end; begin < n; begin = end) {
        for (end = begin; end < n && e->active[end].op != QGM_OP_NORM; end++) continue;
        bool barrier = end < n;
        end += barrier;
        e->pass.stage = e->active + begin;
        e->pass.stages = end - begin;
        e->pass.watched = unseen & ready_to_watch(e, end);
        unseen &= ~e->pass.watched;
        qgm_order_segment(e);
        if (telemetry && elsewhere) qgm_engine_observe(e, e->pass.watched & QGM_WATCHED_BEFORE);
        run_segment(e);
        if (telemetry && elsewhere) qgm_engine_observe(e, e->pass.watched & ~(unsigned)QGM_WATCHED_BEFORE);
        for (int s = begin; s < end; s++) e->pass.slot += e->active[s].op == QGM_OP_MIX ? e->active[s].arg : 0;
        if (barrier) finish_norm(e);
    }
    if (e->algo->push_sum) {
        double *old = e->mass;
        e->mass = e->mass_next;
        e->mass_next = old;
    }
    if (telemetry) sum_telemetry(e, telemetry);
    e->step.t++;
    e->begun = false;
    return 0;
}
