/* All algorithms of one instruction set, compiled once for each. SPDX-License-Identifier: MIT */
#include "pass.h"

#undef QGM_FAMILY
#define QGM_FAMILY(file) extern const struct qgm_algo QGM_ISA(qgm_family_##file)[];
#include "algos.def"
#undef QGM_FAMILY
#define QGM_FAMILY(file) QGM_ISA(qgm_family_##file),
static const struct qgm_algo *const families[] = {
#include "algos.def"
    NULL
};

extern const struct qgm_algo_table QGM_ISA(qgm_algo_table);
const struct qgm_algo_table QGM_ISA(qgm_algo_table) = {
    .isa = QGM_STRING(QGM_SUFFIX),
#ifdef QGM_DOUBLE
    .real = sizeof(double),
#else
    .real = sizeof(float),
#endif
    .families = families,
    .pass = QGM_ISA(qgm_pass_run),
    .observe = QGM_ISA(qgm_pass_observe),
};
