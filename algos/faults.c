/* The schedule of faults, and mixing weights without what they take. SPDX-License-Identifier: MIT */
#include "faults.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>

struct qgm_faults {
    struct qgm_fault_config config;
    int clients;
    long step;
    bool *down;
    struct qgm_row *row;
    int *from;        /* of all rows, one after the other */
    double *w, *kept; /* kept: [client], what comes back to a sender */
    size_t room;
};

int qgm_faults_open(struct qgm_faults **faults, const struct qgm_fault_config *config, int clients,
                    struct qgm_error *err)
{
    *faults = NULL;
    bool late = config->stale > 0 && config->stale_steps > 0;
    if (!(config->drop > 0 || config->links > 0 || config->crash > 0 || late)) return 0;
    if (clients > 65536) return qgm_fail(err, QGM_USAGE, "faults: at most 65536 clients");
    struct qgm_faults *f = calloc(1, sizeof *f);
    if (!f) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    *f = (struct qgm_faults){ .config = *config, .clients = clients };
    f->down = calloc((size_t)clients, sizeof *f->down);
    f->row = calloc((size_t)clients, sizeof *f->row);
    f->kept = calloc((size_t)clients, sizeof *f->kept);
    *faults = f;
    if (f->down && f->row && f->kept) return 0;
    qgm_faults_close(faults);
    return qgm_fail(err, QGM_SYSTEM, "out of memory");
}

void qgm_faults_close(struct qgm_faults **faults)
{
    struct qgm_faults *f = *faults;
    if (!f) return;
    free(f->down);
    free(f->row);
    free(f->from);
    free(f->w);
    free(f->kept);
    free(f);
    *faults = NULL;
}

/* What a number is drawn for: part of every result, never renumber. */
enum kind { DROP, LINK, CRASH, KINDS };

static bool happens(const struct qgm_faults *f, double probability, enum kind kind, uint32_t who, long step)
{
    if (!(probability > 0)) return false;
    struct qgm_random r = qgm_random(f->config.seed, QGM_RANDOM_FAULT, who, (uint32_t)step * KINDS + (uint32_t)kind);
    return qgm_random_double(&r) < probability;
}

static uint32_t pair(int a, int b) { return (uint32_t)a << 16 | (uint32_t)b; }

/* Down when it crashed in one of the last crash_steps steps: no state, so a run may begin anywhere. */
bool qgm_faults_down_in(const struct qgm_faults *f, int client, long step)
{
    for (long s = step; f->config.crash > 0 && s >= 1 && s > step - f->config.crash_steps; s--)
        if (happens(f, f->config.crash, CRASH, (uint32_t)client, s)) return true;
    return false;
}

void qgm_faults_step(struct qgm_faults *f, long step)
{
    f->step = step;
    for (int i = 0; i < f->clients; i++) f->down[i] = qgm_faults_down_in(f, i, step);
}

bool qgm_faults_down(const struct qgm_faults *f, int client) { return f->down[client]; }

bool qgm_faults_arrives(const struct qgm_faults *f, int from, int to)
{
    if (from == to) return true;
    if (f->down[from] || f->down[to]) return false;
    return !happens(f, f->config.links, LINK, from < to ? pair(from, to) : pair(to, from), f->step) &&
           !happens(f, f->config.drop, DROP, pair(from, to), f->step);
}

/* Exchanges that a message of `step` is under way. The first of all, and the first after a crash, is on time: no other
 * could stand in. */
static int delay(const struct qgm_faults *f, int client, long step, int every)
{
    if (step < every || qgm_faults_down_in(f, client, step - every)) return 0;
    struct qgm_random r = qgm_random(f->config.seed, QGM_RANDOM_LATE, (uint32_t)client, (uint32_t)step);
    if (!(qgm_random_double(&r) < f->config.stale)) return 0;
    return 1 + (int)qgm_random_below(&r, (uint32_t)f->config.stale_steps);
}

int qgm_faults_age(const struct qgm_faults *f, int client, int every)
{
    int age = 0;
    if (f->down[client] || f->config.stale_steps < 1) return 0;
    while (delay(f, client, f->step - (long)age * every, every) > age) age++;
    return age;
}

static bool make_room(struct qgm_faults *f, const struct qgm_row *rows)
{
    size_t need = 0;
    for (int i = 0; i < f->clients; i++) need += (size_t)rows[i].n;
    if (need <= f->room) return true;
    int *from = realloc(f->from, need * sizeof *from);
    if (from) f->from = from;
    double *w = realloc(f->w, need * sizeof *w);
    if (w) f->w = w;
    if (from && w) f->room = need;
    return from && w;
}

const struct qgm_row *qgm_faults_rows(struct qgm_faults *f, const struct qgm_row *rows, enum qgm_lost lost)
{
    if (!make_room(f, rows)) return NULL;
    size_t at = 0;
    for (int i = 0; i < f->clients; i++) f->kept[i] = 0;
    for (int i = 0; i < f->clients; i++) {
        struct qgm_row *out = &f->row[i];
        *out = (struct qgm_row){ .from = f->from + at, .w = f->w + at };
        for (int k = 0; k < rows[i].n; k++) {
            int j = rows[i].from[k];
            if (qgm_faults_arrives(f, j, i)) {
                f->from[at] = j;
                f->w[at++] = rows[i].w[k];
                out->n++;
            } else if (lost != QGM_LOST_NOTHING)
                f->kept[lost == QGM_LOST_OWN ? i : j] += rows[i].w[k];
        }
    }
    for (int i = 0; i < f->clients; i++)
        for (int k = 0; k < f->row[i].n; k++)
            if (f->row[i].from[k] == i) f->w[f->row[i].w - f->w + k] += f->kept[i];
    return f->row;
}
