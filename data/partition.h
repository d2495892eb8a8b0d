/* Private to data/: the rules by which examples are dealt to clients. SPDX-License-Identifier: MIT */
#ifndef QGM_PARTITION_H
#define QGM_PARTITION_H
#include "dataset.h"
#include "random.h"

/* What a rule reads, and the two arrays it fills. */
struct qgm_draw {
    const char *spec;    /* as the user wrote it, for messages */
    const char *path;    /* behind "file:" */
    double alpha, value; /* value: behind the colon of "shards:2" */
    int clients, classes;
    const int32_t *labels;
    uint32_t n;
    uint64_t seed;
    uint32_t *index; /* up to n examples, the clients' one after the other */
    uint32_t *sizes; /* clients entries, 0 at first: how many of them each client owns. The rest is dropped */
};

int qgm_draw_iid(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_sorted(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_shards(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_classes(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_skew(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_quantity(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_lin2021(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_dirichlet(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_dirichlet_balanced(struct qgm_draw *d, struct qgm_error *err);
int qgm_draw_file(struct qgm_draw *d, struct qgm_error *err);

/* Every client gets n / clients examples. */
void qgm_cut_equal(struct qgm_draw *d);
/* The stream of a rule: its first step is the order of the examples. */
struct qgm_random qgm_draw_stream(const struct qgm_draw *d, uint32_t client, uint32_t step);
/* index = 0..n-1, shuffled. */
void qgm_draw_shuffled(const struct qgm_draw *d, uint32_t *index);
/* Stable sort of index[0..n-1] by class: to[] takes the result, start[c] (classes + 1) where a class begins. */
void qgm_sort_by_class(const struct qgm_draw *d, const uint32_t *index, uint32_t n, uint32_t *to, uint32_t *start);
/* calloc or QGM_SYSTEM: free() the result. */
void *qgm_draw_memory(size_t count, size_t size, struct qgm_error *err);

#endif
