/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011) from Random123, keyed by what they are for.
 * There is no generator state to carry, save or share: the i-th number of a stream is a pure function of
 * (seed, purpose, client, step, i). Everything is integer arithmetic or plain + - * / sqrt of doubles (the logarithm is
 * dmath.h's), so the numbers are the same bits on every machine. SPDX-License-Identifier: MIT */
#ifndef QGM_RANDOM_H
#define QGM_RANDOM_H
#include <stdint.h>

/* What a stream is for. Values are part of every result: never renumber. */
enum qgm_purpose {
    QGM_RANDOM_INIT = 1,      /* model initialisation: step = tensor index */
    QGM_RANDOM_PARTITION = 2, /* data partition: step = attempt or group */
    QGM_RANDOM_SAMPLE = 3,    /* order of a client's samples: step = epoch */
    QGM_RANDOM_AUGMENT = 4,   /* crop, flip: step = iteration */
    QGM_RANDOM_GRAPH = 5,     /* random topologies: step = draw */
    QGM_RANDOM_COMPRESS = 6,  /* random compression: step = iteration */
    QGM_RANDOM_DROPOUT = 7,   /* dropout masks: step = iteration */
    QGM_RANDOM_FAULT = 8,     /* message drops, crashes: step = iteration */
    QGM_RANDOM_TEST = 9,      /* tests and synthetic problems */
    QGM_RANDOM_LATE = 10,     /* delays of messages: step = iteration */
};

/* A stream: where it stands is `next`, all else says which one it is. */
struct qgm_random {
    uint32_t key[2];    /* seed */
    uint32_t stream[3]; /* purpose, client, step */
    uint32_t next;      /* index of the next block of four numbers */
    uint32_t block[4];
    unsigned left; /* unused numbers in block */
};

struct qgm_random qgm_random(uint64_t seed, enum qgm_purpose purpose, uint32_t client, uint32_t step);
uint32_t qgm_random_u32(struct qgm_random *r);
/* Uniform on {0, ..., n-1}, n >= 1, without bias (Lemire's method). */
uint32_t qgm_random_below(struct qgm_random *r, uint32_t n);
/* Uniform on [0, 1): multiples of 2^-24 (float) and 2^-53 (double). */
float qgm_random_float(struct qgm_random *r);
double qgm_random_double(struct qgm_random *r);
double qgm_random_normal(struct qgm_random *r);              /* mean 0, variance 1 (Marsaglia's polar method) */
double qgm_random_gamma(struct qgm_random *r, double shape); /* scale 1, shape > 0 (Marsaglia and Tsang, 2000) */
/* Logarithm of a gamma variate: does not underflow for a shape as small as 1e-3. */
double qgm_random_log_gamma(struct qgm_random *r, double shape);
/* Fisher-Yates: a uniform permutation of index[0..n-1] in place. */
void qgm_random_shuffle(struct qgm_random *r, uint32_t *index, uint32_t n);

#endif
