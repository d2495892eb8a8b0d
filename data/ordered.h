/* Private to data/: work done ahead by several threads, its results taken in order. SPDX-License-Identifier: MIT */
#ifndef QGM_ORDERED_H
#define QGM_ORDERED_H
#include "base.h"

/* For i = 0..n-1: work(user, i, slot) on one of the worker threads, then take(user, i, slot) on the calling thread, in
 * order whatever the number of workers. A slot has slot_size bytes; there are QGM_AHEAD a worker, so memory is bounded.
 * When take fails, no more is taken; what was worked on meanwhile goes to drop. */
enum { QGM_AHEAD = 4 };
struct qgm_ordered {
    long n;
    int workers; /* 0: one a core */
    size_t slot_size;
    void *user;
    void (*work)(void *user, long i, void *slot);
    int (*take)(void *user, long i, void *slot, struct qgm_error *err);
    void (*drop)(void *user, void *slot);
};
int qgm_ordered_run(const struct qgm_ordered *what, struct qgm_error *err);

#endif
