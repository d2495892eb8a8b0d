/* The parts of checkpoints that read no state: their names, and whether one belongs to this run.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_CHECKPOINT_CHECK_H
#define QGM_CHECKPOINT_CHECK_H
#include "archive.h"
#include "checkpoint.h"

#define QGM_CHECKPOINT_KIND "qgm checkpoint 1"
enum { QGM_MOST_CHECKPOINTS = 16 };

void qgm_checkpoint_path(char *path, size_t size, const struct qgm_record *record, long step);
/* Steps of those that are there, the newest first; returns how many. */
int qgm_checkpoint_list(const struct qgm_record *record, long step[QGM_MOST_CHECKPOINTS]);
void qgm_checkpoint_prune(const struct qgm_record *record); /* all but the two newest */
/* Was it written by a run of the same flags on the same data? */
int qgm_checkpoint_compare(const struct qgm_archive *file, const struct qgm_trainer *trainer, struct qgm_error *err);

#endif
