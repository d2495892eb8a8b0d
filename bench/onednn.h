/* oneDNN's convolutions as a table, for comparison. SPDX-License-Identifier: MIT */
#ifndef QGM_BENCH_ONEDNN_H
#define QGM_BENCH_ONEDNN_H
#include "kernels.h"

/* Only the three convolutions are set. One thread. It keeps the primitive of the last call: */
const struct qgm_kernels *bench_onednn(void);
void bench_onednn_forget(void); /* call before the operands of that call are freed */

#endif
