/* Testing every client's own model and the averaged one. SPDX-License-Identifier: MIT */
#include "feed.h"
#include "progress.h"
#include "trainer.h"
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
#endif

void qgm_trainer_average(struct qgm_trainer *t)
{
    size_t buffers = qgm_model_buffers(t->model);
    qgm_engine_average(t->engine, t->average);
    for (size_t k = 0; k < buffers; k++) {
        double sum = 0;
        for (long i = 0; i < t->options.clients; i++) sum += t->buffers[(size_t)i * buffers + k];
        t->average_buffers[k] = (float)(sum / (double)t->options.clients);
    }
}

/* One model on one stretch of the test order. */
static void score_chunk(struct qgm_trainer *t, const float *params, const float *buffers, long first, int n,
                        struct qgm_score *score, struct qgm_worker *w)
{
    size_t mark = qgm_mark(&w->arena);
    struct qgm_batch batch = qgm_feed(t->data, &t->data->test, t->test_order + first, n, NULL, &w->arena);
    qgm_model_eval(t->model, params, buffers, &batch, NULL, score, &w->arena);
    qgm_release(&w->arena, mark);
}

void qgm_trainer_evaluate(struct qgm_trainer *t, long images, struct qgm_evaluation *e)
{
    double begin = qgm_seconds();
    int clients = (int)t->options.clients, chunks = (int)((images + t->test_batch - 1) / t->test_batch);
    size_t buffers = qgm_model_buffers(t->model);
    qgm_trainer_average(t);
    /* (model, chunk) tasks, the averaged model last; scores are added in order, so threads change nothing. */
    long tasks = (long)(clients + 1) * chunks;
    struct qgm_score *scores = calloc((size_t)tasks, sizeof *scores);
    if (!scores) abort();
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads)
    for (long task = 0; task < tasks; task++) {
        int model = (int)(task / chunks);
        long first = task % chunks * t->test_batch;
        int n = (int)(images - first < t->test_batch ? images - first : t->test_batch);
        const float *params = model < clients ? qgm_engine_params(t->engine, model) : t->average;
        const float *state = model < clients ? t->buffers + (size_t)model * buffers : t->average_buffers;
        score_chunk(t, params, state, first, n, &scores[task], &t->workers[omp_get_thread_num()]);
    }
    e->mean = e->best = e->test_loss = 0;
    e->worst = 100;
    for (int model = 0; model <= clients; model++) {
        struct qgm_score sum = { 0 };
        for (int c = 0; c < chunks; c++) {
            sum.correct += scores[(long)model * chunks + c].correct;
            sum.loss += scores[(long)model * chunks + c].loss;
        }
        double accuracy = 100.0 * (double)sum.correct / (double)images;
        if (model == clients) {
            e->average_model = accuracy;
            break;
        }
        e->mean += accuracy / clients;
        e->test_loss += sum.loss / (double)images / clients;
        if (accuracy < e->worst) e->worst = accuracy;
        if (accuracy > e->best) e->best = accuracy;
    }
    free(scores);
    t->eval_s += qgm_seconds() - begin;
    e->test_images = (double)images;
    e->step = (double)qgm_engine_steps(t->engine);
    e->epoch = e->step / (double)t->per_epoch;
    e->lr = qgm_schedule_lr(&t->schedule, (long)e->step - 1);
    e->train_loss = t->loss_steps ? t->loss_sum / (double)t->loss_steps : 0;
    t->loss_sum = 0;
    t->loss_steps = 0;
    bool lin2021 = strcmp(t->options.bits_dialect, "lin2021") == 0;
    e->sent_mb = qgm_engine_bytes_sent(t->engine) / 1e6;
    e->counted_mb = qgm_engine_bytes_counted(t->engine, lin2021 ? QGM_BITS_LIN2021 : QGM_BITS_SENT) / 1e6;
    e->train_s = t->train_s;
    e->update_s = t->update_s;
    e->eval_s = t->eval_s;
    e->images_per_s = t->train_s > 0 ? (double)t->images / t->train_s : 0;
    e->load_s = e->gradient_s = 0;
    for (int i = 0; i < t->threads; i++) {
        e->load_s += t->workers[i].load_s / t->threads;
        e->gradient_s += t->workers[i].gradient_s / t->threads;
    }
}
