/* Opening a run, and its steps. SPDX-License-Identifier: MIT */
#include "trainer.h"
#include "context.h"
#include "feed.h"
#include "gossip.h"
#include "progress.h"
#include "random.h"
#include "weights.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads(void) { return 1; }
static int omp_get_thread_num(void) { return 0; }
#endif

static int open_augment(struct qgm_augment *augment, const struct qgm_options *o, const struct qgm_dataset *data,
                        struct qgm_error *err)
{
    bool usual = strcmp(o->augment, "auto") == 0;
    *augment = (struct qgm_augment){ .flip = usual ? data->flip : strstr(o->augment, "flip") != NULL,
                                     .resized = usual ? data->resized : strstr(o->augment, "resized") != NULL,
                                     .crop = (usual ? data->crop : strstr(o->augment, "crop") != NULL) ? 4 : 0,
                                     .seed = (uint64_t)o->seed };
    if (data->train.start && (augment->flip || augment->resized || augment->crop))
        return qgm_fail(err, QGM_USAGE, "--augment %s: is of images, but %s has texts: expected auto or none",
                        o->augment, data->name);
    if (augment->resized && data->train.c != 3)
        return qgm_fail(err, QGM_USAGE, "--augment %s: resizes images of three channels; %s has %d", o->augment,
                        data->name, data->train.c);
    return 0;
}

static int open_partition(struct qgm_trainer *t, struct qgm_error *err)
{
    const struct qgm_options *o = &t->options;
    const struct qgm_examples *train = &t->data->train;
    QGM_TRY(qgm_partition_open(&t->partition, o->partition, o->alpha, (int)o->clients, train->labels, train->n,
                               train->classes, (uint64_t)o->seed, err));
    qgm_partition_measure(&t->partition, train->labels, train->classes, &t->heterogeneity, NULL);
    if (t->heterogeneity.size_min < o->batch)
        return qgm_fail(err, QGM_USAGE,
                        "--batch %ld: larger than a client's data (%ld examples): use a smaller batch or fewer clients",
                        o->batch, t->heterogeneity.size_min);
    QGM_TRY(qgm_sampler_open(&t->sampler, &t->partition, (int)o->batch, o->shared_order, (uint64_t)o->seed, err));
    t->sampler.starts = train->start;
    long batches = 0;
    for (int i = 0; i < t->partition.clients; i++) batches += qgm_sampler_batches(&t->sampler, i);
    t->per_epoch = lround((double)batches / t->partition.clients); /* sizes may differ: an epoch is the mean pass */
    t->total = o->steps ? o->steps : lround(o->epochs * (double)t->per_epoch);
    if (t->total < 1) return qgm_fail(err, QGM_USAGE, "--epochs %g: less than one step", o->epochs);
    return 0;
}

/* Test images of the evaluations before the last: all, as told, or as many as cost a tenth of the training. An image
 * costs one forward pass in a test, about three in training. */
static long choose_subset(const struct qgm_trainer *t)
{
    const struct qgm_options *o = &t->options;
    long all = t->data->test.n;
    if (o->eval_subset >= 0) return o->eval_subset && o->eval_subset < all ? o->eval_subset : all;
    double evaluations = t->every ? ceil((double)t->total / (double)t->every) - 1 : 0;
    if (evaluations < 1) return all;
    double training = 3.0 * (double)t->total * (double)o->batch * (double)o->clients;
    long subset = (long)(0.10 * training / (evaluations * (double)(o->clients * (o->gossip_eval ? 2 : 1) + 1)));
    long least = all < 500 ? all : 500;
    return subset < least ? least : subset > all ? all : subset;
}

static size_t worker_bytes(const struct qgm_trainer *t)
{
    int batch = (int)t->options.batch;
    size_t grad = qgm_model_arena(t->model, batch, true), eval = qgm_model_arena(t->model, t->test_batch, false);
    return (grad > eval ? grad : eval) +
           qgm_feed_bytes(&t->data->train, batch > t->test_batch ? batch : t->test_batch) +
           qgm_piece((size_t)batch, sizeof(uint32_t));
}

/* Floats of one client that are gossiped at a time: all statistics, or a piece of a model. */
static size_t shared_floats(const struct qgm_trainer *t)
{
    size_t buffers = t->options.mix_buffers ? qgm_model_buffers(t->model) : 0;
    size_t piece = t->options.gossip_eval ? QGM_GOSSIP_PIECE : 0;
    return buffers > piece ? buffers : piece;
}

static size_t gossiped_floats(const struct qgm_trainer *t)
{
    return t->options.gossip_eval ? (size_t)t->local * qgm_model_size(t->model) : 0;
}

/* A chunk of the test set for every client's model and the averaged one. */
static size_t score_count(const struct qgm_trainer *t)
{
    return (size_t)(t->options.clients + 1) * (size_t)((t->data->test.n + t->test_batch - 1) / t->test_batch);
}

static size_t memory_bytes(const struct qgm_trainer *t)
{
    size_t clients = (size_t)t->options.clients, buffers = qgm_model_buffers(t->model);
    return qgm_piece((size_t)t->local * buffers, sizeof(float)) + qgm_piece(qgm_model_size(t->model), sizeof(float)) +
           qgm_piece(buffers, sizeof(float)) + qgm_piece(2 * clients, sizeof(double)) +
           qgm_piece(clients, sizeof(bool)) + qgm_piece((size_t)t->data->test.n, sizeof(uint32_t)) +
           qgm_piece(gossiped_floats(t), sizeof(float)) + qgm_piece(2 * clients * shared_floats(t), sizeof(float)) +
           qgm_piece(clients * buffers, sizeof(float)) + qgm_piece(score_count(t), sizeof(struct qgm_score));
}

/* Said before anything large is allocated: the system would rather kill a process than refuse it memory. */
static int check_memory(struct qgm_trainer *t, const struct qgm_engine_config *config, struct qgm_error *err)
{
    const double gib = 1 << 30;
    size_t engine;
    QGM_TRY(qgm_engine_measure(&engine, config, err));
    t->bytes = engine + memory_bytes(t) + (size_t)t->threads * worker_bytes(t);
    t->bytes_here = t->group->op->sum_here(t->group, (double)t->bytes, &t->processes_here);
    double machine = qgm_machine_memory();
    if (machine <= 0 || t->bytes_here <= machine) return 0;
    if (t->processes_here > 1)
        return qgm_fail(
            err, QGM_USAGE,
            "the %d processes on this machine need %.1f GiB together, it has %.1f: use more machines, fewer "
            "clients, a smaller model or a smaller batch",
            t->processes_here, t->bytes_here / gib, machine / gib);
    return qgm_fail(err, QGM_USAGE,
                    "%ld clients need %.1f GiB, this machine has %.1f: use fewer clients, a smaller model or a smaller "
                    "batch",
                    t->options.clients, t->bytes_here / gib, machine / gib);
}

static int open_memory(struct qgm_trainer *t, struct qgm_error *err)
{
    size_t clients = (size_t)t->options.clients, buffers = qgm_model_buffers(t->model);
    QGM_TRY(qgm_arena_open(&t->memory, memory_bytes(t), err));
    t->buffers = qgm_take(&t->memory, (size_t)t->local * buffers, sizeof(float));
    t->average = qgm_take(&t->memory, qgm_model_size(t->model), sizeof(float));
    t->average_buffers = qgm_take(&t->memory, buffers, sizeof(float));
    t->all_buffers = qgm_take(&t->memory, clients * buffers, sizeof(float));
    t->scores = qgm_take(&t->memory, score_count(t), sizeof(struct qgm_score));
    t->losses = qgm_take(&t->memory, 2 * clients, sizeof(double));
    t->down = qgm_take(&t->memory, clients, sizeof *t->down);
    t->test_order = qgm_take(&t->memory, (size_t)t->data->test.n, sizeof(uint32_t));
    if (gossiped_floats(t)) t->gossiped = qgm_take(&t->memory, gossiped_floats(t), sizeof(float));
    if (shared_floats(t)) t->shared = qgm_take(&t->memory, 2 * clients * shared_floats(t), sizeof(float));
    t->workers = calloc((size_t)t->threads, sizeof *t->workers);
    if (!t->workers) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < t->threads; i++) QGM_TRY(qgm_arena_open(&t->workers[i].arena, worker_bytes(t), err));
    return 0;
}

/* All clients start from one model; the subset of the test set does not depend on the seed, so that runs compare. */
static int start(struct qgm_trainer *t, struct qgm_error *err)
{
    size_t size = qgm_model_size(t->model), buffers = qgm_model_buffers(t->model);
    float *first = qgm_engine_params(t->engine, t->first);
    qgm_model_init(t->model, (uint64_t)t->options.seed, first, t->average_buffers);
    if (*t->options.init) QGM_TRY(qgm_weights_init(t, err));
    for (int i = 0; i < t->local; i++) {
        if (i) memcpy(qgm_engine_params(t->engine, t->first + i), first, size * sizeof(float));
        if (buffers) memcpy(t->buffers + (size_t)i * buffers, t->average_buffers, buffers * sizeof(float));
    }
    uint32_t n = (uint32_t)t->data->test.n;
    for (uint32_t i = 0; i < n; i++) t->test_order[i] = i;
    struct qgm_random r = qgm_random(0, QGM_RANDOM_SAMPLE, UINT32_MAX, 0);
    qgm_random_shuffle(&r, t->test_order, n);
    if (!t->data->test.start) return 0;
    qgm_tokens_sort(&t->data->test, t->test_order, t->subset); /* the subset stays a prefix */
    qgm_tokens_sort(&t->data->test, t->test_order + t->subset, n - t->subset);
    return 0;
}

/* Of something that is done every so many epochs; 0: never. */
static long steps_between(const struct qgm_trainer *t, double epochs)
{
    long steps = lround(epochs * (double)t->per_epoch);
    return epochs > 0 && steps < 1 ? 1 : steps;
}

static int open_all(struct qgm_trainer *t, struct qgm_error *err)
{
    const struct qgm_options *o = &t->options;
    QGM_TRY(qgm_options_check(o, err));
    struct qgm_input input = qgm_feed_input(&t->data->train);
    QGM_TRY(qgm_model_open(&t->model, o->model, &input, err));
    QGM_TRY(open_partition(t, err));
    QGM_TRY(qgm_network_open(&t->network, o->network, (int)o->clients, (uint64_t)o->seed, err));
    QGM_TRY(qgm_topology_open(&t->topology, o->topology, (int)o->clients, o->lazy, (uint64_t)o->seed, err));
    QGM_TRY(qgm_topology_find_facts(t->topology, err));
    const struct qgm_spectrum *facts = qgm_topology_facts(t->topology);
    QGM_TRY(qgm_schedule_open(&t->schedule, o, facts, t->per_epoch, t->total, err));
    if ((o->gossip_eval || o->mix_buffers) && !(facts->row_stochastic && facts->column_stochastic))
        return qgm_fail(err, QGM_USAGE, "--%s: needs a doubly stochastic graph, whose rounds keep the mean; %s is not",
                        o->gossip_eval ? "gossip-eval" : "mix-buffers", o->topology);
    t->threads = o->threads ? (int)o->threads : omp_get_max_threads();
    t->first = qgm_group_first(t->group, (int)o->clients, t->group->rank);
    t->local = qgm_group_first(t->group, (int)o->clients, t->group->rank + 1) - t->first;
    t->every = steps_between(t, o->eval_every);
    t->saving = steps_between(t, o->save_every);
    t->subset = choose_subset(t);
    t->test_batch = 100;
    QGM_TRY(open_augment(&t->augment, o, t->data, err));
    struct qgm_engine_config config = { .algo = o->algo,
                                        .topology = t->topology,
                                        .dim = qgm_model_size(t->model),
                                        .momentum = o->momentum,
                                        .weight_decay = o->weight_decay,
                                        .threads = t->threads,
                                        .seed = (uint64_t)o->seed,
                                        .faults = { .drop = o->drop,
                                                    .links = o->fail_links,
                                                    .crash = o->crash,
                                                    .crash_steps = o->crash_steps,
                                                    .stale = o->stale,
                                                    .stale_steps = o->stale_steps,
                                                    .seed = (uint64_t)o->seed },
                                        .group = t->group,
                                        .telemetry = true,
                                        .force_pairing = o->force_pairing };
    QGM_TRY(check_memory(t, &config, err));
    if (o->dry_run) return 0;
    QGM_TRY(qgm_engine_open(&t->engine, &config, err));
    QGM_TRY(open_memory(t, err));
    return start(t, err);
}

int qgm_trainer_open(struct qgm_trainer *t, const struct qgm_options *options, const struct qgm_dataset *data,
                     struct qgm_group *group, struct qgm_error *err)
{
    *t = (struct qgm_trainer){ .options = *options, .data = data, .group = group };
    if (open_all(t, err) == 0) return 0;
    qgm_trainer_give_up(t);
    return -1;
}

void qgm_trainer_close(struct qgm_trainer *t)
{
    for (int i = 0; t->workers && i < t->threads; i++) qgm_arena_close(&t->workers[i].arena);
    free(t->workers);
    qgm_arena_close(&t->memory);
    qgm_engine_close(&t->engine);
    qgm_network_close(&t->network);
    qgm_topology_close(&t->topology);
    qgm_sampler_close(&t->sampler);
    qgm_partition_close(&t->partition);
    qgm_model_close(&t->model);
    memset(t, 0, sizeof *t);
}

void qgm_trainer_give_up(struct qgm_trainer *t)
{
    if (t->group->ranks == 1) qgm_trainer_close(t);
}

float *qgm_trainer_buffers(const struct qgm_trainer *t, int client)
{
    return t->buffers + (size_t)(client - t->first) * qgm_model_buffers(t->model);
}

/* Client i's gradient at its own parameters, on its own next batch. */
static void client_gradient(struct qgm_trainer *t, int i, long step, struct qgm_worker *w)
{
    size_t mark = qgm_mark(&w->arena);
    double begin = qgm_seconds();
    uint32_t *index = qgm_take(&w->arena, (size_t)t->options.batch, sizeof *index);
    int n = qgm_sampler_next(&t->sampler, i, step, index);
    struct qgm_augment augment = t->augment;
    augment.client = t->options.shared_order ? 0 : (uint32_t)i;
    augment.step = (uint32_t)step;
    struct qgm_batch examples = qgm_feed(t->data, &t->data->train, index, n, &augment, &w->arena);
    examples.seed = augment.seed;
    examples.client = augment.client;
    examples.step = augment.step;
    double filled = qgm_seconds();
    t->losses[2 * i] =
        qgm_model_grad(t->model, qgm_engine_params(t->engine, i), qgm_trainer_buffers(t, i), &examples,
                       (float)t->options.label_smoothing, qgm_engine_grad(t->engine, i), NULL, &w->arena);
    qgm_release(&w->arena, mark);
    w->load_s += filled - begin;
    w->gradient_s += qgm_seconds() - filled;
}

/* Everyone is told all losses and what somebody wishes: losses[2 i], losses[2 i + 1]. That travels beside the messages
 * of the step: on its own it would cost another latency of the network. */
static void tell_losses(struct qgm_trainer *t)
{
    for (int i = 0; i < t->local; i++) t->losses[2 * (t->first + i) + 1] = t->wishes;
    qgm_group_share_early(t->group, t->losses, 2 * sizeof *t->losses, (int)t->options.clients);
}

/* The mean over clients that are up; where all are down, the last one again. */
static double learn_losses(struct qgm_trainer *t)
{
    double loss = 0;
    int up = 0;
    t->group->op->shared(t->group);
    for (int i = 0; i < (int)t->options.clients; i++) {
        t->wishes |= (unsigned)t->losses[2 * i + 1];
        if (t->down[i]) continue;
        loss += t->losses[2 * i];
        up++;
    }
    return up ? loss / up : t->loss;
}

static long batch_of(const struct qgm_trainer *t, int client, long step)
{
    long batches = qgm_sampler_batches(&t->sampler, client), batch = t->options.batch;
    long size = t->partition.start[client + 1] - t->partition.start[client];
    return step % batches < batches - 1 ? batch : size - (batches - 1) * batch;
}

/* What was sent in this step, over the links of its graph. */
static void simulate(struct qgm_trainer *t, long exchange)
{
    if (!t->network.clock) return;
    const struct qgm_row *rows = qgm_topology_rows(t->topology, exchange);
    double links = 0, sent = qgm_engine_bytes_sent(t->engine);
    for (long i = 0; i < t->options.clients; i++)
        for (int k = 0; k < rows[i].n; k++) links += rows[i].from[k] != i && rows[i].w[k] != 0;
    qgm_network_step(&t->network, rows, links > 0 ? (sent - t->bytes_counted) * (double)t->options.clients / links : 0,
                     qgm_engine_rounds(t->engine), qgm_engine_sends_early(t->engine));
    t->bytes_counted = sent;
}

/* Running statistics follow the models: mixed with the matrix of the step that has just been made, if it exchanged, and
 * without what was lost. */
static int mix_buffers(struct qgm_trainer *t, long exchange, struct qgm_error *err)
{
    size_t clients = (size_t)t->options.clients, buffers = qgm_model_buffers(t->model);
    if (!t->options.mix_buffers || !buffers || qgm_engine_exchanges(t->engine) == exchange) return 0;
    memcpy(t->shared + (size_t)t->first * buffers, t->buffers, (size_t)t->local * buffers * sizeof(float));
    qgm_group_share(t->group, t->shared, buffers * sizeof(float), (int)clients);
    const struct qgm_row *rows = qgm_engine_rows(t->engine);
    if (!rows) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    qgm_gossip_once(rows, (int)clients, t->shared, t->shared + clients * buffers, buffers);
    memcpy(t->buffers, t->shared + (size_t)t->first * buffers, (size_t)t->local * buffers * sizeof(float));
    return 0;
}

int qgm_trainer_gossip(struct qgm_trainer *t, struct qgm_error *err)
{
    size_t size = qgm_model_size(t->model), clients = (size_t)t->options.clients;
    for (size_t at = 0; at < size; at += QGM_GOSSIP_PIECE) {
        size_t piece = size - at < QGM_GOSSIP_PIECE ? size - at : QGM_GOSSIP_PIECE;
        for (int i = 0; i < t->local; i++)
            memcpy(t->shared + (size_t)(t->first + i) * piece, qgm_engine_params(t->engine, t->first + i) + at,
                   piece * sizeof(float));
        qgm_group_share(t->group, t->shared, piece * sizeof(float), (int)clients);
        QGM_TRY(qgm_gossip(t->topology, qgm_engine_exchanges(t->engine), t->options.gossip_eval, t->shared,
                           t->shared + clients * piece, piece, err));
        for (int i = 0; i < t->local; i++)
            memcpy(t->gossiped + (size_t)i * size + at, t->shared + (size_t)(t->first + i) * piece,
                   piece * sizeof(float));
    }
    return 0;
}

int qgm_trainer_check_data(struct qgm_trainer *t, struct qgm_error *err)
{
    int ranks = t->group->ranks;
    long *damaged = calloc((size_t)ranks, sizeof *damaged), found = 0;
    if (!damaged) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    damaged[t->group->rank] = qgm_dataset_damaged(t->data);
    qgm_group_share(t->group, damaged, sizeof *damaged, ranks);
    for (int r = 0; r < ranks && !found; r++) found = damaged[r];
    free(damaged);
    return found ? qgm_dataset_fail_damaged(t->data, found, err) : 0;
}

int qgm_trainer_step(struct qgm_trainer *t, struct qgm_telemetry *telemetry, bool *diverged, struct qgm_error *err)
{
    int clients = (int)t->options.clients;
    long step = qgm_engine_steps(t->engine), exchange = qgm_engine_exchanges(t->engine);
    double begin = qgm_seconds(), lr = qgm_schedule_lr(&t->schedule, step);
    for (int i = 0; i < clients; i++) t->down[i] = qgm_engine_down(t->engine, i);
    QGM_TRY(qgm_engine_early(t->engine, lr, err));
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads)
    for (int i = t->first; i < t->first + t->local; i++) {
        if (!t->down[i]) client_gradient(t, i, step, &t->workers[omp_get_thread_num()]);
        qgm_engine_progress(t->engine, omp_get_thread_num());
    }
    double computed = qgm_seconds();
    if (qgm_dataset_damaged(t->data)) t->wishes |= QGM_WISH_FAIL; /* together: the others would wait for ours */
    tell_losses(t);
    QGM_TRY(qgm_engine_step(t->engine, lr, telemetry, err));
    QGM_TRY(mix_buffers(t, exchange, err));
    double loss = learn_losses(t);
    if (t->wishes & QGM_WISH_FAIL) return qgm_trainer_check_data(t, err);
    simulate(t, exchange);
    *diverged = !(loss <= 1000);
    t->loss = loss;
    t->loss_sum += loss;
    t->loss_steps++;
    for (int i = 0; i < clients; i++) t->images += t->down[i] ? 0 : batch_of(t, i, step);
    double end = qgm_seconds();
    t->update_s += end - computed;
    t->train_s += end - begin;
    return 0;
}
