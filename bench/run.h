/* A whole training run with its records: what qgm-train does, and a study does many times.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_RUN_H
#define QGM_RUN_H
#include "dataset.h"
#include "flags.h"
#include "group.h"
#include "record.h"
#include <signal.h>

struct qgm_outcome {
    struct qgm_evaluation last; /* on the whole test set */
    uint64_t digest;            /* of all clients' final parameters */
    bool diverged;              /* stopped early: a loss was not finite or above 1000 */
    double seconds;
};

/* Called often: how far the run is (0..1) and a few words. With done below 0 before a line is printed: what is shown of
 * the progress is to be taken away. Without a table that is not asked. */
typedef void qgm_watch(void *user, double done, const char *note);

/* Run to the end, by all processes of the group, and leave the record in options->out (if any), written by process 0.
 * table: where to print evaluations, or NULL. An interrupt (qgm_interrupted) ends the run with an error; with
 * options->out its state is kept in <out>.part. */
int qgm_run(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group, FILE *table,
            qgm_watch *watch, void *user, struct qgm_outcome *outcome, struct qgm_error *err);
/* Has the run of these options been finished, so that its record is in options->out, with the weights that are asked
 * for? What came out then goes into *outcome, of `last` the step alone. qgm_run returns this with --resume. */
bool qgm_run_finished(const struct qgm_options *options, struct qgm_outcome *outcome);
/* Is there a finished run, of whatever flags, in options->out? */
bool qgm_run_stands(const struct qgm_options *options);
/* --dry-run: everything opened and checked, and a line of what would run. */
int qgm_run_describe(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                     FILE *to, struct qgm_error *err);

/* Bytes the run would hold: every check of qgm_run, none of the memory. */
int qgm_run_measure(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                    size_t *bytes, struct qgm_error *err);

/* Seconds the run would take on these threads, from its second step; a test costs a third of a training image. */
int qgm_run_estimate(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                     double *seconds, struct qgm_error *err);

extern volatile sig_atomic_t qgm_interrupted; /* 0, or SIGINT, SIGTERM or SIGHUP, once qgm_catch_signals was called */
void qgm_catch_signals(void);

#endif
