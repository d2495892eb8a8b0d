/* Epoch samplers: a fresh permutation of a client's examples every epoch. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>

int qgm_sampler_open(struct qgm_sampler *s, const struct qgm_partition *partition, int batch, bool shared_order,
                     uint64_t seed, struct qgm_error *err)
{
    *s = (struct qgm_sampler){ .partition = partition, .seed = seed, .batch = batch, .shared_order = shared_order };
    if (batch < 1) return qgm_fail(err, QGM_USAGE, "batch %d: expected at least 1", batch);
    for (int i = 0; i < partition->clients; i++)
        if (partition->start[i] == partition->start[i + 1])
            return qgm_fail(err, QGM_USAGE, "client %d has no examples to sample from", i);
    size_t total = partition->start[partition->clients];
    s->order = malloc((total ? total : 1) * sizeof *s->order);
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

int qgm_sampler_next(struct qgm_sampler *s, int client, long step, uint32_t *index)
{
    uint32_t first = s->partition->start[client], size = size_of(s, client), *order = s->order + first;
    long batches = qgm_sampler_batches(s, client), epoch = step / batches;
    if (s->epoch[client] != epoch) { /* the permutation depends on the epoch alone: from the identity each time */
        for (uint32_t k = 0; k < size; k++) order[k] = k;
        struct qgm_random r =
            qgm_random(s->seed, QGM_RANDOM_SAMPLE, s->shared_order ? 0 : (uint32_t)client, (uint32_t)epoch);
        qgm_random_shuffle(&r, order, size);
        s->epoch[client] = epoch;
    }
    uint32_t at = (uint32_t)(step % batches) * (uint32_t)s->batch;
    int n = (int)(size - at < (uint32_t)s->batch ? size - at : (uint32_t)s->batch);
    for (int k = 0; k < n; k++) index[k] = s->partition->index[first + order[at + (uint32_t)k]];
    return n;
}
