/* Epoch samplers: a fresh permutation of a client's examples every epoch. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>

int qgm_sampler_open(struct qgm_sampler *s, const struct qgm_partition *partition, int batch, bool shared_order,
                     uint64_t seed, struct qgm_error *err)
{
    *s = (struct qgm_sampler){ .partition = partition, .seed = seed, .batch = batch, .shared_order = shared_order };
    if (batch < 1 || batch > 1 << 20) return qgm_fail(err, QGM_USAGE, "batch %d: expected 1 to %d", batch, 1 << 20);
    for (int i = 0; i < partition->clients; i++)
        if (partition->start[i] == partition->start[i + 1])
            return qgm_fail(err, QGM_USAGE, "client %d has no examples to sample from", i);
    size_t total = partition->start[partition->clients];
    s->order = malloc((total ? total : 1) * 2 * sizeof *s->order);
    s->spare = s->order ? s->order + total : NULL;
    s->epoch = malloc((size_t)partition->clients * sizeof *s->epoch);
    if (!s->order || !s->epoch) {
        qgm_sampler_close(s);
        return qgm_fail(err, QGM_SYSTEM, "out of memory for the samplers");
    }
    for (int i = 0; i < partition->clients; i++) s->epoch[i] = -1;
    return 0;
}

void qgm_sampler_close(struct qgm_sampler *s)
{
    free(s->order);
    free(s->epoch);
    memset(s, 0, sizeof *s);
}

static uint32_t size_of(const struct qgm_sampler *s, int client)
{
    return s->partition->start[client + 1] - s->partition->start[client];
}

long qgm_sampler_batches(const struct qgm_sampler *s, int client)
{
    return ((long)size_of(s, client) + s->batch - 1) / s->batch;
}

static uint32_t length_of(const struct qgm_sampler *s, uint32_t first, uint32_t position)
{
    uint32_t example = s->partition->index[first + position];
    return s->starts[example + 1] - s->starts[example];
}

/* Stable: counting sorts by byte after byte of the length, of which a text of up to 255 tokens has one. */
static void sort_by_length(const struct qgm_sampler *s, uint32_t first, uint32_t *order, uint32_t *spare, uint32_t n)
{
    uint32_t longest = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t length = length_of(s, first, order[k]);
        if (length > longest) longest = length;
    }
    for (int shift = 0; shift < 32 && longest >> shift; shift += 8) {
        uint32_t at[257] = { 0 };
        for (uint32_t k = 0; k < n; k++) at[(length_of(s, first, order[k]) >> shift & 255) + 1]++;
        for (int value = 0; value < 256; value++) at[value + 1] += at[value];
        for (uint32_t k = 0; k < n; k++) spare[at[length_of(s, first, order[k]) >> shift & 255]++] = order[k];
        memcpy(order, spare, n * sizeof *order);
    }
}

/* Sort a window, then shuffle its full batches. */
static void bucket(const struct qgm_sampler *s, struct qgm_random *r, uint32_t first, uint32_t *order, uint32_t *spare,
                   uint32_t n)
{
    uint32_t size = (uint32_t)s->batch;
    sort_by_length(s, first, order, spare, n);
    for (uint32_t b = n / size; b > 1; b--) {
        uint32_t other = qgm_random_below(r, b);
        for (uint32_t k = 0; k < size; k++) {
            uint32_t *x = &order[(b - 1) * size + k], *y = &order[other * size + k], swap = *x;
            *x = *y;
            *y = swap;
        }
    }
}

/* The permutation of an epoch depends on nothing before: it starts from the identity. */
static void permute(struct qgm_sampler *s, int client, long epoch)
{
    uint32_t first = s->partition->start[client], n = size_of(s, client), *order = s->order + first;
    struct qgm_random r =
        qgm_random(s->seed, QGM_RANDOM_SAMPLE, s->shared_order ? 0 : (uint32_t)client, (uint32_t)epoch);
    for (uint32_t k = 0; k < n; k++) order[k] = k;
    qgm_random_shuffle(&r, order, n);
    uint32_t window = QGM_WINDOW * (uint32_t)s->batch;
    for (uint32_t at = 0; s->starts && at < n; at += window)
        bucket(s, &r, first, order + at, s->spare + first + at, n - at < window ? n - at : window);
    s->epoch[client] = epoch;
}

int qgm_sampler_next(struct qgm_sampler *s, int client, long step, uint32_t *index)
{
    uint32_t first = s->partition->start[client], size = size_of(s, client), *order = s->order + first;
    long batches = qgm_sampler_batches(s, client), epoch = step / batches;
    if (s->epoch[client] != epoch) permute(s, client, epoch);
    uint32_t at = (uint32_t)(step % batches) * (uint32_t)s->batch;
    int n = (int)(size - at < (uint32_t)s->batch ? size - at : (uint32_t)s->batch);
    for (int k = 0; k < n; k++) index[k] = s->partition->index[first + order[at + (uint32_t)k]];
    return n;
}
