/* What an algorithm declares to need of the mixing matrix, checked. SPDX-License-Identifier: MIT */
#ifndef QGM_NEEDS_H
#define QGM_NEEDS_H
#include "algo.h"
#include "topology.h"

/* 0, or -1 with the reason and a remedy. */
int qgm_needs_check(const struct qgm_algo *algo, struct qgm_topology *topology, struct qgm_error *err);

#endif
