/* One training run: everything it needs, opened once; then steps and evaluations. SPDX-License-Identifier: MIT */
#ifndef QGM_TRAINER_H
#define QGM_TRAINER_H
#include "dataset.h"
#include "engine.h"
#include "flags.h"
#include "model.h"
#include "network.h"
#include "record.h"
#include "schedule.h"

/* What one thread owns. */
struct qgm_worker {
    struct qgm_arena arena; /* activations, and a batch */
    double load_s, gradient_s;
};

/* What a process wants to be done after a step: all must do it together. */
enum qgm_wish { QGM_WISH_STOP = 1, QGM_WISH_CHECKPOINT = 2, QGM_WISH_FAIL = 4 };

struct qgm_trainer {
    struct qgm_options options;
    const struct qgm_dataset *data; /* borrowed */
    struct qgm_partition partition;
    struct qgm_heterogeneity heterogeneity;
    struct qgm_sampler sampler;
    struct qgm_topology *topology;
    struct qgm_model *model;
    struct qgm_engine *engine;
    struct qgm_group *group;
    int first, local; /* clients that live in this process */
    unsigned wishes;  /* enum qgm_wish */
    struct qgm_schedule schedule;
    struct qgm_network network;
    double bytes_counted; /* sent so far, as the network was told */
    struct qgm_augment augment;
    struct qgm_arena memory;          /* the next nine */
    float *buffers;                   /* local clients * qgm_model_buffers */
    float *average, *average_buffers; /* the averaged model */
    float *gossiped;                  /* --gossip-eval: local clients * qgm_model_size; else NULL */
    float *shared;                    /* --mix-buffers, --gossip-eval: two pieces of all clients; else NULL */
    float *all_buffers;               /* of all clients, to average */
    struct qgm_score *scores;         /* [client, or averaged model][chunk of the test set] */
    double *losses;                   /* [client][2]: mean loss of the last step; wishes of its process */
    bool *down;                       /* [client]: crashed, it takes no part in the step */
    uint32_t *test_order; /* of the test set: a fixed permutation, then texts by length; a subset is a prefix */
    struct qgm_worker *workers;
    int threads;
    size_t bytes;      /* the run holds: parameters, gradients, states, activations */
    double bytes_here; /* all processes of this machine do */
    int processes_here;
    char note[400];               /* what --init left at its initial values; "" without */
    long per_epoch, total, every; /* steps: of an epoch, of the run, between evaluations (0: only the last) */
    long saving;                  /* steps between savings of weights (0: only the final ones) */
    long subset;                  /* test images of the evaluations before the last */
    int test_batch;
    long images; /* trained on so far */
    double train_s, update_s, eval_s;
    double loss;     /* mean over clients of the last step's */
    double loss_sum; /* of the steps since the last evaluation */
    long loss_steps;
};

/* Open everything a run needs; data and group must outlive it. All functions here are collective in the group. Refuses
 * a run that needs more memory than the machine has. With options.dry_run everything is checked, but there is no memory
 * and no engine: only describe and close it. 0, or -1 and it has been given up. */
int qgm_trainer_open(struct qgm_trainer *trainer, const struct qgm_options *options, const struct qgm_dataset *data,
                     struct qgm_group *group, struct qgm_error *err);
void qgm_trainer_close(struct qgm_trainer *trainer);
/* Instead of close after anything has failed. What failed may have failed in this process alone, on a full disk say: in
 * a group nothing is closed then, for closing would wait for the others, which wait for this one. The caller says what
 * went wrong and ends them all. */
void qgm_trainer_give_up(struct qgm_trainer *trainer);
/* One step of all clients. telemetry may be NULL. A loss that is not finite, or above 1000, sets *diverged. `wishes` of
 * the trainer: what this process asks for before, what any process asked for after. A step that has met damaged images
 * fails in all processes, and what it has made of the models is of no use. */
int qgm_trainer_step(struct qgm_trainer *trainer, struct qgm_telemetry *telemetry, bool *diverged,
                     struct qgm_error *err);
/* Statistics of a client that lives here. */
float *qgm_trainer_buffers(const struct qgm_trainer *trainer, int client);
/* -1 in all processes if one of them has met a damaged image. */
int qgm_trainer_check_data(struct qgm_trainer *trainer, struct qgm_error *err);
/* Set `gossiped` to the clients' models after --gossip-eval more rounds. */
int qgm_trainer_gossip(struct qgm_trainer *trainer, struct qgm_error *err);
/* Set `average` and `average_buffers` to the mean over clients. */
void qgm_trainer_average(struct qgm_trainer *trainer);
/* Test every client's own model, and the averaged one, on the first `images` of the test order; fills the accuracies
 * and the counters of *e. Fails on damaged images, as a step does. */
int qgm_trainer_evaluate(struct qgm_trainer *trainer, long images, struct qgm_evaluation *e, struct qgm_error *err);

#endif
