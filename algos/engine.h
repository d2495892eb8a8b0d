/* The engine runs one algorithm on all clients, block by block: for each block of parameter indices the whole stage
 * table, for all local clients, before it moves on. So a step moves the compulsory traffic only.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_ENGINE_H
#define QGM_ENGINE_H
#include "base.h"
#include "topology.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qgm_engine; /* opaque */

struct qgm_engine_config {
    const char *algo;              /* a name and its own options: "qg-dsgdm-n", "qg-dsgdm-n:mu=0.95,tau=3" */
    struct qgm_topology *topology; /* borrowed: outlives the engine */
    size_t dim;                    /* floats a client; padded to a multiple of 16 inside */
    double momentum, weight_decay; /* momentum is ignored by algorithms without */
    int threads;                   /* 0: as many as OpenMP gives */
    bool telemetry;                /* fill struct qgm_telemetry at steps that ask for it */
};

/* Measured in the same pass over memory, at the parameters after the step and the gradients it used. */
struct qgm_telemetry {
    double consensus; /* sqrt( 1/n sum_i || x_i - xbar ||^2 ) */
    double mean_norm; /* || xbar || */
    double zeta2;     /* 1/n sum_i || g_i - gbar ||^2: gradient dissimilarity of the mini-batches */
    double grad_norm; /* || gbar || */
};

int qgm_engine_open(struct qgm_engine **engine, const struct qgm_engine_config *config, struct qgm_error *err);
void qgm_engine_close(struct qgm_engine **engine);
const char *const *qgm_algo_names(void);
const char *qgm_algo_about(const char *name);  /* one line: what it is, options with defaults */
const char *qgm_algo_source(const char *name); /* paper and equation */
bool qgm_algo_uses_momentum(const char *name);

float *qgm_engine_params(struct qgm_engine *engine, int client); /* dim floats; write the start before step 0 */
float *qgm_engine_grad(struct qgm_engine *engine, int client);   /* dim floats; write before each step */
/* One step of all clients at learning rate lr. telemetry may be NULL. */
int qgm_engine_step(struct qgm_engine *engine, double lr, struct qgm_telemetry *telemetry, struct qgm_error *err);
long qgm_engine_steps(const struct qgm_engine *engine);   /* finished steps */
size_t qgm_engine_bytes(const struct qgm_engine *engine); /* memory it holds */
/* Bytes a client has sent to others so far, mean over clients, self excluded. */
double qgm_engine_bytes_sent(const struct qgm_engine *engine);
/* out = mean over clients of the parameters (dim floats), clients ascending. */
void qgm_engine_average(struct qgm_engine *engine, float *out);
/* xxHash (XXH3, 64 bits) of all clients' parameters, clients ascending. */
uint64_t qgm_engine_digest(struct qgm_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
