/* The table of one ISA: every row of kernels.def, compiled for it. SPDX-License-Identifier: MIT */
#include "isa.h"
#include "kernels.h"

#define QGM_KERNEL(name, result, arguments, flops, bytes) result QGM_ISA(qgm_##name) arguments;
#include "kernels.def"
#undef QGM_KERNEL

extern const struct qgm_kernels QGM_ISA(qgm_kernels);
const struct qgm_kernels QGM_ISA(qgm_kernels) = {
    .isa = QGM_STRING(QGM_SUFFIX),
#define QGM_KERNEL(name, result, arguments, flops, bytes) .name = QGM_ISA(qgm_##name),
#include "kernels.def"
#undef QGM_KERNEL
};
