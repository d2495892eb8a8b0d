/* How graphs are made: a generator lists edges or weighted links, links.c turns them into rows of W.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_GRAPH_H
#define QGM_GRAPH_H
#include "random.h"
#include "spec.h"
#include "topology.h"

/* A list of links in any order; to is who receives. Duplicates merge: edges stay one, weights add up. */
struct qgm_links {
    int n; /* clients */
    size_t count, capacity;
    struct qgm_link {
        int to, from;
        double w;
    } * link, *sorted;
    size_t *start;     /* n + 1 numbers for sorting */
    uint32_t *scratch; /* 2 n numbers for generators */
    bool weighted;     /* links carry weights; otherwise they are edges */
    bool out_of_memory;
};

enum qgm_weighting { QGM_METROPOLIS, QGM_UNIFORM, QGM_MAX_DEGREE, QGM_EXPLICIT };

/* What a generator is asked. */
struct qgm_request {
    int n;
    const double *knob;
    const char *spec; /* for messages */
    const char *rest; /* what follows the name, options apart: PATH of "file:PATH", GRAPH of "tree:GRAPH"; else NULL */
    uint64_t seed;
};

/* Of a graph without a period: how clients may be renumbered so that draws stay as likely as they were. */
enum qgm_alike { QGM_AS_NUMBERED, QGM_SHIFTED /* i as i + k modulo n */, QGM_RENUMBERED /* in any way */ };

struct qgm_graph {
    const char *name, *about;
    bool weighted; /* draw gives weighted links; otherwise edges, whose weights are chosen by the option weights=,
                      unless it sets links->weighted */
    enum qgm_alike alike;
    struct qgm_knob knob[QGM_MAX_KNOBS - 1];
    /* Can it be made? Returns the number of draws after which it repeats (1: static, 0: never), or -1. */
    int (*period)(const struct qgm_request *request, struct qgm_error *err);
    /* Draw `draw` = 0, 1, ...; a pure function of the request and the draw. */
    int (*draw)(const struct qgm_request *request, long draw, struct qgm_links *links, struct qgm_error *err);
};
extern const struct qgm_graph qgm_graphs_static[], qgm_graphs_algebraic[], qgm_graphs_social[], qgm_graphs_periodic[],
    qgm_graphs_base[], qgm_graphs_random[], qgm_graphs_tree[], qgm_graphs_file[];

void qgm_edge(struct qgm_links *links, int a, int b);                   /* both ways; a == b is ignored */
void qgm_link_add(struct qgm_links *links, int to, int from, double w); /* one way */
void qgm_links_clear(struct qgm_links *links);
void qgm_links_close(struct qgm_links *links);

/* Rows of one draw. */
struct qgm_rows {
    struct qgm_row *row;
    int *from;
    double *w;
    size_t capacity;
};
/* Sort, merge, weigh, make lazy ((I + W) / 2). Buffers grow when they must and are kept otherwise; where there is no
 * memory, rows stay as they were. */
int qgm_rows_make(struct qgm_rows *rows, struct qgm_links *links, enum qgm_weighting weighting, bool lazy,
                  struct qgm_error *err);
void qgm_rows_close(struct qgm_rows *rows);

/* The period of graphs that do not change and that any number of clients can have. */
int qgm_graph_any(const struct qgm_request *request, struct qgm_error *err);
/* ceil(log2 n), at least 1: draws of the exponential graphs. */
int qgm_graph_log2(int n);

enum { QGM_SAMPLED_DRAWS = 64 }; /* what is known of a graph without a period, but its spectrum, comes from so many */
enum qgm_alike qgm_topology_alike(const struct qgm_topology *topology);
/* Eigenvalues and norms of the product of the draws' matrices: fills gap, lambda2, lambda_min, radius. -1: they are
 * as they were. */
int qgm_spectrum_solve(struct qgm_topology *topology, struct qgm_spectrum *spectrum, struct qgm_error *err);
/* lambda2 and lambda_min from all eigenvalues, ascending. consensus: 1 is one of them, and does not count. */
void qgm_spectrum_outer(const double *values, int n, bool consensus, double *lambda2, double *lambda_min);
/* Second largest and smallest eigenvalue of a symmetric W of many clients from its rows. row_stochastic: W 1 = 1.
 * Returns 0; 1 where the dense method does better; -1: out of memory. */
int qgm_spectrum_sparse(const struct qgm_row *rows, int n, bool row_stochastic, double *lambda2, double *lambda_min,
                        struct qgm_error *err);

#endif
