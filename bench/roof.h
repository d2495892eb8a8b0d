/* The roofs of this machine, measured. SPDX-License-Identifier: MIT */
#ifndef QGM_ROOF_H
#define QGM_ROOF_H

/* FLOP/s of one thread doing nothing but fma with the registers of `isa`; 0 where there is no such measurement. */
double qgm_roof_flops(const char *isa);
/* Bytes/s of one thread in a[i] = b[i] + s c[i] over arrays that no cache holds (12 bytes an element counted). */
double qgm_roof_bandwidth(void);
/* CPU time of this thread: what other processes take does not count. */
double qgm_seconds(void);

#endif
