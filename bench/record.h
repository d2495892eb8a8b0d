/* What a run leaves behind: run.jsonl (configuration and machine first, then an object an evaluation, then the end) and
 * metrics.csv, in a folder that appears under its name only when it is complete. SPDX-License-Identifier: MIT */
#ifndef QGM_RECORD_H
#define QGM_RECORD_H
#include "flags.h"

/* One evaluation. The columns of metrics.csv and the keys of run.jsonl come from the table in record.c. */
struct qgm_evaluation {
    double step, epoch, lr, train_loss;
    double test_images;                      /* images each model was evaluated on */
    double mean, worst, best, average_model; /* test accuracy in percent: over clients; of the averaged parameters */
    double test_loss;                        /* cross-entropy, mean over clients */
    double consensus, mean_norm, zeta2, grad_norm, cosine; /* struct qgm_telemetry */
    double sent_mb;                                        /* megabytes a client has sent to others so far */
    double train_s, load_s, gradient_s, update_s, eval_s;  /* wall-clock so far; load and gradient: mean over threads */
    double images_per_s;                                   /* training only, evaluation excluded */
};

struct qgm_record {
    char out[QGM_TEXT], part[QGM_TEXT + 8];
    FILE *jsonl, *csv;
    bool force;
};
/* Begin a record in the folder `out` (its parents are made); out "" records nothing, and all calls succeed.
 * An existing `out` is refused unless force. */
int qgm_record_open(struct qgm_record *record, const char *out, bool force, struct qgm_error *err);
int qgm_record_object(struct qgm_record *record, json_t *object, struct qgm_error *err); /* steals the reference */
int qgm_record_evaluation(struct qgm_record *record, const struct qgm_evaluation *e, struct qgm_error *err);
/* All written and synced, the folder gets its name; on failure nothing is left. */
int qgm_record_finish(struct qgm_record *record, struct qgm_error *err);
void qgm_record_abandon(struct qgm_record *record); /* remove what was begun; safe after finish */

/* The table printed on stdout: a heading, then a line an evaluation. */
void qgm_print_evaluation_head(FILE *to);
void qgm_print_evaluation(FILE *to, const struct qgm_evaluation *e);

/* Make a folder and its missing parents. */
int qgm_make_folder(const char *path, struct qgm_error *err);
/* json_real, or null for what JSON cannot say (NaN, infinity). */
json_t *qgm_json_number(double x);

#endif
