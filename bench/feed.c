/* From examples of a data set to a model's batch. SPDX-License-Identifier: MIT */
#include "feed.h"

static size_t floats(const struct qgm_examples *from) { return (size_t)from->h * (size_t)from->w * (size_t)from->c; }

struct qgm_input qgm_feed_input(const struct qgm_examples *from)
{
    return (struct qgm_input){
        .h = from->h, .w = from->w, .c = from->c, .classes = from->classes, .texts = from->token != NULL
    };
}

size_t qgm_feed_bytes(const struct qgm_examples *from, int n)
{
    size_t each = from->start ? (size_t)from->h : floats(from), count = (size_t)n;
    return qgm_piece(count * each, sizeof(float)) + 2 * qgm_piece(count, sizeof(int32_t));
}

static struct qgm_batch feed_texts(const struct qgm_examples *from, const uint32_t *index, int n,
                                   struct qgm_arena *arena)
{
    int width = qgm_tokens_width(from, index, n);
    int32_t *labels = qgm_take(arena, (size_t)n, sizeof *labels),
            *lengths = qgm_take(arena, (size_t)n, sizeof *lengths);
    int32_t *ids = qgm_take(arena, (size_t)n * (size_t)width, sizeof *ids);
    qgm_tokens_fill(from, index, n, width, ids, lengths, labels);
    return (struct qgm_batch){ .n = n, .labels = labels, .tokens = ids, .lengths = lengths, .length = width };
}

struct qgm_batch qgm_feed(const struct qgm_dataset *dataset, const struct qgm_examples *from, const uint32_t *index,
                          int n, const struct qgm_augment *augment, struct qgm_arena *arena)
{
    if (from->start) return feed_texts(from, index, n, arena);
    int32_t *labels = qgm_take(arena, (size_t)n, sizeof *labels);
    float *x = qgm_take(arena, (size_t)n * floats(from), sizeof *x);
    qgm_batch_fill(dataset, from, index, n, augment, x, labels);
    return (struct qgm_batch){ .n = n, .x = x, .labels = labels };
}
