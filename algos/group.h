/* The processes that carry out one run together. Each computes a contiguous block of clients; what must be known to all
 * is shared here, and messages between clients travel through the exchange that a group opens. All calls are
 * collective, made by one thread of each process, in the same order, unless said otherwise. SPDX-License-Identifier:
 * MIT */
#ifndef QGM_GROUP_H
#define QGM_GROUP_H
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qgm_exchange;
struct qgm_exchange_size {
    int clients, threads, messages; /* messages: most that are in flight at once */
    size_t dim, real;               /* elements of a vector, bytes of one */
    bool early;                     /* whole vectors may set off before there is anything to compute on them */
};

struct qgm_group;
struct qgm_group_ops {
    const char *name;
    int (*exchange)(struct qgm_group *group, struct qgm_exchange **exchange, const struct qgm_exchange_size *size,
                    struct qgm_error *err);
    /* What it would hold, and be like: *shape is all of it but the operations. Not collective. */
    size_t (*exchange_bytes)(const struct qgm_group *group, const struct qgm_exchange_size *size,
                             struct qgm_exchange *shape);
    /* Process r has made items begin[r] ... begin[r + 1] - 1 of `each` bytes; afterwards everyone has all. */
    void (*share)(struct qgm_group *group, void *values, size_t each, const int *begin);
    /* The same while other work goes on: values are not to be touched until `shared`. One at a time. */
    void (*share_early)(struct qgm_group *group, void *values, size_t each, const int *begin);
    void (*shared)(struct qgm_group *group);
    /* To every process r its bytes_to[r] bytes of `to`, from every r bytes_from[r] of `from`, in the order of r. */
    void (*turn)(struct qgm_group *group, const void *to, const int *bytes_to, void *from, const int *bytes_from);
    void (*tell)(struct qgm_group *group, void *at, size_t bytes);               /* process 0 tells all others */
    void (*send)(struct qgm_group *group, const void *at, size_t bytes, int to); /* not collective: these two */
    void (*receive)(struct qgm_group *group, void *at, size_t bytes, int from);  /* go together */
    /* Sum over the processes of this machine, and how many they are. */
    double (*sum_here)(struct qgm_group *group, double value, int *processes);
    void (*abort)(struct qgm_group *group, int code); /* by one process: ends all of them */
    void (*close)(struct qgm_group **group);
};
struct qgm_group {
    const struct qgm_group_ops *op;
    int rank, ranks;
    bool many; /* may several threads of a process exchange at once? */
};

/* The group this process was started into: by mpirun, mpiexec or srun (the plug-in qgm-mpi-NAME.so is loaded then, and
 * only then), or this process alone. $QGM_MPI: openmpi, mpich or another plug-in's name, or off. $QGM_MPI_SHARE:
 * how many processes of a machine share memory, instead of all; others send each other messages. $QGM_MPI_STANDING=1:
 * they do so by persistent neighbourhood collectives where the graph stays as it is (standing_mpi.h). */
int qgm_group_open(struct qgm_group **group, struct qgm_error *err);
struct qgm_group *qgm_group_alone(void);
/* How a plug-in is entered. */
typedef int qgm_group_entry(struct qgm_group **group, struct qgm_error *err);

/* Items are dealt to the processes like `items` clients: afterwards everyone has those of all. */
void qgm_group_share(struct qgm_group *group, void *values, size_t each, int items);
/* The same while other work goes on, until op->shared. */
void qgm_group_share_early(struct qgm_group *group, void *values, size_t each, int items);

/* Bytes that process `owner` has at `at`, to process 0: returns where they are there, `at` or `guest`. Collective. */
const void *qgm_group_fetch(struct qgm_group *group, int owner, const void *at, void *guest, size_t bytes);

/* First client of a process's block; of rank `ranks`: how many clients there are. */
static inline int qgm_group_first(const struct qgm_group *group, int clients, int rank)
{
    return (int)((long)clients * rank / group->ranks);
}

/* The process a client lives in. */
static inline int qgm_group_owner(const struct qgm_group *group, int clients, int client)
{
    return (int)((((long)client + 1) * group->ranks - 1) / clients);
}

#ifdef __cplusplus
}
#endif
#endif
