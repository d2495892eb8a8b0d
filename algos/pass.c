/* One segment of a step, block by block: maps write messages, exchanges turn them into neighbour sums, maps make the
 * new state, all of it while a block's messages sit in L1 and L2. Compiled once per ISA, and in double.
 * SPDX-License-Identifier: MIT */
#include "pass.h"
#include "ahead.h"
#include "block.h"
#include "mix.h"
#include "observe.h"
#include "relay.h"

/* What is the same for all clients in a part: set up once, so that little is left to do for each. */
struct common {
    struct qgm_block block;
    char *const *to[QGM_MAX_MESSAGES], *const *from[QGM_MAX_MESSAGES]; /* panels by client: written, and read */
};

/* Where in the segment and in memory a piece of work stands. */
struct place {
    const struct qgm_pass *pass;
    const struct qgm_stage *before;      /* the exchange that precedes this part; NULL for the first */
    const struct qgm_stage *begin, *end; /* maps of this part */
    bool stayed;                /* the exchange before was the identity: messages are where they were written */
    bool relays, sends_late;    /* the exchange that follows is a RELAY; is a MIX where messages may be late */
    bool sends_g;               /* is a MEAN of gradients that live elsewhere too */
    int slot;                   /* of the first message that this part makes, in p->late */
    int thread, flight, buffer; /* buffer: where this part's messages go; the other one holds what arrived */
    size_t at, in_panel, len;   /* index in the vector and in the panel, elements */
    uint64_t since;             /* time of the last stamp */
    struct ahead *ahead;        /* what to fetch meanwhile; NULL: nothing */
    struct common *common;
};
static void fetch_meanwhile(void *ahead) { ahead_look(ahead); }

/* The processor's counter. */
static uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
    return 0;
#endif
}

/* The time, and it is set down to a phase what went by since; nothing at all unless somebody asks. */
static void spent(struct place *w, enum qgm_phase phase)
{
    if (!w->pass->ticks) return;
    uint64_t now = ticks();
    w->pass->ticks[w->thread].phase[phase] += now - w->since;
    w->since = now;
}

static real *in_buffer(const struct place *w, int message)
{
    return (real *)w->pass->in + (size_t)w->thread * w->pass->in_step + (size_t)message * QGM_BLOCK;
}

/* What a client has sent as message `slot` so many exchanges ago, from w->at on. */
static real *sent_row(const struct place *w, int local, int slot, int age)
{
    const struct qgm_late *l = &w->pass->late;
    size_t row = ((size_t)local * (size_t)l->slots + (size_t)slot) * (size_t)l->keep;
    return (real *)l->sent + (row + (size_t)((l->exchange - age) % l->keep)) * w->pass->stride + w->at;
}

static void copy(real *to, const real *from, size_t len)
{
    for (size_t k = 0; k < len; k += VF) vf_store(to + k, vf_load(from + k));
}

/* Remember what the client has just made, and send what it is late with. */
static void send_late(const struct place *w, int local, int client, real *const *out)
{
    int age = w->pass->late.age[client];
    for (int m = 0; m < w->end->arg; m++) {
        copy(sent_row(w, local, w->slot + m, 0), out[m], w->len);
        if (age) copy(out[m], sent_row(w, local, w->slot + m, age), w->len);
    }
}

/* Fill block.in, or x, for one client. What does not depend on the client was made by `receive_shared`. */
static void receive(const struct place *w, int local, int client)
{
    const struct qgm_pass *p = w->pass;
    const struct qgm_row *row = &p->rows[client];
    struct qgm_block *b = &w->common->block;
    b->inside = w->before->inside && row->n == QGM_PARTS && p->step->exchanges && !p->late.sent && !p->ticks;
    for (int j = 0; b->inside && j < QGM_PARTS; j++) b->weight[j] = row->w[j];
    for (int m = 0; m < w->before->arg; m++) {
        char *const *from = w->common->from[m];
        real *in = w->before->to_x ? b->x : in_buffer(w, m);
        if (w->before->op == QGM_OP_RELAY) relay_collect(p, local, client, from, w->in_panel, in, w->at, w->len);
        if (w->before->op != QGM_OP_MIX || (p->down && p->down[client])) continue;
        bool kept = p->step->exchanges && p->late.sent;
        b->sent[m] =
            kept ? sent_row(w, local, w->slot - w->before->arg + m, 0) : (const real *)from[client] + w->in_panel;
        if (b->inside)
            for (int j = 0; j < QGM_PARTS; j++) b->part[m][j] = (const real *)from[row->from[j]] + w->in_panel;
        else if (kept && p->late.age[client])
            mix_late(in, from, row, client, b->sent[m], w->in_panel, w->len);
        else if (p->step->exchanges)
            mix(in, from, row, w->in_panel, w->len);
        else /* a copy: the next messages may go to the same place */
            copy(in, (const real *)from[client] + w->in_panel, w->len);
    }
}

/* Means of gradients are taken where these lie, if all are here. */
static bool reads_gradients(const struct qgm_pass *p, const struct qgm_stage *s) { return s->of_g && p->order; }

static void receive_shared(const struct place *w)
{
    const struct qgm_pass *p = w->pass;
    if (!w->before || w->before->op != QGM_OP_MEAN) return;
    for (int m = 0; m < w->before->arg; m++) {
        const struct vectors panels = { .in = w->common->from[m] },
                             rows = { .first = row_of(p, 0, 1), .step = p->client };
        bool of_rows = reads_gradients(p, w->before);
        size_t at = of_rows ? w->at : w->in_panel;
        for (size_t k = 0; k < w->len; k += 4 * VF) {
            mean(in_buffer(w, m) + k, of_rows ? &rows : &panels, p->exchange->clients, at + k,
                 least(w->len - k, 4 * VF));
            ahead_look(w->ahead);
        }
    }
}

/* ---- Parts ---- */

static double square(const real *x, size_t len)
{
    vf sum = vf_zero();
    for (size_t k = 0; k < len; k += VF) sum = vf_fma(vf_load(x + k), vf_load(x + k), sum);
    return (double)vf_sum(sum);
}

/* A part's bounds and buffers are known. */
static void set_common(struct place *w, struct common *c)
{
    const struct qgm_pass *p = w->pass;
    struct qgm_exchange *ex = p->exchange;
    *c = (struct common){ .block.share = p->edges ? 1.0 / ex->clients : 0 };
    for (int m = 0; m < p->algo->messages; m++) c->to[m] = ex->op->panels(ex, w->thread, w->flight, w->buffer, m);
    for (int m = 0; w->before && m < w->before->arg; m++) {
        c->from[m] = ex->op->panels(ex, w->thread, w->flight, w->stayed ? w->buffer : !w->buffer, m);
        c->block.in[m] = in_buffer(w, m);
    }
    w->common = c;
}

/* Here and so much of all clients' rows is next. */
static void set_place(struct place *w, size_t at, size_t in_panel, size_t len)
{
    struct qgm_block *b = &w->common->block;
    w->at = b->at = at;
    w->len = b->len = len;
    w->in_panel = in_panel;
    b->used = least(w->pass->dim - at, len);
}

static void set_client(const struct place *w, int local, int client)
{
    const struct qgm_pass *p = w->pass;
    struct qgm_block *b = &w->common->block;
    real *row = row_of(p, local, 0) + w->at;
    b->client = client;
    b->x = row;
    b->g = row += p->stride;
    if (p->algo->spends_gradient) b->state[p->states] = row;
    for (int s = 0; s < p->states; s++) b->state[s] = row += p->stride;
    for (int m = 0; m < p->algo->messages; m++) b->out[m] = (real *)w->common->to[m][client] + w->in_panel;
    b->norm = p->norm[local];
    if (p->mass) b->mass = p->mass[client], b->mass_next = p->mass_next[client];
    if (p->edges) b->own = p->own[local];
}

/* The maps between two exchanges, on one block of one local client; what the exchange brought is mixed first. */
static void run_client(struct place *w, int local)
{
    const struct qgm_pass *p = w->pass;
    struct qgm_block *b = &w->common->block;
    int client = p->exchange->first + local;
    if (!w->before && w->begin == w->end && !w->sends_g) return;
    set_client(w, local, client);
    if (w->sends_g) copy(b->out[0], b->g, w->len);
    ahead_look(w->ahead);
    if (w->before) {
        ahead_look(w->ahead);
        receive(w, local, client);
        ahead_look(w->ahead);
        spent(w, QGM_PHASE_MIX);
    }
    if (p->down && p->down[client]) return;
    for (const struct qgm_stage *s = w->begin; s < w->end; s++)
        if (s->op == QGM_OP_MAP)
            s->map(p->step, b);
        else /* NORM, the last of a segment */
            p->partial[(size_t)local * ((p->padded + QGM_BLOCK - 1) / QGM_BLOCK) + w->at / QGM_BLOCK] =
                square(b->state[s->arg], w->len);
    if (w->relays) relay_publish(p, local, b->out[0], w->at, w->len);
    if (w->sends_late) send_late(w, local, client, b->out);
    ahead_look(w->ahead);
    spent(w, w->before ? QGM_PHASE_POST : QGM_PHASE_PRE);
}

/* ---- The walk ---- */

static bool is_exchange(enum qgm_op op) { return op == QGM_OP_MIX || op == QGM_OP_MEAN || op == QGM_OP_RELAY; }

static void first_part(struct place *w, const struct qgm_pass *p, int thread, int flight)
{
    const struct qgm_exchange_ops *op = p->exchange->op;
    *w = (struct place){ .pass = p, .begin = p->stage, .slot = p->slot, .thread = thread, .flight = flight };
    if (op->first_buffer) w->buffer = op->first_buffer(p->exchange, thread, flight);
}

/* Find the end of the part that begins at w->begin: true if it is the last. */
static bool bound_part(struct place *w)
{
    const struct qgm_pass *p = w->pass;
    const struct qgm_stage *stop = p->stage + p->stages;
    for (w->end = w->begin; w->end < stop && !is_exchange(w->end->op); w->end++) continue;
    bool last = w->end == stop;
    w->sends_g = !last && w->end->of_g && !reads_gradients(p, w->end);
    w->relays = !last && w->end->op == QGM_OP_RELAY;
    w->sends_late = p->late.sent && p->step->exchanges && !last && w->end->op == QGM_OP_MIX;
    return last;
}

/* Go on behind the exchange that ends this part; travels: it is not the identity. */
static void next_part(struct place *w, bool travels)
{
    if (w->end->op == QGM_OP_MIX) w->slot += w->end->arg;
    w->before = w->end;
    w->begin = w->end + 1;
    w->stayed = !travels;
    if (travels) w->buffer = !w->buffer;
}

static bool travels(const struct place *w) { return w->pass->step->exchanges || w->end->op != QGM_OP_MIX; }

/* ---- All clients here: client by client ----
 * A client's next part runs as soon as its neighbours have made their messages: on a ring the third client's first part
 * is followed by the second's second part, which finds all it wants in the caches that are nearest, be there four
 * clients or thousands. The order comes from the engine. What a client is to read next is fetched meanwhile. */

struct wave {
    const struct qgm_pass *pass;
    struct place part[QGM_MAX_STAGES + 1];
    struct common common[QGM_MAX_STAGES + 1]; /* of each part */
    int parts, clients;
    int done[QGM_MAX_STAGES + 1]; /* clients that are through, by part */
    struct ahead ahead;
    struct qgm_sums *sums; /* telemetry: of each strip of a unit */
};

/* As much of each row at a time as leaves what is between the first part and the last in the nearest caches: memory
 * likes long pieces of a row, overlap with the maps short ones. Where short pieces would not stay in the caches either,
 * long ones are worth more than what a cache further away would keep, and so they are where memory waits for nothing
 * and all waits for all, or little is between them. Where results depend on blocks it is a block: sums of NORM,
 * compression. */
static size_t unit_of(const struct wave *v)
{
    const struct qgm_pass *p = v->pass;
    bool sums = p->stage[p->stages - 1].op == QGM_OP_NORM;
    size_t unit = QGM_BLOCK / 2, span = p->ordered ? 1 : (size_t)v->clients;
    for (int q = 1; p->ordered && q < v->parts; q++) span += (size_t)p->order[q - 1].span;
    size_t each = span * (v->ahead.rows + (size_t)p->algo->messages * (size_t)(v->parts - 1)) * sizeof(real);
    for (; unit > QGM_BLOCK / 4 && each * unit > NEAR; unit /= 2) continue;
    bool little = !p->ordered || each * QGM_BLOCK <= NEAREST;
    bool whole = sums || p->algo->words || (p->at_hand && little);
    return whole || each * unit > 4 * NEAR ? QGM_BLOCK : unit;
}

static void plan_wave(struct wave *v, const struct qgm_pass *p, int thread, size_t begin, size_t end)
{
    struct place w;
    *v = (struct wave){ .pass = p, .clients = p->exchange->count };
    first_part(&w, p, thread, 0);
    while (!bound_part(&w)) {
        v->part[v->parts++] = w;
        next_part(&w, travels(&w));
    }
    v->part[v->parts++] = w;
    v->ahead = (struct ahead){ .pass = p, .clients = v->clients };
    ahead_rows(&v->ahead);
    v->ahead.unit = unit_of(v);
    v->ahead.at = begin, v->ahead.end = end;
    ahead_plan(&v->ahead, v->parts);
    for (int q = 0; q < v->parts; q++) {
        set_common(&v->part[q], &v->common[q]);
        if (p->at_hand) continue;
        v->part[q].ahead = v->common[q].block.user = &v->ahead;
        v->common[q].block.meanwhile = fetch_meanwhile;
    }
}

/* Whose turn it is in a part, and how many clients must be through the part before. */
static int whose(const struct wave *v, int q)
{
    return q && v->pass->ordered ? v->pass->order[q - 1].client[v->done[q]] : v->done[q];
}
static bool ready(const struct wave *v, int q)
{
    if (v->done[q] == v->clients) return false;
    return q == 0 || v->done[q - 1] >= (v->pass->ordered ? v->pass->order[q - 1].ready[v->done[q]] : v->clients);
}

/* Telemetry of the clients at places from ... to - 1, whose rows are at hand. */
static void watch(struct wave *v, int from, int to, unsigned what)
{
    const struct qgm_pass *p = v->pass;
    struct qgm_view view = { .step = p->client,
                             .clients = v->clients,
                             .order = what & QGM_WATCHED_BEFORE ? NULL : p->finish };
    bool gradients = what & (QGM_WATCHED_BEFORE | QGM_WATCHED_G);
    if (!p->at_hand) view.meanwhile = fetch_meanwhile, view.user = &v->ahead;
    const size_t from_at = v->ahead.at, end = least(v->ahead.end, from_at + v->ahead.unit);
    for (size_t at = from_at; at < end; at += QGM_STRIP) {
        double *out = p->telemetry + at / QGM_BLOCK * 2 * QGM_SPREADS;
        if (what & QGM_WATCHED_X) view.x = row_of(p, 0, 0) + at;
        if (gradients) view.g = row_of(p, 0, 1) + at;
        if (gradients && p->algo->velocity) view.v = row_of(p, 0, 1 + p->algo->velocity) + at;
        if (from == 0 && at % QGM_BLOCK == 0) QGM_ISA(qgm_pass_observe_clear)(&view, out);
        QGM_ISA(qgm_pass_observe_some)
        (&view, &v->sums[(at - from_at) / QGM_STRIP], from, to, least(end - at, QGM_STRIP), out);
    }
}

/* Gradients that the step spends, before the next clients begin. */
static void watch_first(struct wave *v)
{
    int done = v->done[0];
    if (!v->pass->telemetry || !(v->pass->watched & QGM_WATCHED_BEFORE) || done % QGM_WATCH_CLIENTS) return;
    watch(v, done, (int)least((size_t)done + QGM_WATCH_CLIENTS, (size_t)v->clients), QGM_WATCHED_BEFORE);
    spent(&v->part[0], QGM_PHASE_TELEMETRY);
}

/* All the rest, when some clients are through. */
static void watch_last(struct wave *v)
{
    int done = v->done[v->parts - 1];
    unsigned what = v->pass->watched & (QGM_WATCHED_X | QGM_WATCHED_G);
    if (!v->pass->telemetry || !what || (done % QGM_WATCH_CLIENTS && done < v->clients)) return;
    watch(v, (done - 1) / QGM_WATCH_CLIENTS * QGM_WATCH_CLIENTS, done, what);
    spent(&v->part[v->parts - 1], QGM_PHASE_TELEMETRY);
}

static void run_unit(struct wave *v)
{
    struct ahead *a = &v->ahead;
    a->begun = 1;
    for (int q = 0; q < v->parts; q++) {
        v->done[q] = 0;
        set_place(&v->part[q], a->at, 0, least(a->end - a->at, a->unit));
    }
    while (true) {
        int q = v->parts - 1;
        while (q >= 0 && !ready(v, q)) q--;
        if (q < 0) break;
        struct place *w = &v->part[q];
        if (w->pass->ticks) w->since = ticks();
        if (v->done[q] == 0) receive_shared(w);
        if (q == 0) watch_first(v);
        run_client(w, whose(v, q));
        v->done[q]++;
        a->begun = v->done[0] + (v->done[0] < v->clients);
        if (q == v->parts - 1) watch_last(v);
    }
    ahead_next_unit(a);
}

static void run_here(const struct qgm_pass *p, int thread, size_t begin, size_t end)
{
    struct wave v;
    struct qgm_sums sums[QGM_BLOCK / QGM_STRIP];
    plan_wave(&v, p, thread, begin, end);
    v.sums = sums;
    for (; v.ahead.at < end; v.ahead.at += v.ahead.unit) run_unit(&v);
}

/* ---- Clients elsewhere too: panel by panel ---- */

/* A panel on its way through the segment. */
struct flight {
    struct place w;
    size_t at, len;       /* of the vector */
    bool active, travels; /* travels: its messages are under way */
};
_Static_assert(sizeof(struct flight) <= QGM_FLIGHT_BYTES, "pass.h keeps too little room for a flight");

static struct flight *flight_of(const struct qgm_pass *p, int thread, int flight)
{
    size_t at = (size_t)thread * (size_t)p->exchange->depth + (size_t)flight;
    return (struct flight *)(void *)(p->flights + at * QGM_FLIGHT_BYTES);
}

static void take_off(struct flight *f, const struct qgm_pass *p, int thread, int flight, size_t at, size_t len)
{
    first_part(&f->w, p, thread, flight);
    f->at = at;
    f->len = len;
    f->active = true;
}

/* The maps up to the next exchange, on one panel; its messages set off. */
static void advance(struct flight *f)
{
    struct place *w = &f->w;
    const struct qgm_pass *p = w->pass;
    struct qgm_exchange *ex = p->exchange;
    if (p->ticks) w->since = ticks();
    if (f->travels) ex->op->finish(ex, w->thread, w->flight);
    f->travels = false;
    spent(w, QGM_PHASE_EXCHANGE);
    bool last = bound_part(w);
    struct common common;
    set_common(w, &common);
    for (size_t k = 0; k < f->len; k += QGM_BLOCK) {
        set_place(w, f->at + k, k, least(f->len - k, QGM_BLOCK));
        receive_shared(w);
        spent(w, QGM_PHASE_MIX);
        for (int i = 0; i < ex->count; i++) run_client(w, i);
        if (ex->op->progress) ex->op->progress(ex, w->thread);
        spent(w, QGM_PHASE_EXCHANGE);
    }
    if (last) {
        f->active = false;
        return;
    }
    f->travels = travels(w);
    if (f->travels) ex->op->begin(ex, w->thread, w->flight, w->buffer, w->end->arg, f->len, w->end->op == QGM_OP_MEAN);
    spent(w, QGM_PHASE_EXCHANGE);
    next_part(w, f->travels);
}

/* Panels in flight take turns: while the messages of one travel, the maps of another run. Those that an early pass has
 * set off are the first. */
static void run_panels(const struct qgm_pass *p, int thread, size_t next, size_t end)
{
    for (int i = 0; i < p->exchange->depth; i++)
        if (flight_of(p, thread, i)->active) next += flight_of(p, thread, i)->len;
    for (bool busy = true; busy;) {
        busy = false;
        for (int i = 0; i < p->exchange->depth; i++) {
            struct flight *f = flight_of(p, thread, i);
            if (!f->active && next < end) {
                take_off(f, p, thread, i, next, least(end - next, p->exchange->panel));
                next += f->len;
            }
            if (!f->active) continue;
            advance(f);
            busy = !p->early;
        }
    }
}

void QGM_ISA(qgm_pass_run)(const struct qgm_pass *p, int thread)
{
    size_t panel = p->exchange->panel, panels = (p->padded + panel - 1) / panel;
    size_t begin = panels * (size_t)thread / (size_t)p->threads * panel;
    size_t end = least(panels * (size_t)(thread + 1) / (size_t)p->threads * panel, p->padded);
    (p->order ? run_here : run_panels)(p, thread, begin, end);
}
