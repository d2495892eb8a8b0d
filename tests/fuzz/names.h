/* Names that flags may have, where the parts that have them are not linked. SPDX-License-Identifier: MIT */
#ifndef QGM_FUZZ_NAMES_H
#define QGM_FUZZ_NAMES_H
#include "dataset.h"
#include "engine.h"
#include "input.h"
#include "kernels.h"
#include "model.h"
#include <string.h>

static const char *const some[] = { "ring", "dsgd", "mlp", "iid", "synthetic", NULL };
const char *const *qgm_algo_names(void) { return some; }
const char *const *qgm_topology_names(void) { return some; }
const char *const *qgm_model_names(void) { return some; }
const char *qgm_model_about(const char *name) { return strcmp(name, "mlp") == 0 ? name : NULL; }
const char *const *qgm_dataset_names(void) { return some; }
const char *const *qgm_partition_names(void) { return some; }
int qgm_kernels_use(const char *isa, struct qgm_error *err) { return (void)isa, (void)err, 0; }
int qgm_kernels_backend(const char *name, struct qgm_error *err) { return (void)name, (void)err, 0; }

#endif
