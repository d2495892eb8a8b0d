/* What a pass is to read next, asked of the memory while it computes: the rows of the clients whose turn comes, piece
 * by piece. For files compiled per ISA. SPDX-License-Identifier: MIT */
#ifndef QGM_AHEAD_H
#define QGM_AHEAD_H
#include "block.h"
#include "observe.h"
#include "pass.h"
#include "relay.h"

/* NEAREST, NEAR: the nearest caches, in bytes, as far as they are to be counted on: a first level and a little more,
 * and half of a usual second level. LEAD: how far ahead of its use a row is asked for, in bytes: many times what is
 * under way at once, and so little that what was asked for is still in the second level when its turn comes. PIECE:
 * elements of a row that are asked for at a time: memory likes long pieces, and a core waits with its work when it has
 * asked for more lines at once than it can keep account of, a dozen or two. */
enum {
    NEAREST = 64 << 10,
    NEAR = 512 << 10,
    LEAD = 32 << 10,
    PIECE = 128,
    COMPRESS_CALLS = 7,
    LONG_CALLS = 3 * QGM_BLOCK / QGM_TURN,
    MOST_PIECES = (2 + QGM_MAX_STATES) * QGM_BLOCK / PIECE
};

struct ahead {
    const struct qgm_pass *pass;
    int clients, begun;         /* clients whose first part has begun, or is the next to */
    size_t unit, at, end;       /* elements of each client's turn; where this unit begins; end of the thread's share */
    unsigned touched, rows;     /* rows that the segment touches, as in struct qgm_stage; how many they are */
    size_t offset[MOST_PIECES]; /* of a client's pieces in the order they are asked for, from its x on: elements */
    size_t piece;               /* elements */
    size_t each, whole;         /* pieces of a client's rows in a unit; of all clients' */
    size_t near, far;           /* how far ahead, at least and at most: pieces */
    size_t asked;               /* pieces of this unit and the next ones that have been asked for */
    size_t calls, due;          /* of ahead_look in a unit; what is to be asked for, in pieces / calls */
    /* The piece that is asked for next: of which client, which of its pieces; where its unit begins. */
    int local;
    size_t next, from;
    const real *x; /* of that client, at its unit */
};

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

static inline real *row_of(const struct qgm_pass *p, int local, int row) /* row: 0 x, 1 g, 2... states */
{
    return (real *)p->x + (size_t)local * p->client + (size_t)row * p->stride;
}

/* Rows that the segment's maps touch, as in struct qgm_stage, and those that telemetry reads. */
static inline unsigned ahead_touched_(const struct qgm_pass *p)
{
    unsigned all = QGM_STATE(p->states) - 1, rows = qgm_rows_touched(p->stage, p->stage + p->stages, all);
    unsigned watched = p->telemetry ? p->watched : 0;
    if (watched & QGM_WATCHED_X) rows |= QGM_X;
    if (watched & (QGM_WATCHED_BEFORE | QGM_WATCHED_G))
        rows |= QGM_G | (p->algo->velocity ? QGM_STATE(p->algo->velocity - 1) : 0);
    if (p->algo->spends_gradient && rows & QGM_STATE(p->states)) rows |= QGM_G;
    return rows & all;
}

static inline void ahead_rows(struct ahead *a)
{
    a->touched = ahead_touched_(a->pass);
    for (unsigned left = a->touched; left; left &= left - 1) a->rows++;
}

/* There is no first part: gradients are summed up where they lie. */
static inline bool ahead_of_mean_(const struct ahead *a) { return a->pass->stages && a->pass->stage->of_g; }

/* Calls in a unit: by run_client, by the search for the k largest about COMPRESS_CALLS a message, in the long maps of
 * the compressed algorithms LONG_CALLS, by means and by telemetry for each few columns. Where other compressors make
 * fewer, ahead_look catches up when it falls behind. */
static inline size_t ahead_calls_(const struct ahead *a, int parts)
{
    const struct qgm_pass *p = a->pass;
    size_t columns = a->unit / (4 * VF) * (((size_t)a->clients + QGM_WATCH_CLIENTS - 1) / QGM_WATCH_CLIENTS);
    size_t calls = (size_t)a->clients * ((ahead_of_mean_(a) ? 0 : 2) + 4 * (size_t)(parts - 1));
    for (const struct qgm_stage *s = p->stage; s < p->stage + p->stages; s++)
        if (s->op == QGM_OP_MEAN) calls += (size_t)s->arg * a->unit / (4 * VF);
    if (p->algo->words) calls += (size_t)a->clients * ((size_t)p->algo->messages * COMPRESS_CALLS + LONG_CALLS);
    if (p->telemetry)
        for (unsigned left = p->watched; left; left &= left - 1) calls += columns;
    return calls;
}

static inline void ahead_at_(struct ahead *a) { a->x = row_of(a->pass, a->local, 0) + a->from; }

/* Once the unit, the rows and where to begin are known. */
static inline void ahead_plan(struct ahead *a, int parts)
{
    a->piece = a->unit < 4 * PIECE ? a->unit / 4 : PIECE;
    for (size_t k = 0; k < a->unit; k += a->piece)
        for (size_t row = 0; row < 2 + QGM_MAX_STATES; row++)
            if (a->touched >> row & 1) a->offset[a->each++] = row * a->pass->stride + k;
    a->whole = (size_t)a->clients * a->each;
    size_t lead = least(LEAD / (a->piece * sizeof(real)), a->whole);
    a->near = lead / 2, a->far = 2 * lead;
    /* Telemetry before the step wants the rows of so many clients at once; a mean of gradients wants those of all, so
     * the next unit's are asked for during this one. */
    if (a->pass->telemetry && a->pass->watched & QGM_WATCHED_BEFORE)
        a->near = least(QGM_WATCH_CLIENTS, (size_t)a->clients) * a->each;
    if (ahead_of_mean_(a)) a->near = 0, a->far = a->whole;
    if (a->far < 2 * a->near) a->far = 2 * a->near;
    a->calls = ahead_calls_(a, parts);
    a->from = a->at;
    ahead_at_(a);
}

/* len: a multiple of four lines. Forced inline: GCC drops calls of a function that does nothing else. */
VF_INLINE void ahead_row_(const real *from, size_t len)
{
    enum { LINE = QGM_ALIGN };
    for (const char *p = (const char *)from, *end = (const char *)(from + len); p < end; p += 4 * LINE) {
        __builtin_prefetch(p, 0, QGM_SECOND_LEVEL);
        __builtin_prefetch(p + LINE, 0, QGM_SECOND_LEVEL);
        __builtin_prefetch(p + 2 * LINE, 0, QGM_SECOND_LEVEL);
        __builtin_prefetch(p + 3 * LINE, 0, QGM_SECOND_LEVEL);
    }
}

static inline void ahead_begin_at_(struct ahead *a, int client)
{
    bool next = client >= a->clients; /* the first of the next unit */
    a->asked = (size_t)client * a->each;
    a->local = next ? 0 : client;
    a->from = next ? a->at + a->unit : a->at;
    a->next = 0;
    ahead_at_(a);
}

static inline void ahead_edges_(const struct ahead *a)
{
    const struct qgm_pass *p = a->pass;
    size_t at = a->from + a->next / a->rows * a->piece;
    for (size_t link = 0; link < relay_links(p, a->local); link++)
        for (int sent = 0; sent < 2; sent++) ahead_row_(relay_row(p, a->local, link, sent) + at, a->piece);
}

/* Ask for a piece. What is behind the end of the thread's share is none of its business, but for the rest of a unit. */
VF_INLINE void ahead_ask_(struct ahead *a)
{
    if (a->from < a->end) {
        ahead_row_(a->x + a->offset[a->next], a->piece);
        if (a->pass->edges && a->next % a->rows == 0) ahead_edges_(a);
    }
    a->asked++;
    if (++a->next < a->each) return;
    a->next = 0;
    if (++a->local == a->clients) a->local = 0, a->from += a->unit;
    ahead_at_(a);
}

/* What is due of the clients after those whose first part has begun: in a unit as many pieces as it has, spread evenly
 * over all that it does, telemetry included. A core that asks for more at once waits for it there and then, and while
 * it does what asks for nothing the memory waits for it. NULL: nothing is to be asked for. */
__attribute__((unused)) static void ahead_look(struct ahead *a)
{
    if (!a) return;
    size_t now = (size_t)a->begun * a->each, most = now + a->far;
    if (a->asked < now) ahead_begin_at_(a, a->begun);
    if (a->asked - now < a->near) ahead_ask_(a); /* behind */
    for (a->due += a->whole; a->due >= a->calls; a->due -= a->calls)
        if (a->asked < most) ahead_ask_(a);
}

/* The unit is done. */
static inline void ahead_next_unit(struct ahead *a) { a->asked = a->asked > a->whole ? a->asked - a->whole : 0; }

#endif
