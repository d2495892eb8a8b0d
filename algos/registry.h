/* Finding algorithms by name, in the table of an instruction set. SPDX-License-Identifier: MIT */
#ifndef QGM_REGISTRY_H
#define QGM_REGISTRY_H
#include "algo.h"

/* The table that goes with a kernel table's name; the portable one where that is a backend with kernels of its own. */
const struct qgm_algo_table *qgm_algo_table(const char *isa);
extern const struct qgm_algo_table qgm_algo_table_double;
/* The algorithm a spec names, or NULL with an error that suggests the nearest. */
const struct qgm_algo *qgm_algo_find(const struct qgm_algo_table *table, const char *spec, struct qgm_error *err);

/* All options of an algorithm: its own, then local=K where it admits local steps. Returns the index of that, or -1. */
int qgm_algo_knobs(const struct qgm_algo *algo, struct qgm_knob knobs[QGM_MAX_KNOBS]);
/* Their values, defaults where the spec has none; *local: gradient steps per exchange. */
int qgm_algo_read(const struct qgm_algo *algo, const char *spec, double value[QGM_MAX_KNOBS], int *local,
                  struct qgm_error *err);

#endif
