/* Which process of this machine died first, where a launcher does not say. SPDX-License-Identifier: MIT */
#ifndef QGM_WATCH_H
#define QGM_WATCH_H
#include <stdbool.h>

enum { QGM_WATCH_NAME = 128 };
struct qgm_watch {
    int line;                  /* to the watcher; -1: nobody watches */
    char name[QGM_WATCH_NAME]; /* where it listens */
    unsigned length;           /* of that */
    int child;                 /* the watcher's process */
};

/* A watcher of this process's own. Before MPI starts: it must not inherit what MPI opens. */
void qgm_watch_open(struct qgm_watch *watch);
/* From now on the watcher called `name` says so when this process ends without qgm_watch_bye. */
void qgm_watch_join(struct qgm_watch *watch, const struct qgm_watch *leader, int rank);
/* This process ends by itself. over: the job does, and has said why; the watcher says nothing more. */
void qgm_watch_bye(struct qgm_watch *watch, bool over);

#endif
