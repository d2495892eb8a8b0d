/* From examples of a data set to a model's batch. SPDX-License-Identifier: MIT */
#ifndef QGM_FEED_H
#define QGM_FEED_H
#include "dataset.h"
#include "model.h"

/* What a model must read to be trained on these examples. */
struct qgm_input qgm_feed_input(const struct qgm_examples *from);
/* Bytes that a batch of n takes from the arena. */
size_t qgm_feed_bytes(const struct qgm_examples *from, int n);
/* The examples of index as a batch, in the arena: images normalised and augmented (augment NULL: not), texts padded to
 * the longest among them. */
struct qgm_batch qgm_feed(const struct qgm_dataset *dataset, const struct qgm_examples *from, const uint32_t *index,
                          int n, const struct qgm_augment *augment, struct qgm_arena *arena);

#endif
