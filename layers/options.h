/* Reading of a model's spec. SPDX-License-Identifier: MIT */
#ifndef QGM_OPTIONS_H
#define QGM_OPTIONS_H
#include "layer.h"

/* Choose the kind and its options from a spec, which is cut into pieces that b->option points to. */
int qgm_options_read(struct qgm_builder *b, char *spec);

#endif
