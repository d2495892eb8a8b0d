/* Rules that need no Dirichlet draw. SPDX-License-Identifier: MIT */
#include "dmath.h"
#include "partition.h"
#include <stdlib.h>
#include <string.h>

void qgm_cut_equal(struct qgm_draw *d)
{
    for (int i = 0; i < d->clients; i++) d->sizes[i] = d->n / (uint32_t)d->clients;
}

struct qgm_random qgm_draw_stream(const struct qgm_draw *d, uint32_t client, uint32_t step)
{
    return qgm_random(d->seed, QGM_RANDOM_PARTITION, client, step);
}

void qgm_draw_shuffled(const struct qgm_draw *d, uint32_t *index)
{
    struct qgm_random r = qgm_draw_stream(d, 0, 0);
    for (uint32_t k = 0; k < d->n; k++) index[k] = k;
    qgm_random_shuffle(&r, index, d->n);
}

void qgm_sort_by_class(const struct qgm_draw *d, const uint32_t *index, uint32_t n, uint32_t *to, uint32_t *start)
{
    memset(start, 0, ((size_t)d->classes + 1) * sizeof *start);
    for (uint32_t k = 0; k < n; k++) start[d->labels[index[k]] + 1]++;
    for (int c = 0; c < d->classes; c++) start[c + 1] += start[c];
    for (uint32_t k = 0; k < n; k++) to[start[d->labels[index[k]]]++] = index[k]; /* start[c] ends at class c's end */
    memmove(start + 1, start, (size_t)d->classes * sizeof *start);
    start[0] = 0;
}

void *qgm_draw_memory(size_t count, size_t size, struct qgm_error *err)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) qgm_fail(err, QGM_SYSTEM, "partition: out of memory");
    return memory;
}

int qgm_draw_iid(struct qgm_draw *d, struct qgm_error *err)
{
    (void)err; /* cannot fail */
    qgm_draw_shuffled(d, d->index);
    qgm_cut_equal(d);
    return 0;
}

/* Sorted by class, shuffled or in the order of the data within a class. */
static int sort_all(struct qgm_draw *d, bool shuffled, struct qgm_error *err)
{
    uint32_t *order = qgm_draw_memory(d->n + (size_t)d->classes + 1, sizeof *order, err), *start = order + d->n;
    if (!order) return -1;
    if (shuffled)
        qgm_draw_shuffled(d, order);
    else
        for (uint32_t k = 0; k < d->n; k++) order[k] = k;
    qgm_sort_by_class(d, order, d->n, d->index, start);
    free(order);
    return 0;
}

/* Stable, as the reference's: every client gets one class, or two. */
int qgm_draw_sorted(struct qgm_draw *d, struct qgm_error *err)
{
    QGM_TRY(sort_all(d, false, err));
    qgm_cut_equal(d);
    return 0;
}

int qgm_draw_shards(struct qgm_draw *d, struct qgm_error *err)
{
    uint32_t each = (uint32_t)d->value;
    uint64_t shards = (uint64_t)each * (uint64_t)d->clients;
    if (shards > d->n)
        return qgm_fail(err, QGM_USAGE, "--partition %s: %llu shards for %u examples: use fewer shards or clients",
                        d->spec, (unsigned long long)shards, d->n);
    uint32_t length = d->n / (uint32_t)shards, count = (uint32_t)shards;
    QGM_TRY(sort_all(d, true, err));
    uint32_t *sorted = qgm_draw_memory(d->n + (size_t)count, sizeof *sorted, err), *deck = sorted + d->n;
    if (!sorted) return -1;
    memcpy(sorted, d->index, d->n * sizeof *sorted);
    for (uint32_t s = 0; s < count; s++) deck[s] = s;
    struct qgm_random r = qgm_draw_stream(d, 1, 0);
    qgm_random_shuffle(&r, deck, count);
    for (uint32_t s = 0; s < count; s++)
        memcpy(d->index + (size_t)s * length, sorted + (size_t)deck[s] * length, length * sizeof *sorted);
    for (int i = 0; i < d->clients; i++) d->sizes[i] = each * length;
    free(sorted);
    return 0;
}

/* The first card of the deck that is not among the `k` held ones; `left` if there is none. */
static uint32_t find_card(const uint32_t *deck, uint32_t left, const uint32_t *held, uint32_t k)
{
    for (uint32_t at = 0; at < left; at++) {
        uint32_t h = 0;
        while (h < k && held[h] != deck[at]) h++;
        if (h == k) return at;
    }
    return left;
}

/* Deal the classes like cards: `each` different ones a client, from decks that are shuffled anew when they run out. A
 * card the client already holds stays for the next one, so a deck never has more than 2 * classes cards.
 * owners[c]: how many clients own class c. */
static void deal_classes(const struct qgm_draw *d, uint32_t each, uint32_t *held, uint32_t *owners, uint32_t *deck)
{
    uint32_t left = 0, classes = (uint32_t)d->classes, shuffles = 0, at;
    for (int i = 0; i < d->clients; i++, held += each)
        for (uint32_t k = 0; k < each; k++) {
            if ((at = find_card(deck, left, held, k)) == left) { /* a new deck goes below what is left */
                struct qgm_random r = qgm_draw_stream(d, 1, shuffles++);
                for (uint32_t c = 0; c < classes; c++) deck[left + c] = c;
                qgm_random_shuffle(&r, deck + left, classes);
                left += classes;
                at = find_card(deck, left, held, k);
            }
            held[k] = deck[at];
            owners[deck[at]]++;
            left--;
            memmove(deck + at, deck + at + 1, (left - at) * sizeof *deck);
        }
}

int qgm_draw_classes(struct qgm_draw *d, struct qgm_error *err)
{
    uint32_t each = (uint32_t)d->value, classes = (uint32_t)d->classes;
    if (each > classes) return qgm_fail(err, QGM_USAGE, "--partition %s: the data has %u classes", d->spec, classes);
    if ((uint64_t)each * (uint64_t)d->clients < classes)
        return qgm_fail(err, QGM_USAGE,
                        "--partition %s: %d clients with %u classes each leave some of %u classes to nobody: use more",
                        d->spec, d->clients, each, classes);
    QGM_TRY(sort_all(d, true, err));
    size_t cards = (size_t)each * (size_t)d->clients;
    uint32_t *held = qgm_draw_memory(cards + 5 * (size_t)classes + 1 + d->n, sizeof *held, err);
    if (!held) return -1;
    uint32_t *owners = held + cards, *served = owners + classes, *deck = served + classes, *start = deck + 2 * classes;
    uint32_t *sorted = start + classes + 1, at = 0;
    memcpy(sorted, d->index, d->n * sizeof *sorted);
    for (uint32_t k = 0; k < d->n; k++) start[d->labels[k] + 1]++;
    for (uint32_t c = 0; c < classes; c++) start[c + 1] += start[c];
    deal_classes(d, each, held, owners, deck);
    for (int i = 0; i < d->clients; i++)
        for (uint32_t k = 0; k < each; k++) { /* the served[c]-th of owners[c] nearly equal parts of class c */
            uint32_t c = held[(size_t)i * each + k], size = start[c + 1] - start[c], part = served[c]++;
            uint32_t from = (uint32_t)((uint64_t)size * part / owners[c]);
            uint32_t to = (uint32_t)((uint64_t)size * (part + 1) / owners[c]);
            memcpy(d->index + at, sorted + start[c] + from, (to - from) * sizeof *sorted);
            at += to - from;
            d->sizes[i] += to - from;
        }
    free(held);
    return 0;
}

int qgm_draw_skew(struct qgm_draw *d, struct qgm_error *err)
{
    uint32_t n = (uint32_t)d->clients, share = d->n / n, tail = (uint32_t)(d->value * share), head = share - tail;
    uint32_t *order = qgm_draw_memory(2 * (size_t)d->n + (size_t)d->classes + 1, sizeof *order, err);
    if (!order) return -1;
    uint32_t *sorted = order + d->n, *start = sorted + d->n;
    qgm_draw_shuffled(d, order);
    qgm_sort_by_class(d, order + (size_t)n * head, n * tail, sorted, start);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(d->index + (size_t)i * share, order + (size_t)i * head, head * sizeof *order);
        memcpy(d->index + (size_t)i * share + head, sorted + (size_t)i * tail, tail * sizeof *order);
    }
    qgm_cut_equal(d);
    free(order);
    return 0;
}

/* Every client has one example; the others are cut in proportion to log-normal weights. */
int qgm_draw_quantity(struct qgm_draw *d, struct qgm_error *err)
{
    double *weight = qgm_draw_memory((size_t)d->clients, sizeof *weight, err), sum = 0, cumulated = 0;
    if (!weight) return -1;
    struct qgm_random r = qgm_draw_stream(d, 1, 0);
    for (int i = 0; i < d->clients; i++) sum += weight[i] = qgm_exp(d->value * qgm_random_normal(&r));
    uint32_t rest = d->n - (uint32_t)d->clients, from = 0;
    for (int i = 0; i < d->clients; i++) {
        cumulated += weight[i];
        uint32_t to = i == d->clients - 1 ? rest : (uint32_t)(cumulated / sum * rest);
        if (to > rest) to = rest;
        d->sizes[i] = 1 + to - from;
        from = to;
    }
    qgm_draw_shuffled(d, d->index);
    free(weight);
    return 0;
}
