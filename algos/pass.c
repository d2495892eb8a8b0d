/* One segment of a step, block by block: maps write messages, exchanges turn them into neighbour sums, maps make the
 * new state, all of it while a block's messages sit in L1 and L2. Compiled once per ISA, and in double.
 * SPDX-License-Identifier: MIT */
#include "pass.h"
#include "block.h"

/* Where in the segment and in memory a piece of work stands. */
struct place {
    const struct qgm_pass *pass;
    const struct qgm_stage *before;      /* the exchange that precedes this part; NULL for the first */
    const struct qgm_stage *begin, *end; /* maps of this part */
    bool stayed;                /* the exchange before was the identity: messages are where they were written */
    bool relays, sends_late;    /* the exchange that follows is a RELAY; is a MIX where messages may be late */
    int slot;                   /* of the first message that this part makes, in p->late */
    int thread, flight, buffer; /* buffer: where this part's messages go; the other one holds what arrived */
    size_t at, in_panel, len;   /* index in the vector and in the panel, elements */
    uint64_t since;             /* time of the last stamp */
};

static real *row_of(const struct qgm_pass *p, int local, int row) /* row: 0 x, 1 g, 2... states */
{
    return (real *)p->x + (size_t)local * p->client + (size_t)row * p->stride;
}

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

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- Exchanges ---- */

/* out = sum_j w_j in_j[at ...], `wide` vectors at a time: what a neighbour costs, its address and its weight, is then
 * shared among them. Forced inline so that the usual numbers of neighbours become constants. */
VF_INLINE void mix_body(real *out, char *const *in, const struct qgm_row *row, int n, size_t at, size_t len, int wide)
{
    for (size_t k = 0; k < len; k += (size_t)wide * VF) {
        vf sum[4], w = vf_of(row->w[0]);
        const real *from = (const real *)in[row->from[0]] + at + k;
        UNROLL
        for (int v = 0; v < wide; v++) sum[v] = vf_mul(w, vf_load(from + v * VF));
        for (int j = 1; j < n; j++) {
            w = vf_of(row->w[j]);
            from = (const real *)in[row->from[j]] + at + k;
            UNROLL
            for (int v = 0; v < wide; v++) sum[v] = vf_fma(w, vf_load(from + v * VF), sum[v]);
        }
        UNROLL
        for (int v = 0; v < wide; v++) vf_store(out + k + v * VF, sum[v]);
    }
}

static void mix(real *out, char *const *in, const struct qgm_row *row, size_t at, size_t len)
{
    if (len % (4 * VF))
        mix_body(out, in, row, row->n, at, len, 1);
    else if (row->n == 3) /* a ring */
        mix_body(out, in, row, 3, at, len, 4);
    else if (row->n == 5) /* a torus */
        mix_body(out, in, row, 5, at, len, 4);
    else
        mix_body(out, in, row, row->n, at, len, 4);
}

/* The same where the client's neighbours get an older message than the one it made for itself. */
static void mix_late(real *out, char *const *in, const struct qgm_row *row, int self, const real *own, size_t at,
                     size_t len)
{
    for (int j = 0; j < row->n; j++) {
        const real *from = row->from[j] == self ? own : (const real *)in[row->from[j]] + at;
        vf w = vf_of(row->w[j]);
        for (size_t k = 0; k < len; k += VF)
            vf_store(out + k, j ? vf_fma(w, vf_load(from + k), vf_load(out + k)) : vf_mul(w, vf_load(from + k)));
    }
}

/* The mean of all clients' messages: ascending sum, one division. */
static void mean(real *out, char *const *in, int clients, size_t at, size_t len)
{
    vf n = vf_of(clients);
    for (size_t k = 0; k < len; k += VF) {
        vf sum = vf_load((const real *)in[0] + at + k);
        for (int j = 1; j < clients; j++) sum = vf_add(sum, vf_load((const real *)in[j] + at + k));
        vf_store(out + k, vf_div(sum, n));
    }
}

/* ---- Relaying on a tree (Vogels et al. 2021): i sends to j what it has and what came to it from elsewhere ----
 * Client i publishes T_i = out_i + sum over neighbours of what came last. What j is meant to get is T_i less what i had
 * from j, which j knows, for j sent it: so a message to each neighbour is one message to all. */

static real *edge_row(const struct qgm_pass *p, int local, size_t neighbour, int sent)
{
    return (real *)p->edges + (2 * (p->first_edge[local] - p->first_edge[0] + neighbour) + (size_t)sent) * p->stride;
}

/* out <- T */
static void publish(const struct place *w, int local, real *out)
{
    const struct qgm_pass *p = w->pass;
    size_t neighbours = p->first_edge[local + 1] - p->first_edge[local];
    for (size_t e = 0; e < neighbours; e++) {
        const real *came = edge_row(p, local, e, 0) + w->at;
        for (size_t k = 0; k < w->len; k += VF) vf_store(out + k, vf_add(vf_load(out + k), vf_load(came + k)));
    }
}

/* in <- sum over neighbours of T_j - (what went to j); remember it, and what goes to j now */
static void collect(const struct place *w, int local, int client, char *const *panel, real *in)
{
    const struct qgm_pass *p = w->pass;
    const struct qgm_row *row = &p->rows[client];
    const real *mine = (const real *)panel[client] + w->in_panel;
    const bool *arrived = p->arrived ? p->arrived + 2 * p->first_edge[local] : NULL;
    for (size_t k = 0; k < w->len; k += VF) vf_store(in + k, vf_zero());
    size_t e = 0;
    for (int j = 0; j < row->n; j++) {
        if (row->from[j] == client) continue;
        const real *theirs = (const real *)panel[row->from[j]] + w->in_panel;
        real *came = edge_row(p, local, e, 0) + w->at, *went = edge_row(p, local, e, 1) + w->at;
        bool comes = arrived ? arrived[2 * e] : true, goes = arrived ? arrived[2 * e + 1] : true;
        e++;
        for (size_t k = 0; k < w->len; k += VF) {
            vf now = comes ? vf_sub(vf_load(theirs + k), vf_load(went + k)) : vf_zero();
            vf_store(went + k, goes ? vf_sub(vf_load(mine + k), vf_load(came + k)) : vf_zero());
            vf_store(came + k, now);
            vf_store(in + k, vf_add(vf_load(in + k), now));
        }
    }
}

static real *in_buffer(const struct place *w, int message)
{
    return (real *)w->pass->in + ((size_t)w->thread * (size_t)w->pass->algo->messages + (size_t)message) * QGM_BLOCK;
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

/* Set b->in for one client. What does not depend on the client was made by `receive_shared`. */
static void receive(const struct place *w, int local, int client, struct qgm_block *b)
{
    const struct qgm_pass *p = w->pass;
    for (int m = 0; m < w->before->arg; m++) {
        int buffer = w->stayed ? w->buffer : !w->buffer;
        char *const *from = p->exchange->op->panels(p->exchange, w->thread, w->flight, buffer, m);
        b->in[m] = in_buffer(w, m);
        if (w->before->op == QGM_OP_RELAY) collect(w, local, client, from, in_buffer(w, m));
        if (w->before->op != QGM_OP_MIX) continue;
        if (p->step->exchanges && p->late.sent && p->late.age[client])
            mix_late(in_buffer(w, m), from, &p->rows[client], client,
                     sent_row(w, local, w->slot - w->before->arg + m, 0), w->in_panel, w->len);
        else if (p->step->exchanges)
            mix(in_buffer(w, m), from, &p->rows[client], w->in_panel, w->len);
        else /* a copy: the next messages may go to the same place */
            copy(in_buffer(w, m), (const real *)from[client] + w->in_panel, w->len);
    }
}

static void receive_shared(const struct place *w)
{
    const struct qgm_pass *p = w->pass;
    if (!w->before || w->before->op != QGM_OP_MEAN) return;
    for (int m = 0; m < w->before->arg; m++)
        mean(in_buffer(w, m), p->exchange->op->panels(p->exchange, w->thread, w->flight, !w->buffer, m),
             p->exchange->clients, w->in_panel, w->len);
}

/* ---- Parts ---- */

static double square(const real *x, size_t len)
{
    vf sum = vf_zero();
    for (size_t k = 0; k < len; k += VF) sum = vf_fma(vf_load(x + k), vf_load(x + k), sum);
    return (double)vf_sum(sum);
}

/* The maps between two exchanges, on one block of every local client. */
static void run_part(struct place *w)
{
    const struct qgm_pass *p = w->pass;
    const struct qgm_exchange *ex = p->exchange;
    size_t blocks = (p->padded + QGM_BLOCK - 1) / QGM_BLOCK;
    struct qgm_block b = { .len = w->len, .at = w->at, .used = least(p->dim - w->at, w->len) };
    receive_shared(w);
    spent(w, QGM_PHASE_MIX);
    for (int i = 0; i < ex->count; i++) {
        b.client = ex->first + i;
        b.x = row_of(p, i, 0) + w->at;
        b.g = row_of(p, i, 1) + w->at;
        for (int s = 0; s < p->states; s++) b.state[s] = row_of(p, i, 2 + s) + w->at;
        if (p->algo->spends_gradient) b.state[p->states] = row_of(p, i, 1) + w->at;
        for (int m = 0; m < p->algo->messages; m++)
            b.out[m] = (real *)ex->op->panels(p->exchange, w->thread, w->flight, w->buffer, m)[b.client] + w->in_panel;
        b.norm = p->norm[i];
        if (p->mass) {
            b.mass = p->mass[b.client];
            b.mass_next = p->mass_next[b.client];
        }
        if (p->edges) {
            b.own = p->own[i];
            b.share = 1.0 / ex->clients;
        }
        if (w->before) {
            receive(w, i, b.client, &b);
            spent(w, QGM_PHASE_MIX);
        }
        if (p->down && p->down[b.client]) continue;
        for (const struct qgm_stage *s = w->begin; s < w->end; s++)
            if (s->op == QGM_OP_MAP)
                s->map(p->step, &b);
            else /* NORM, the last of a segment */
                p->partial[(size_t)i * blocks + w->at / QGM_BLOCK] = square(b.state[s->arg], w->len);
        if (w->relays) publish(w, i, b.out[0]);
        if (w->sends_late) send_late(w, i, b.client, b.out);
        spent(w, w->before ? QGM_PHASE_POST : QGM_PHASE_PRE);
    }
}

/* ---- Telemetry ---- */

/* Sum over clients of || v_i - vbar ||^2 and || vbar ||^2, on one block, each row read once: with d_i = v_i - v_0 the
 * former is sum || d_i ||^2 - n || dbar ||^2, where little cancels, since the d_i are no larger than what they measure.
 * Equal vectors give exactly 0. */
static void spread(const real *v, const struct qgm_view *view, size_t len, double out[2])
{
    size_t n = (size_t)view->clients, step = view->step;
    vf count = vf_of((double)n), apart = vf_zero(), together = vf_zero();
    for (size_t k = 0; k < len; k += VF) {
        vf first = vf_load(v + k), sum = vf_zero(), squares = vf_zero();
        for (size_t i = 1; i < n; i++) {
            vf d = vf_sub(vf_load(v + k + i * step), first);
            sum = vf_add(sum, d);
            squares = vf_fma(d, d, squares);
        }
        vf offset = vf_div(sum, count), centre = vf_add(first, offset);
        apart = vf_add(apart, vf_max(vf_fnma(sum, offset, squares), vf_zero()));
        together = vf_fma(centre, centre, together);
    }
    out[0] = (double)vf_sum(apart);
    out[1] = (double)vf_sum(together);
}

/* Sums over clients of <v, g> and || v ||^2, where v is the state that plays the part of a momentum. Every fourth
 * vector has the same accumulator: one for all would wait for itself. */
static void cosine(const struct qgm_view *view, size_t len, double out[2])
{
    vf both[4] = { vf_zero(), vf_zero(), vf_zero(), vf_zero() }, own[4] = { both[0], both[0], both[0], both[0] };
    for (size_t i = 0; i < (size_t)view->clients; i++) {
        const real *v = (const real *)view->v + i * view->step, *g = (const real *)view->g + i * view->step;
        size_t k = 0;
        for (; k + 4 * VF <= len; k += 4 * VF) UNROLL
        for (size_t a = 0; a < 4; a++) {
            vf m = vf_load(v + k + a * VF);
            both[a] = vf_fma(m, vf_load(g + k + a * VF), both[a]);
            own[a] = vf_fma(m, m, own[a]);
        }
        for (size_t a = 0; k < len; k += VF, a++) {
            vf m = vf_load(v + k);
            both[a] = vf_fma(m, vf_load(g + k), both[a]);
            own[a] = vf_fma(m, m, own[a]);
        }
    }
    out[0] = (double)vf_sum(vf_add(vf_add(both[0], both[1]), vf_add(both[2], both[3])));
    out[1] = (double)vf_sum(vf_add(vf_add(own[0], own[1]), vf_add(own[2], own[3])));
}

/* Sums are made for pieces of this many elements and added in their order, however much of a block is at hand. */
enum { PIECE = QGM_BLOCK / 4 };

static void add_pieces(struct qgm_view view, size_t len, double *out)
{
    for (size_t k = 0; k < len; k += PIECE) {
        double sum[2 * QGM_SPREADS] = { 0 };
        size_t piece = least(len - k, PIECE);
        if (view.x) spread(view.x, &view, piece, sum + 2 * QGM_SPREAD_X);
        if (view.g) spread(view.g, &view, piece, sum + 2 * QGM_SPREAD_G);
        if (view.v) cosine(&view, piece, sum + 2 * QGM_SPREAD_COSINE);
        for (int i = 0; i < 2 * QGM_SPREADS; i++) out[i] += sum[i];
        if (view.x) view.x = (const real *)view.x + PIECE;
        if (view.g) view.g = (const real *)view.g + PIECE;
        if (view.v) view.v = (const real *)view.v + PIECE;
    }
}

static void clear(const struct qgm_view *view, double *out)
{
    const bool measured[QGM_SPREADS] = { view->x, view->g, view->v };
    for (int i = 0; i < 2 * QGM_SPREADS; i++)
        if (measured[i / 2]) out[i] = 0;
}

void QGM_ISA(qgm_pass_observe)(const struct qgm_view *view, size_t len, double *out)
{
    clear(view, out);
    add_pieces(*view, len, out);
}

static void observe(const struct qgm_pass *p, size_t at, size_t len)
{
    struct qgm_view view = { .x = row_of(p, 0, 0) + at, .step = p->client, .clients = p->exchange->count };
    if (!p->algo->spends_gradient) {
        view.g = row_of(p, 0, 1) + at;
        view.v = p->algo->velocity ? row_of(p, 0, 1 + p->algo->velocity) + at : NULL;
    }
    double *out = p->telemetry + at / QGM_BLOCK * 2 * QGM_SPREADS;
    if (at % QGM_BLOCK == 0) clear(&view, out);
    add_pieces(view, len, out);
}

/* ---- The walk ---- */

static bool is_exchange(enum qgm_op op) { return op == QGM_OP_MIX || op == QGM_OP_MEAN || op == QGM_OP_RELAY; }

/* A panel on its way through the segment. */
struct flight {
    struct place w;
    size_t at, len;       /* of the vector */
    bool active, travels; /* travels: its messages are under way */
};

/* How much goes through the whole stage table at a time. Less than a block finds the rows of x and the states still in
 * L1 or L2 when the second part wants them, while many clients are better off with longer pieces of each row (a step of
 * 16 clients is 10 % faster with 256 elements than with 1024, one of 128 with 512, one of 4096 is 30 % slower). Where
 * results depend on blocks it stays a block: sums of NORM, compression. Messages that travel go by panel: many small
 * ones would take turns in what is in flight, and each turn costs a latency of the network. */
static size_t unit_of(const struct qgm_pass *p)
{
    bool sums = p->stage[p->stages - 1].op == QGM_OP_NORM;
    bool travels = p->exchange->depth > 2; /* to other machines */
    if (p->exchange->panel > QGM_BLOCK || travels || sums || p->algo->fraction) return p->exchange->panel;
    return p->exchange->count <= 64 ? QGM_BLOCK / 4 : p->exchange->count <= 256 ? QGM_BLOCK / 2 : QGM_BLOCK;
}

static void take_off(struct flight *f, const struct qgm_pass *p, size_t at, size_t len)
{
    struct qgm_exchange *ex = p->exchange;
    struct place start = {
        .pass = p, .begin = p->stage, .slot = p->slot, .thread = f->w.thread, .flight = f->w.flight
    };
    if (ex->op->first_buffer) start.buffer = ex->op->first_buffer(ex, f->w.thread, f->w.flight);
    f->w = start;
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
    const struct qgm_stage *stop = p->stage + p->stages;
    if (p->ticks) w->since = ticks();
    if (f->travels) ex->op->finish(ex, w->thread, w->flight);
    f->travels = false;
    spent(w, QGM_PHASE_EXCHANGE);
    for (w->end = w->begin; w->end < stop && !is_exchange(w->end->op); w->end++) continue;
    w->relays = w->end < stop && w->end->op == QGM_OP_RELAY;
    w->sends_late = p->late.sent && p->step->exchanges && w->end < stop && w->end->op == QGM_OP_MIX;
    for (w->in_panel = 0; w->in_panel < f->len; w->in_panel += QGM_BLOCK) {
        w->at = f->at + w->in_panel;
        w->len = least(f->len - w->in_panel, QGM_BLOCK);
        run_part(w);
        if (ex->op->progress) ex->op->progress(ex, w->thread);
        spent(w, QGM_PHASE_EXCHANGE);
        if (w->end == stop && p->telemetry) observe(p, w->at, w->len);
        spent(w, QGM_PHASE_TELEMETRY);
    }
    if (w->end == stop) {
        f->active = false;
        return;
    }
    f->travels = p->step->exchanges || w->end->op != QGM_OP_MIX;
    if (f->travels) ex->op->begin(ex, w->thread, w->flight, w->buffer, w->end->arg, f->len, w->end->op == QGM_OP_MEAN);
    spent(w, QGM_PHASE_EXCHANGE);
    if (w->end->op == QGM_OP_MIX) w->slot += w->end->arg;
    w->before = w->end;
    w->begin = w->end + 1;
    w->stayed = !f->travels;
    if (f->travels) w->buffer = !w->buffer;
}

/* Panels in flight take turns: while the messages of one travel, the maps of another run. */
void QGM_ISA(qgm_pass_run)(const struct qgm_pass *p, int thread)
{
    struct flight flights[QGM_MAX_DEPTH] = { 0 };
    size_t panel = p->exchange->panel, panels = (p->padded + panel - 1) / panel, unit = unit_of(p);
    size_t next = panels * (size_t)thread / (size_t)p->threads * panel;
    size_t end = least(panels * (size_t)(thread + 1) / (size_t)p->threads * panel, p->padded);
    for (bool busy = true; busy;) {
        busy = false;
        for (int i = 0; i < p->exchange->depth; i++) {
            struct flight *f = &flights[i];
            f->w.thread = thread;
            f->w.flight = i;
            if (!f->active && next < end) {
                take_off(f, p, next, least(end - next, unit));
                next += f->len;
            }
            if (!f->active) continue;
            advance(f);
            busy = true;
        }
    }
}
