/* Names of what is compiled once per ISA. cmake/isa.cmake defines QGM_SUFFIX (scalar, avx2, avx512, neon, double) for
 * each copy; QGM_ISA(foo) is foo_avx2 and so on. A file compiled per ISA must export only such names, and must take
 * only static inline functions from headers: otherwise the linker may merge an AVX-512 copy of a function into the
 * baseline. tests/symbols.sh reads the objects. SPDX-License-Identifier: MIT */
#ifndef QGM_ISA_H
#define QGM_ISA_H

#define QGM_PASTE_(a, b) a##_##b
#define QGM_PASTE(a, b)  QGM_PASTE_(a, b)
#define QGM_STRING_(a)   #a
#define QGM_STRING(a)    QGM_STRING_(a)
#ifdef QGM_SUFFIX
#define QGM_ISA(name) QGM_PASTE(name, QGM_SUFFIX)
#endif

#endif
