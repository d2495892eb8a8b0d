/* The circumstances of a measurement: machine, build, load. SPDX-License-Identifier: MIT */
#ifndef QGM_CONTEXT_H
#define QGM_CONTEXT_H
#include <jansson.h>

/* CPU model, cores, caches, memory (hwloc); instruction sets built, usable and in use; threads, affinity, OpenMP
 * environment; load average, governor; kernel, compiler, flags, commit; date (UTC). */
json_t *qgm_context(int threads);
/* Bytes of memory this process may have: the machine's, or what its control groups leave it. 0: unknown. */
double qgm_machine_memory(void);
/* The smallest memory limit of the control groups (version 1 and 2) that `groups`, a file like /proc/self/cgroup, names
 * and of all groups around them; mount: where they are mounted, /sys/fs/cgroup. INFINITY: none. */
double qgm_group_memory(const char *groups, const char *mount);

#endif
