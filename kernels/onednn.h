/* oneDNN's matrix products and convolutions behind our signatures: versions 2 and 3. Built where the library is there.
 * Outside the promise of equal bits: their order of additions depends on the machine. SPDX-License-Identifier: MIT */
#ifndef QGM_KERNELS_ONEDNN_H
#define QGM_KERNELS_ONEDNN_H
#include "kernels.h"

/* A table with oneDNN's rows; `rest` gives all others, and the shapes that oneDNN does not take. The last call's `rest`
 * holds for all threads. Each thread keeps the primitives it has used, and calls use one thread. */
const struct qgm_kernels *qgm_onednn(const struct qgm_kernels *rest);

/* oneDNN converts weights to a layout of its own, in each call, since training changes them. Set, a thread's calls with
 * the weights and shape of its last one take them as converted, and leave weight gradients in that layout: the library
 * at its best, for benchmarks. */
void qgm_onednn_keep_weights(bool keep);

#endif
