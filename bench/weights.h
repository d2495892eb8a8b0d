/* Weights of a run in safetensors: where it starts from (--init) and what it leaves (--save).
 * SPDX-License-Identifier: MIT */
#ifndef QGM_WEIGHTS_H
#define QGM_WEIGHTS_H
#include "trainer.h"

/* Read options.init over the initialised first client and the buffers all clients start from; t->note says what kept
 * its initial values. */
int qgm_weights_init(struct qgm_trainer *trainer, struct qgm_error *err);
/* Would that go well? Reads the file into memory of its own: a dry run has no engine. */
int qgm_weights_check(struct qgm_trainer *trainer, struct qgm_error *err);
/* As options.save says: average.safetensors, and client-<i>.safetensors of every client, into the folder. On the way
 * their names end in -step-<step>: those stay. Collective, also where process 0 cannot write. */
int qgm_weights_save(struct qgm_trainer *trainer, const char *folder, bool on_the_way, struct qgm_error *err);

#endif
