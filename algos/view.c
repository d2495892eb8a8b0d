/* What looks at all clients' vectors at once: the average model, the digest, telemetry. Where clients live in several
 * processes, each process gets a share of the blocks, of all clients, and works on these. SPDX-License-Identifier: MIT
 */
#include "engine_inside.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MOST_ROWS = 3 };
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- Blocks of all clients ---- */

size_t qgm_turn_bytes(const struct qgm_engine *e)
{
    size_t ranks = (size_t)e->group->ranks, each = MOST_ROWS * QGM_BLOCK * e->table->real;
    if (ranks == 1) return 0;
    return qgm_piece(ranks * (size_t)e->exchange->count * each, 1) + qgm_piece((size_t)e->exchange->clients * each, 1) +
           qgm_piece(4 * ranks + 2, sizeof(int)) + qgm_piece(e->pass.dim, sizeof(float));
}

void qgm_turn_open(struct qgm_engine *e)
{
    struct qgm_turn *t = &e->turn;
    size_t ranks = (size_t)e->group->ranks, each = MOST_ROWS * QGM_BLOCK * e->table->real;
    if (ranks == 1) return;
    t->mine = qgm_take(&e->arena, ranks * (size_t)e->exchange->count * each, 1);
    t->all = qgm_take(&e->arena, (size_t)e->exchange->clients * each, 1);
    t->out = qgm_take(&e->arena, 4 * ranks + 2, sizeof(int));
    t->guest = qgm_take(&e->arena, e->pass.dim, sizeof(float));
    t->in = t->out + ranks;
    t->first = t->in + ranks;
    t->element = t->first + ranks + 1;
    for (size_t r = 0; r <= ranks; r++) {
        t->first[r] = (int)(e->blocks * r / ranks);
        t->element[r] = (int)least((size_t)t->first[r] * QGM_BLOCK, e->pass.dim);
        if (r && t->first[r] - t->first[r - 1] > t->rounds) t->rounds = t->first[r] - t->first[r - 1];
    }
}

/* Elements of the block-th block of process r's share: 0 behind its end. */
static size_t length(const struct qgm_engine *e, int r, int block)
{
    const int *first = e->turn.first;
    if (first[r] + block >= first[r + 1]) return 0;
    return least(e->pass.padded - (size_t)(first[r] + block) * QGM_BLOCK, QGM_BLOCK);
}

/* Bring block `block` of this process's share here, these rows of all clients: [client][row][length]. Collective. */
static void take_turn(struct qgm_engine *e, int block, int rows, const int *row)
{
    struct qgm_turn *t = &e->turn;
    size_t real = e->table->real, mine = length(e, e->group->rank, block) * real;
    char *to = t->mine;
    for (int r = 0; r < e->group->ranks; r++) {
        size_t bytes = length(e, r, block) * real, at = (size_t)(t->first[r] + block) * QGM_BLOCK * real;
        int clients =
            qgm_group_first(e->group, e->exchange->clients, r + 1) - qgm_group_first(e->group, e->exchange->clients, r);
        t->out[r] = (int)bytes * e->exchange->count * rows;
        t->in[r] = (int)mine * clients * rows;
        for (int i = 0; bytes && i < e->exchange->count; i++)
            for (int k = 0; k < rows; k++, to += bytes)
                memcpy(to, qgm_engine_row(e, e->exchange->first + i, row[k]) + at, bytes);
    }
    e->group->op->turn(e->group, t->mine, t->out, t->all, t->in);
}

void qgm_engine_observe(struct qgm_engine *e, unsigned what)
{
    if (!what) return;
    bool params = what & QGM_WATCHED_X, gradients = what & (QGM_WATCHED_BEFORE | QGM_WATCHED_G);
    int velocity = gradients ? e->algo->velocity : 0, rows = 0, row[MOST_ROWS];
    if (params) row[rows++] = 0;
    if (gradients) row[rows++] = 1;
    if (velocity) row[rows++] = 1 + velocity;
    const struct qgm_turn *t = &e->turn;
    const int *order = what & QGM_WATCHED_BEFORE ? NULL : e->pass.finish; /* as in a pass */
    for (int block = 0; block < t->rounds; block++) {
        take_turn(e, block, rows, row);
        size_t len = length(e, e->group->rank, block), bytes = len * e->table->real;
        const char *next = t->all;
        struct qgm_view view = { .step = (size_t)rows * len, .clients = e->exchange->clients, .order = order };
        if (params) view.x = next;
        if (gradients) view.g = next += params ? bytes : 0;
        if (velocity) view.v = next + bytes;
        double *out = e->telemetry + (size_t)(t->first[e->group->rank] + block) * 2 * QGM_SPREADS;
        if (len) e->table->observe(&view, len, out);
    }
    e->group->op->share(e->group, e->telemetry, 2 * QGM_SPREADS * sizeof(double), t->first);
}

/* ---- The average ---- */

/* out = mean of `clients` rows that are `step` apart. */
static void average(const float *x, size_t step, int clients, size_t len, float *out)
{
    double sum[QGM_BLOCK] = { 0 };
    for (int i = 0; i < clients; i++)
        for (size_t k = 0; k < len; k++) sum[k] += (double)x[(size_t)i * step + k];
    for (size_t k = 0; k < len; k++) out[k] = (float)(sum[k] / clients);
}

void qgm_engine_average(struct qgm_engine *e, float *out)
{
    size_t dim = e->pass.dim;
    const int x = 0;
    for (size_t at = 0; e->group->ranks == 1 && at < dim; at += QGM_BLOCK)
        average(qgm_engine_params(e, 0) + at, e->pass.client, e->exchange->clients, least(dim - at, QGM_BLOCK),
                out + at);
    for (int block = 0; block < e->turn.rounds; block++) {
        take_turn(e, block, 1, &x);
        size_t at = (size_t)(e->turn.first[e->group->rank] + block) * QGM_BLOCK;
        size_t len = length(e, e->group->rank, block);
        if (len)
            average((const float *)(const void *)e->turn.all, len, e->exchange->clients, least(dim - at, len),
                    out + at);
    }
    e->group->op->share(e->group, out, sizeof *out, e->turn.element);
}

/* ---- The digest ---- */

static void digest_row(XXH3_state_t *state, const float *x, size_t dim)
{
    for (size_t at = 0; at < dim; at += QGM_BLOCK) {
        size_t len = least(dim - at, QGM_BLOCK);
        uint32_t bits[QGM_BLOCK];
        memcpy(bits, x + at, len * sizeof *bits);
        for (size_t k = 0; k < len; k++)
            if ((bits[k] & 0x7fffffff) > 0x7f800000) bits[k] = 0x7fc00000; /* any NaN */
        XXH3_64bits_update(state, bits, len * sizeof *bits);
    }
}

/* Process 0 hashes what the others send it, client by client: the state of a hash is no message. */
uint64_t qgm_engine_digest(struct qgm_engine *e)
{
    struct qgm_group *g = e->group;
    size_t dim = e->pass.dim;
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (int i = 0; i < e->exchange->clients; i++) {
        int owner = qgm_group_owner(g, e->exchange->clients, i);
        const float *x = owner == g->rank ? qgm_engine_params(e, i) : NULL;
        x = qgm_group_fetch(g, owner, x, e->turn.guest, dim * sizeof *x);
        if (g->rank == 0) digest_row(&state, x, dim);
    }
    uint64_t digest = XXH3_64bits_digest(&state);
    g->op->tell(g, &digest, sizeof digest);
    return digest;
}
