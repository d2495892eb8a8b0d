/* The engine runs one algorithm on all clients, block by block: for each block of parameter indices the whole stage
 * table, for all local clients, before it moves on. So a step moves the compulsory traffic only.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_ENGINE_H
#define QGM_ENGINE_H
#include "base.h"
#include "faults.h"
#include "group.h"
#include "topology.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qgm_engine; /* opaque */

struct qgm_engine_config {
    const char *algo;               /* a name and its own options: "qg-dsgdm-n", "qg-dsgdm-n:mu=0.95,tau=3" */
    struct qgm_topology *topology;  /* borrowed: outlives the engine */
    size_t dim;                     /* floats a client; padded to a multiple of 16 inside */
    double momentum, weight_decay;  /* momentum is ignored by algorithms without */
    int threads;                    /* 0: as many as OpenMP gives */
    uint64_t seed;                  /* of random compression; other algorithms draw no random numbers */
    bool telemetry;                 /* steps may ask for struct qgm_telemetry */
    bool force_pairing;             /* run even where the graph lacks what the algorithm declares to need */
    struct qgm_fault_config faults; /* of messages, links and clients; all zero: none */
    struct qgm_group *group;        /* borrowed; NULL: this process alone. Each holds a contiguous block of clients */
    bool reference;                 /* the same algorithms in double precision, scalar code: to check, not to train */
};

/* Measured in the same pass over memory, at the parameters after the step and the gradients it used. Clients that are
 * down have parameters and a momentum, but no gradient: means of gradients are over the others, NaN without any. It
 * reads again what has just been written: a fiftieth to a tenth of the step that it is asked of where memory is slow, a
 * sixth where it is fast; training asks only before an evaluation. */
struct qgm_telemetry {
    double consensus; /* sqrt( 1/n sum_i || x_i - xbar ||^2 ) */
    double mean_norm; /* || xbar || */
    double zeta2;     /* 1/n sum_i || g_i - gbar ||^2: gradient dissimilarity of the mini-batches */
    double grad_norm; /* || gbar || */
    /* sum_i <v_i, g_i> / sqrt(sum ||v_i||^2 sum ||g_i||^2), v the algorithm's momentum state (of qg-dadam, which spends
     * the gradient, before the step); NaN: none */
    double cosine;
};

/* Refuses (QGM_USAGE) unknown names and options, and graphs that lack what the algorithm needs, saying what would help.
 * Uses the instruction set of qgm_kernels(). Results do not depend on it, nor on the number of threads. */
int qgm_engine_open(struct qgm_engine **engine, const struct qgm_engine_config *config, struct qgm_error *err);
void qgm_engine_close(struct qgm_engine **engine);
/* Bytes it would hold: every check of qgm_engine_open, none of the memory. */
int qgm_engine_measure(size_t *bytes, const struct qgm_engine_config *config, struct qgm_error *err);
const char *const *qgm_algo_names(void);
const char *qgm_algo_about(const char *name);  /* one line: what it is, options with defaults */
const char *qgm_algo_source(const char *name); /* paper and equation */
const char *qgm_algo_options(void);            /* all there are: a line each, what it means and may be */
/* Is there such an algorithm, and does it take these options? -1 (QGM_USAGE): no, with what is expected. */
int qgm_algo_check(const char *spec, struct qgm_error *err);
/* Compulsory memory traffic of a step with default options: bytes a parameter a client, each vector that must be read
 * or written counted once. */
int qgm_algo_traffic(const char *name);

/* Rows of one client that lives here, 64-byte aligned; zero after opening. Write the start before step 0 and a gradient
 * before each step. Pointers stay valid until the engine is closed. */
float *qgm_engine_params(struct qgm_engine *engine, int client);            /* dim floats */
float *qgm_engine_grad(struct qgm_engine *engine, int client);              /* dim floats */
double *qgm_engine_reference_params(struct qgm_engine *engine, int client); /* the same of a reference engine */
double *qgm_engine_reference_grad(struct qgm_engine *engine, int client);
/* One step of all clients at learning rate lr; in a group, by all its processes. telemetry may be NULL. At lr = 0 a
 * quotient by lr counts as 0: quasi- global and tracking buffers see no displacement in that step. */
int qgm_engine_step(struct qgm_engine *engine, double lr, struct qgm_telemetry *telemetry, struct qgm_error *err);
/* Optional, before the gradients of the next step are computed, which then has to have the same lr: where the algorithm
 * admits it and messages travel between machines, they set off now. Until qgm_engine_step nothing but the gradients may
 * be written. Collective. */
int qgm_engine_early(struct qgm_engine *engine, double lr, struct qgm_error *err);
bool qgm_engine_sends_early(const struct qgm_engine *engine); /* the algorithm admits it */
/* In between, now and then, by OpenMP thread number `thread`: large messages move on inside such calls only. */
void qgm_engine_progress(struct qgm_engine *engine, int thread);
long qgm_engine_steps(const struct qgm_engine *engine); /* finished steps */
/* Has a client crashed, anywhere in the group, so that it takes no part in the next step? It needs no gradient then. */
bool qgm_engine_down(const struct qgm_engine *engine, int client);
/* Finished exchanges: a part of the steps where there are local ones. Which of a graph's matrices is next goes by it.
 */
long qgm_engine_exchanges(const struct qgm_engine *engine);
/* The matrix of the last exchange, until the next step: a client's own value stands in for each that was lost on the
 * way to it. For what is to follow the models. NULL: out of memory. */
const struct qgm_row *qgm_engine_rows(struct qgm_engine *engine);
/* How often the last step exchanged: each time with what the time before had brought, so that clients wait for each. */
int qgm_engine_rounds(const struct qgm_engine *engine);
size_t qgm_engine_dim(const struct qgm_engine *engine); /* floats a client, as asked for */
int qgm_engine_clients(const struct qgm_engine *engine);
int qgm_engine_local(const struct qgm_engine *engine); /* steps from one exchange to the next */
int qgm_engine_threads(
    const struct qgm_engine *engine); /* at most those asked for: a vector may be too short for all */
/* Bytes a client has sent to others so far, mean over clients, self excluded. An all-reduce counts as its cheapest form
 * does: 2 (n-1)/n vectors a client. */
double qgm_engine_bytes_sent(const struct qgm_engine *engine);
/* The same by other rules. lin2021: as the released code of Lin et al. counts, to compare with its logs: clients are
 * neighbours of themselves; a centralised step costs ceil(log2 n) vectors, other all-reduces nothing; D2 is charged an
 * all-reduce that does not happen, quasi-global Adam one vector whatever the graph. */
enum qgm_bits { QGM_BITS_SENT, QGM_BITS_LIN2021, QGM_BITS_DIALECTS };
double qgm_engine_bytes_counted(const struct qgm_engine *engine, enum qgm_bits dialect);
/* Where the time of steps goes: seconds since the last call, from the first call on. While it is measured sums are made
 * apart from the maps, which costs up to a third of a step. NULL: no longer. All zero where the processor has no
 * counter to read. */
enum qgm_phase {
    QGM_PHASE_PRE,      /* maps before the first exchange of a segment: what is sent */
    QGM_PHASE_EXCHANGE, /* starting messages and waiting for them */
    QGM_PHASE_MIX,      /* sums over neighbours */
    QGM_PHASE_POST,     /* maps after an exchange: the new state */
    QGM_PHASE_TELEMETRY,
    QGM_PHASES
};
void qgm_engine_profile(struct qgm_engine *engine, double seconds[QGM_PHASES]);
/* The next two are collective too, with the same result everywhere.
 * out = mean over clients of the parameters (dim floats): summed in double, clients ascending. */
void qgm_engine_average(struct qgm_engine *engine, float *out);
/* xxHash (XXH3, 64 bits) of all clients' parameters, clients ascending. Every NaN counts as the same one, since which
 * bits a NaN has depends on the machine. */
uint64_t qgm_engine_digest(struct qgm_engine *engine);

/* ---- All that later steps depend on, piece by piece: what a checkpoint holds ----
 * Write the pieces over those of an engine of the same configuration, call qgm_engine_restored, and it goes on to the
 * same bits. Gradients are not among them: each step gets new ones. */
struct qgm_engine_piece {
    char name[40];      /* "client.3.x", "engine.mass", ...: the same for equal configurations */
    int client;         /* whose it is; -1: of all */
    size_t count, real; /* elements, and bytes of one: 4 or 8 */
    void *at;           /* NULL: of a client that lives elsewhere */
};
int qgm_engine_pieces(const struct qgm_engine *engine);
void qgm_engine_piece(struct qgm_engine *engine, int i, struct qgm_engine_piece *piece);
void qgm_engine_restored(struct qgm_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
