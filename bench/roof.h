/* The roofs of this machine, measured. SPDX-License-Identifier: MIT */
#ifndef QGM_ROOF_H
#define QGM_ROOF_H

/* FLOP/s of one thread doing nothing but fma with the registers of `isa`; 0 where there is no such measurement. */
double qgm_roof_flops(const char *isa);
/* Bytes/s of one thread in the triad, over vectors that no cache holds, stored through the caches as most kernels store
 * theirs; 0 if there is no memory for them. */
double qgm_roof_bandwidth(void);
/* CPU time of this thread: what other processes take does not count. */
double qgm_cpu_seconds(void);

#endif
