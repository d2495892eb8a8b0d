/* What a run leaves behind: run.jsonl (configuration and machine first, then an object an evaluation, then the end) and
 * metrics.csv, in a folder that appears under its name only when it is complete: until then it is <out>.part.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_RECORD_H
#define QGM_RECORD_H
#include "flags.h"

/* One evaluation. The columns of metrics.csv and the keys of run.jsonl come from the table in record.c. */
struct qgm_evaluation {
    double step, epoch, lr, train_loss;
    double test_images;                      /* images each model was evaluated on */
    double mean, worst, best, average_model; /* test accuracy in percent: over clients; of the averaged parameters */
    double gossiped;                         /* mean over clients after extra rounds of gossip; NaN: not asked for */
    double test_loss;                        /* cross-entropy, mean over clients */
    double consensus, mean_norm, zeta2, grad_norm, cosine; /* struct qgm_telemetry */
    double sent_mb;    /* 1e6 bytes a client has sent to others so far; a tensor is padded to a multiple of 16 floats */
    double counted_mb; /* the same as --bits-dialect counts: lin2021 without the padding */
    double train_s, load_s, gradient_s, update_s, eval_s; /* wall-clock so far; load and gradient: mean over threads */
    double simulated_s;                                   /* on the cluster of --network; NaN without */
    double images_per_s;                                  /* training only, evaluation excluded */
};

enum { QGM_RECORD_FILES = 2 };
extern const char *const qgm_record_files[QGM_RECORD_FILES];

struct qgm_record {
    char out[QGM_TEXT], part[QGM_TEXT + 8]; /* its name when complete, and until then */
    FILE *file[QGM_RECORD_FILES];
    int lock;
    bool force;
};
/* The names alone: `out` without slashes at its end, and `part`. Nothing is touched. */
int qgm_record_name(struct qgm_record *record, const char *out, struct qgm_error *err);
/* Is the name free? With force an empty folder, or one that a run has made and that holds nothing else, is no reason to
 * refuse: it will be replaced. */
int qgm_record_check(const struct qgm_record *record, bool force, struct qgm_error *err);
/* The last record of a finished run of this configuration under the name `out`, for the caller to json_decref; NULL
 * when there is none. */
json_t *qgm_record_end(const struct qgm_record *record, uint64_t configuration);
/* Claim the folder `out` (its parents are made); out "" records nothing, and all calls succeed. Refused is what
 * qgm_record_check refuses, and a record that another process writes to. */
int qgm_record_open(struct qgm_record *record, const char *out, bool force, struct qgm_error *err);
/* Start the files: anew (text NULL; whatever an earlier run left in `part` goes), or with what they held once. */
int qgm_record_begin(struct qgm_record *record, char *const text[QGM_RECORD_FILES], const size_t size[QGM_RECORD_FILES],
                     struct qgm_error *err);
/* All that a file holds so far, malloc'ed. */
int qgm_record_read(struct qgm_record *record, int file, char **text, size_t *size, struct qgm_error *err);
int qgm_record_object(struct qgm_record *record, json_t *object, struct qgm_error *err); /* steals the reference */
int qgm_record_evaluation(struct qgm_record *record, const struct qgm_evaluation *e, struct qgm_error *err);
/* All written and synced, the folder gets its name and loses its checkpoints. A folder that is replaced is removed
 * after that. On an error all is still in `part`. */
int qgm_record_finish(struct qgm_record *record, struct qgm_error *err);
/* Leave `part` behind, to be taken up again (keep), or remove it. Safe after finish. */
void qgm_record_abandon(struct qgm_record *record, bool keep);

/* The table printed on stdout: a heading, then a line an evaluation. The accuracy after gossip is in both where e has
 * one. */
void qgm_print_evaluation_head(FILE *to, const struct qgm_evaluation *e);
void qgm_print_evaluation(FILE *to, const struct qgm_evaluation *e);

/* Make a folder and its missing parents. */
int qgm_make_folder(const char *path, struct qgm_error *err);
/* json_real, or null for what JSON cannot say (NaN, infinity). */
json_t *qgm_json_number(double x);

#endif
