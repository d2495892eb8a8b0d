/* A bounded queue whose results come out in order. SPDX-License-Identifier: MIT */
#include "ordered.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_WORKERS = 256 };

struct queue {
    const struct qgm_ordered *what;
    pthread_mutex_t lock;
    pthread_cond_t room, ready;
    long next, taken; /* given to workers, taken from them: next - taken <= slots */
    int slots;
    bool *done; /* slot i % slots holds result i */
    char *slot;
    bool stop;
};

static void *slot_of(const struct queue *q, long i) { return q->slot + (size_t)(i % q->slots) * q->what->slot_size; }

static void *run_worker(void *user)
{
    struct queue *q = user;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (!q->stop && q->next < q->what->n && q->next - q->taken >= q->slots)
            pthread_cond_wait(&q->room, &q->lock);
        if (q->stop || q->next >= q->what->n) break;
        long i = q->next++;
        pthread_mutex_unlock(&q->lock);
        q->what->work(q->what->user, i, slot_of(q, i));
        pthread_mutex_lock(&q->lock);
        q->done[i % q->slots] = true;
        pthread_cond_signal(&q->ready);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static int take_all(struct queue *q, struct qgm_error *err)
{
    int result = 0;
    for (long i = 0; i < q->what->n && result == 0; i++) {
        pthread_mutex_lock(&q->lock);
        while (!q->done[i % q->slots]) pthread_cond_wait(&q->ready, &q->lock);
        q->done[i % q->slots] = false;
        pthread_mutex_unlock(&q->lock);
        result = q->what->take(q->what->user, i, slot_of(q, i), err);
        pthread_mutex_lock(&q->lock);
        q->taken = i + 1;
        q->stop = result < 0;
        pthread_cond_broadcast(&q->room);
        pthread_mutex_unlock(&q->lock);
    }
    return result;
}

static int run(struct queue *q, int workers, struct qgm_error *err)
{
    pthread_t thread[MOST_WORKERS];
    int started = 0;
    while (started < workers && pthread_create(&thread[started], NULL, run_worker, q) == 0) started++;
    int result = started ? take_all(q, err) : qgm_fail(err, QGM_SYSTEM, "cannot start a thread");
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < q->slots; i++)
        if (q->done[i]) q->what->drop(q->what->user, q->slot + (size_t)i * q->what->slot_size);
    return result;
}

int qgm_ordered_run(const struct qgm_ordered *what, struct qgm_error *err)
{
    long workers = what->workers ? what->workers : sysconf(_SC_NPROCESSORS_ONLN);
    workers = workers < 1 ? 1 : workers > MOST_WORKERS ? MOST_WORKERS : workers;
    struct queue q = { .what = what, .slots = QGM_AHEAD * (int)workers };
    q.done = calloc((size_t)q.slots, sizeof *q.done);
    q.slot = calloc((size_t)q.slots, what->slot_size);
    pthread_mutex_init(&q.lock, NULL);
    pthread_cond_init(&q.room, NULL);
    pthread_cond_init(&q.ready, NULL);
    int result = q.done && q.slot ? run(&q, (int)workers, err) : qgm_fail(err, QGM_SYSTEM, "out of memory for a queue");
    pthread_cond_destroy(&q.ready);
    pthread_cond_destroy(&q.room);
    pthread_mutex_destroy(&q.lock);
    free(q.done);
    free(q.slot);
    return result;
}
