/* A run that can be taken up again: all that later steps depend on, in <out>.part/checkpoint-<step>.safetensors. Reads
 * back to the same bits on any instruction set and number of threads or processes. SPDX-License-Identifier: MIT */
#ifndef QGM_CHECKPOINT_H
#define QGM_CHECKPOINT_H
#include "record.h"
#include "trainer.h"

/* Saving and loading are collective: process 0 reads and writes, the others hand over what is theirs, so any number of
 * processes may take a run up, and only process 0 needs the disk.
 *
 * Write one at the engine's step, beside the record so far; the one before it stays, older ones go. seconds: what the
 * run has taken. */
int qgm_checkpoint_save(struct qgm_trainer *trainer, struct qgm_record *record, double seconds, struct qgm_error *err);
/* The newest step there is a checkpoint of, whether it can be read or not; -1: none. */
long qgm_checkpoint_newest(const struct qgm_record *record);
/* Take up the newest that is whole; `note` (size >= 1) says which ones were not and why. 1: done; 0: there is none. A
 * run that was started with other flags, or on other data, is a QGM_USAGE error that lists the differences. */
int qgm_checkpoint_load(struct qgm_trainer *trainer, struct qgm_record *record, double *seconds, char *note,
                        size_t size, struct qgm_error *err);

#endif
