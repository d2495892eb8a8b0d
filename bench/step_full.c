/* Whole training steps on generated images: how long the parts take. SPDX-License-Identifier: MIT */
#include "feed.h"
#include "kernels.h"
#include "progress.h"
#include "step.h"
#include "trainer.h"
#include <math.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
#endif

enum { BATCH = 32, MOST = 101 };

/* Seconds of one step; those of load, forward and backward are busy seconds, mean over threads; telemetry is on top. */
enum { STEP, LOAD, FORWARD, BACKWARD, UPDATE, PHASES, PARTS = PHASES + QGM_PHASES };
static const char *const names[PARTS] = { "step_s", "load_s",     "forward_s", "backward_s", "update_s",
                                          "pre_s",  "exchange_s", "mix_s",     "post_s",     "telemetry_s" };

/* The forward pass alone, on as many images as a batch has. */
static double forward_once(struct qgm_trainer *t, int client)
{
    struct qgm_arena *arena = &t->workers[omp_get_thread_num()].arena;
    size_t mark = qgm_mark(arena), buffers = qgm_model_buffers(t->model);
    struct qgm_batch batch = qgm_feed(t->data, &t->data->test, t->test_order, BATCH, NULL, arena);
    struct qgm_score score = { 0 };
    double begin = qgm_seconds();
    qgm_model_eval(t->model, qgm_engine_params(t->engine, client), t->buffers + (size_t)client * buffers, &batch, NULL,
                   &score, arena);
    double seconds = qgm_seconds() - begin;
    qgm_release(arena, mark);
    return seconds;
}

static double forward(struct qgm_trainer *t)
{
    double sum = 0;
    int clients = (int)t->options.clients;
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads) reduction(+ : sum)
    for (int i = 0; i < clients; i++) sum += forward_once(t, i);
    return sum / t->threads;
}

/* A step, its parts as in one that is profiled, and what telemetry takes in one more. Profiled steps are slower, so
 * they say only how the time of the update is shared out. */
static int one_step(struct qgm_trainer *t, double part[PARTS], struct qgm_error *err)
{
    bool diverged;
    struct qgm_telemetry watched;
    double load = 0, gradient = 0, train = t->train_s, update = t->update_s, phase[QGM_PHASES], all = 0;
    qgm_engine_profile(t->engine, NULL);
    for (int i = 0; i < t->threads; i++) t->workers[i].load_s = t->workers[i].gradient_s = 0;
    QGM_TRY(qgm_trainer_step(t, NULL, &diverged, err));
    for (int i = 0; i < t->threads; i++) {
        load += t->workers[i].load_s / t->threads;
        gradient += t->workers[i].gradient_s / t->threads;
    }
    part[STEP] = t->train_s - train;
    part[UPDATE] = t->update_s - update;
    part[LOAD] = load;
    part[FORWARD] = forward(t);
    part[BACKWARD] = gradient - part[FORWARD];
    qgm_engine_profile(t->engine, phase); /* from now on */
    QGM_TRY(qgm_trainer_step(t, &watched, &diverged, err));
    qgm_engine_profile(t->engine, phase);
    for (int k = 0; k < QGM_PHASES; k++) all += k == QGM_PHASE_TELEMETRY ? 0 : phase[k];
    for (int k = 0; k < QGM_PHASES; k++) part[PHASES + k] = all > 0 ? phase[k] / all * part[UPDATE] : 0;
    return 0;
}

/* An algorithm that refuses the graph is no reason to stop: words are known to be right. */
static int skip_or_fail(struct qgm_error *err)
{
    if (err->kind != QGM_USAGE) return -1;
    fprintf(stderr, "qgm-bench-step: skipped: %s\n", err->text);
    return 0;
}

static int measure(const struct qgm_full *f, const struct qgm_options *o, const struct qgm_dataset *data,
                   struct qgm_error *err)
{
    static double seconds[PARTS][MOST];
    struct qgm_trainer t;
    if (qgm_trainer_open(&t, o, data, qgm_group_alone(), err) < 0) return skip_or_fail(err);
    double part[PARTS];
    int result = one_step(&t, part, err); /* first touch */
    for (long r = 0; r < f->repeats && result == 0; r++) {
        result = one_step(&t, part, err);
        for (int p = 0; p < PARTS; p++) seconds[p][r] = part[p];
    }
    if (result == 0) {
        char graph[400];
        snprintf(graph, sizeof graph, "%s%s", o->topology, o->lazy ? " lazy" : "");
        const char *const fields[] = { o->model, o->algo, graph };
        for (int i = 0; i < 3; i++) {
            qgm_print_field(stdout, fields[i]);
            putchar(',');
        }
        printf("%ld,%zu,%d,%s", o->clients, qgm_model_count(t.model), t.threads, qgm_kernels()->isa);
        for (int p = 0; p < PARTS; p++) printf(",%.6g", qgm_median(seconds[p], f->repeats));
        printf("\n");
        if (fflush(stdout) != 0) result = qgm_fail(err, QGM_SYSTEM, "cannot write to stdout");
    }
    qgm_trainer_close(&t);
    return result;
}

/* Set a flag from one word of a list, `rest` moving on: 1, 0 at the end, or -1. */
static int next_word(struct qgm_options *o, const char *flag, char **rest, struct qgm_error *err)
{
    char *word;
    do word = strsep(rest, " ");
    while (word && !*word);
    if (!word) return 0;
    return qgm_options_set(o, flag, word, err) < 0 ? -1 : 1;
}

static int one_algo(const struct qgm_full *f, struct qgm_options *o, const struct qgm_dataset *data,
                    struct qgm_error *err)
{
    if (qgm_options_check(o, err) < 0) return skip_or_fail(err);
    return measure(f, o, data, err);
}

static int all_algos(const struct qgm_full *f, struct qgm_options *o, const struct qgm_dataset *data,
                     struct qgm_error *err)
{
    char algos[QGM_LIST], *rest = algos;
    int more;
    snprintf(algos, sizeof algos, "%s", f->algos);
    while ((more = next_word(o, "algo", &rest, err)) > 0) QGM_TRY(one_algo(f, o, data, err));
    return more;
}

static int all_models(const struct qgm_full *f, struct qgm_options *o, const struct qgm_dataset *data,
                      struct qgm_error *err)
{
    char models[QGM_LIST], *more_models = models;
    int model, graph = 0;
    snprintf(models, sizeof models, "%s", f->models);
    while (graph >= 0 && (model = next_word(o, "model", &more_models, err)) > 0) {
        char graphs[QGM_LIST], *more_graphs = graphs;
        snprintf(graphs, sizeof graphs, "%s", f->graphs);
        while ((graph = next_word(o, "topology", &more_graphs, err)) > 0) QGM_TRY(all_algos(f, o, data, err));
    }
    return graph < 0 ? -1 : model;
}

/* Models are known to be right before the first is timed. */
static int check_models(const struct qgm_full *f, struct qgm_options *o, struct qgm_error *err)
{
    char models[QGM_LIST], *rest = models;
    int more;
    snprintf(models, sizeof models, "%s", f->models);
    while ((more = next_word(o, "model", &rest, err)) > 0) QGM_TRY(qgm_options_check(o, err));
    return more;
}

int qgm_full_run(const struct qgm_full *f, struct qgm_error *err)
{
    struct qgm_options o;
    struct qgm_dataset data;
    char spec[100];
    qgm_options_default(&o);
    o.clients = f->clients;
    o.threads = f->threads;
    o.lazy = f->lazy;
    o.batch = BATCH;
    o.steps = 1; /* we step ourselves */
    snprintf(spec, sizeof spec, "synthetic:n=%ld,test=%d,size=32,channels=3", 2 * BATCH * f->clients, BATCH);
    QGM_TRY(qgm_options_set(&o, "dataset", spec, err));
    QGM_TRY(qgm_options_set(&o, "partition", "iid", err));
    QGM_TRY(check_models(f, &o, err));
    QGM_TRY(qgm_dataset_open(&data, o.dataset, NULL, err));
    printf("model,algorithm,graph,clients,parameters,threads,isa");
    for (int p = 0; p < PARTS; p++) printf(",%s", names[p]);
    printf("\n");
    int result = all_models(f, &o, &data, err);
    qgm_dataset_close(&data);
    return result;
}
