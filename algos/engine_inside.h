/* What an engine is made of: for the files engine*.c alone. SPDX-License-Identifier: MIT */
#ifndef QGM_ENGINE_INSIDE_H
#define QGM_ENGINE_INSIDE_H
#include "engine.h"
#include "pass.h"
#include "relay_counts.h"

enum { QGM_COUNTERS = 1 + QGM_BITS_DIALECTS + QGM_MAX_DERIVED };

struct qgm_engine {
    const struct qgm_algo_table *table;
    const struct qgm_algo *algo;
    struct qgm_topology *topology;
    struct qgm_exchange *exchange;
    struct qgm_arena arena;
    struct qgm_step step;
    struct qgm_pass pass;
    struct qgm_stage active[QGM_MAX_STAGES];
    double knob[QGM_MAX_KNOBS];
    size_t blocks, bytes;
    int local; /* gradient steps per exchange */
    double *norm, *mass, *mass_next, *telemetry;
    double sent[QGM_BITS_DIALECTS]; /* vectors of dim elements, summed over clients */
    double counters[QGM_COUNTERS];  /* what a checkpoint keeps of step and sent */
    bool telemetry_wanted, relays;
    struct qgm_relay relay;
};

#endif
