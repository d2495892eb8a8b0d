/* The triad a = b + s c, STREAM's measure of what memory can do (McCalpin 1995), as fast as this processor knows how to
 * run it. SPDX-License-Identifier: MIT */
#ifndef QGM_TRIAD_H
#define QGM_TRIAD_H
#include "base.h"
#include <stdbool.h>

struct qgm_triad {
    struct qgm_arena arena; /* as the engine's: on huge pages where there are any */
    float *a, *b, *c;
    size_t floats; /* of each: take it so large that no cache holds it */
};
/* floats: a multiple of 4096. */
int qgm_triad_open(struct qgm_triad *triad, size_t floats, int threads, struct qgm_error *err);
void qgm_triad_close(struct qgm_triad *triad); /* safe on a zeroed struct */
/* Bytes a second by the clock given, 12 an element. Stores go through the caches, which read what they are about to
 * overwrite; past_too: the faster of that and of storing past them, which moves 12 bytes and no more. */
double qgm_triad_rate(const struct qgm_triad *triad, int threads, bool past_too, double (*seconds)(void));

#endif
