/* The learning rate of each step: linear warm-up, then a factor at each milestone, as in the code of Lin et al.
 * (2021). SPDX-License-Identifier: MIT */
#ifndef QGM_SCHEDULE_H
#define QGM_SCHEDULE_H
#include "flags.h"
#include "topology.h"

struct qgm_schedule {
    double lr, warmup_lr, decay;
    long warmup; /* steps */
    int milestones;
    long at[QGM_MAX_MILESTONES]; /* steps, ascending */
};
/* graph: what --lr-scale graph goes by; per_epoch: steps of an epoch; total: steps of the run. Refuses milestones that
 * are not ascending numbers, or not behind the warm-up. */
int qgm_schedule_open(struct qgm_schedule *schedule, const struct qgm_options *options,
                      const struct qgm_spectrum *graph, long per_epoch, long total, struct qgm_error *err);
double qgm_schedule_lr(const struct qgm_schedule *schedule, long step);

#endif
