/* Testing every client's own model and the averaged one. SPDX-License-Identifier: MIT */
#include "feed.h"
#include "progress.h"
#include "trainer.h"
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
#endif

/* Of the statistics of batch norms: client by client, since they are small. */
static void average_buffers(struct qgm_trainer *t)
{
    size_t buffers = qgm_model_buffers(t->model), clients = (size_t)t->options.clients;
    float *all = t->all_buffers;
    if (!buffers) return;
    memcpy(all + (size_t)t->first * buffers, t->buffers, (size_t)t->local * buffers * sizeof *all);
    qgm_group_share(t->group, all, buffers * sizeof *all, (int)clients);
    for (size_t k = 0; k < buffers; k++) {
        double sum = 0;
        for (size_t i = 0; i < clients; i++) sum += all[i * buffers + k];
        t->average_buffers[k] = (float)(sum / (double)clients);
    }
}

void qgm_trainer_average(struct qgm_trainer *t)
{
    qgm_engine_average(t->engine, t->average);
    average_buffers(t);
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

/* (model, chunk) tasks: a process tests its own clients, and its share of the chunks of the averaged model, which is
 * the last. */
struct tasks {
    int chunks, first_chunk, own_chunks;
    long images, count;
    const float *models; /* of local clients; NULL: as they are in the engine */
};

static struct tasks tasks_of(const struct qgm_trainer *t, long images)
{
    struct tasks k = { .chunks = (int)((images + t->test_batch - 1) / t->test_batch), .images = images };
    k.first_chunk = qgm_group_first(t->group, k.chunks, t->group->rank);
    k.own_chunks = qgm_group_first(t->group, k.chunks, t->group->rank + 1) - k.first_chunk;
    k.count = (long)t->local * k.chunks + k.own_chunks;
    return k;
}

static void score_task(struct qgm_trainer *t, const struct tasks *k, long task, struct qgm_score *scores,
                       struct qgm_worker *w)
{
    bool own = task < (long)t->local * k->chunks;
    int client = own ? t->first + (int)(task / k->chunks) : (int)t->options.clients;
    long chunk = own ? task % k->chunks : k->first_chunk + task - (long)t->local * k->chunks;
    long first = chunk * t->test_batch;
    int n = (int)(k->images - first < t->test_batch ? k->images - first : t->test_batch);
    const float *params = !own        ? t->average
                          : k->models ? k->models + (size_t)(client - t->first) * qgm_model_size(t->model)
                                      : qgm_engine_params(t->engine, client);
    score_chunk(t, params, own ? qgm_trainer_buffers(t, client) : t->average_buffers, first, n,
                &scores[(long)client * k->chunks + chunk], w);
}

/* Scores are added in order, so threads and processes change nothing. */
static void sum_scores(const struct qgm_trainer *t, const struct tasks *k, const struct qgm_score *scores,
                       struct qgm_evaluation *e)
{
    int clients = (int)t->options.clients;
    e->mean = e->best = e->test_loss = 0;
    e->worst = 100;
    for (int model = 0; model <= clients; model++) {
        struct qgm_score sum = { 0 };
        for (int c = 0; c < k->chunks; c++) {
            sum.correct += scores[(long)model * k->chunks + c].correct;
            sum.loss += scores[(long)model * k->chunks + c].loss;
        }
        double accuracy = 100.0 * (double)sum.correct / (double)k->images;
        if (model == clients) {
            e->average_model = accuracy;
            break;
        }
        e->mean += accuracy / clients;
        e->test_loss += sum.loss / (double)k->images / clients;
        if (accuracy < e->worst) e->worst = accuracy;
        if (accuracy > e->best) e->best = accuracy;
    }
}

static void run_tasks(struct qgm_trainer *t, const struct tasks *k, struct qgm_score *scores)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads)
    for (long task = 0; task < k->count; task++) score_task(t, k, task, scores, &t->workers[omp_get_thread_num()]);
    qgm_group_share(t->group, scores, (size_t)k->chunks * sizeof *scores, (int)t->options.clients);
}

/* The clients' models after some more rounds: how much of the distance to the averaged model is want of consensus. */
static int score_gossiped(struct qgm_trainer *t, struct tasks k, struct qgm_score *scores, double *percent,
                          struct qgm_error *err)
{
    double correct = 0;
    QGM_TRY(qgm_trainer_gossip(t, err));
    k.models = t->gossiped;
    k.count = (long)t->local * k.chunks;
    memset(scores, 0, (size_t)t->options.clients * (size_t)k.chunks * sizeof *scores);
    run_tasks(t, &k, scores);
    for (long i = 0; i < t->options.clients * k.chunks; i++) correct += (double)scores[i].correct;
    *percent = 100 * correct / ((double)k.images * (double)t->options.clients);
    return 0;
}

/* The released code sends parameters alone; what travels here is the flat vector, tensors padded to 16 floats. */
static double counted_lin2021(const struct qgm_trainer *t)
{
    double parameters = (double)qgm_model_count(t->model), floats = (double)qgm_model_size(t->model);
    return qgm_engine_bytes_counted(t->engine, QGM_BITS_LIN2021) * parameters / floats;
}

int qgm_trainer_evaluate(struct qgm_trainer *t, long images, struct qgm_evaluation *e, struct qgm_error *err)
{
    double begin = qgm_seconds();
    struct tasks k = tasks_of(t, images);
    struct qgm_score *scores = t->scores;
    memset(scores, 0, (size_t)(t->options.clients + 1) * (size_t)k.chunks * sizeof *scores);
    qgm_trainer_average(t);
    run_tasks(t, &k, scores);
    QGM_TRY(qgm_trainer_check_data(t, err));
    qgm_group_share(t->group, scores + t->options.clients * k.chunks, sizeof *scores, k.chunks);
    sum_scores(t, &k, scores, e);
    e->gossiped = NAN;
    if (t->gossiped) QGM_TRY(score_gossiped(t, k, scores, &e->gossiped, err));
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
    e->counted_mb = lin2021 ? counted_lin2021(t) / 1e6 : e->sent_mb;
    e->simulated_s = qgm_network_seconds(&t->network);
    e->train_s = t->train_s;
    e->update_s = t->update_s;
    e->eval_s = t->eval_s;
    e->images_per_s = t->train_s > 0 ? (double)t->images / t->train_s : 0;
    e->load_s = e->gradient_s = 0;
    for (int i = 0; i < t->threads; i++) {
        e->load_s += t->workers[i].load_s / t->threads;
        e->gradient_s += t->workers[i].gradient_s / t->threads;
    }
    return 0;
}
