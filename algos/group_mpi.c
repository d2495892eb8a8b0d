/* The group of processes that an MPI launcher started: a plug-in, one for each MPI, so that programs need no MPI to run
 * alone. MPI-3.1 calls only; an error of MPI ends the job, as MPI does by default. SPDX-License-Identifier: MIT */
#include "exchange_mpi.h"
#include "watch.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static MPI_Comm world;   /* of calls that are no messages between clients */
static MPI_Comm machine; /* processes of this machine */
static struct qgm_host host;
static struct qgm_watch watch = { .line = -1 };

enum { CHUNK = 1 << 30 }; /* bytes: counts of MPI are ints */

/* MPICH's launcher may hear of the end before it reads what was said last, which is then lost: until it has read it. */
static void let_read(int fd)
{
    int unread;
    for (int i = 0; i < 100 && ioctl(fd, FIONREAD, &unread) == 0 && unread > 0; i++) usleep(10000);
}

static void stop(struct qgm_group *g, int code)
{
    (void)g;
    let_read(STDOUT_FILENO);
    let_read(STDERR_FILENO);
    qgm_watch_bye(&watch, true);
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void share(struct qgm_group *g, void *values, size_t each, const int *first)
{
    MPI_Datatype item;
    int *count = malloc((size_t)g->ranks * sizeof *count);
    if (!count) stop(g, 1);
    for (int r = 0; r < g->ranks; r++) count[r] = first[r + 1] - first[r];
    MPI_Type_contiguous((int)each, MPI_BYTE, &item);
    MPI_Type_commit(&item);
    MPI_Allgatherv(MPI_IN_PLACE, 0, item, values, count, first, item, world);
    MPI_Type_free(&item);
    free(count);
}

enum { EARLY = 1 }; /* tag; messages of send_to have 0 */
static MPI_Request *early;

/* To everyone at once: MPI_Iallgatherv goes round a ring in Open MPI 4.1, which takes as many latencies as there are
 * processes, and each begins only in a call of MPI. */
static void share_early(struct qgm_group *g, void *values, size_t each, const int *first)
{
    early = malloc(2 * (size_t)g->ranks * sizeof *early);
    if (!early) stop(g, 1);
    char *at = values, *mine = at + each * (size_t)first[g->rank];
    int n = 0, bytes = (int)each * (first[g->rank + 1] - first[g->rank]);
    for (int r = 0; r < g->ranks; r++)
        if (r != g->rank)
            MPI_Irecv(at + each * (size_t)first[r], (int)each * (first[r + 1] - first[r]), MPI_BYTE, r, EARLY, world,
                      &early[n++]);
    for (int r = 0; r < g->ranks; r++)
        if (r != g->rank) MPI_Isend(mine, bytes, MPI_BYTE, r, EARLY, world, &early[n++]);
}

static void shared(struct qgm_group *g)
{
    MPI_Waitall(2 * (g->ranks - 1), early, MPI_STATUSES_IGNORE);
    free(early);
}

static void turn(struct qgm_group *g, const void *to, const int *bytes_to, void *from, const int *bytes_from)
{
    int *at = malloc(2 * (size_t)g->ranks * sizeof *at), *at_from = at + g->ranks, sum[2] = { 0, 0 };
    if (!at) stop(g, 1);
    for (int r = 0; r < g->ranks; r++) {
        at[r] = sum[0];
        at_from[r] = sum[1];
        sum[0] += bytes_to[r];
        sum[1] += bytes_from[r];
    }
    MPI_Alltoallv(to, bytes_to, at, MPI_BYTE, from, bytes_from, at_from, MPI_BYTE, world);
    free(at);
}

static int piece(size_t bytes, size_t at) { return bytes - at < CHUNK ? (int)(bytes - at) : CHUNK; }

static void tell(struct qgm_group *g, void *at, size_t bytes)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK) MPI_Bcast((char *)at + k, piece(bytes, k), MPI_BYTE, 0, world);
}

static void send_to(struct qgm_group *g, const void *at, size_t bytes, int to)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK) MPI_Send((const char *)at + k, piece(bytes, k), MPI_BYTE, to, 0, world);
}

static void receive(struct qgm_group *g, void *at, size_t bytes, int from)
{
    (void)g;
    for (size_t k = 0; k < bytes; k += CHUNK)
        MPI_Recv((char *)at + k, piece(bytes, k), MPI_BYTE, from, 0, world, MPI_STATUS_IGNORE);
}

static double sum_here(struct qgm_group *g, double value, int *processes)
{
    (void)g;
    double sum;
    MPI_Allreduce(&value, &sum, 1, MPI_DOUBLE, MPI_SUM, machine);
    MPI_Comm_size(machine, processes);
    return sum;
}

/* In MPI_Finalize of MPICH 4.0 over UCX and TCP a process asks every other for a last answer, gets its own, and then
 * waits for all to end without answering any more: those that ask later wait for ever. So all ask at the same time, and
 * none answers in a call of MPI before that: half a second is longer than what keeps the others behind the barrier, be
 * it a packet that has to be sent again. */
static void leave_together(void)
{
#ifdef MPICH_VERSION
    int here, ranks;
    if (!host.rank_of) return; /* it never came to that */
    MPI_Comm_size(machine, &here);
    MPI_Comm_size(world, &ranks);
    if (here == ranks) return; /* no TCP */
    MPI_Barrier(world);
    usleep(500000);
#endif
}

/* Also when a program ends in the middle of its work, after --help for one. */
static void leave(void)
{
    int ended = 0;
    MPI_Finalized(&ended);
    if (ended) return;
    leave_together();
    MPI_Finalize();
    qgm_watch_bye(&watch, false);
}

static void group_close(struct qgm_group **g)
{
    leave();
    *g = NULL;
}

static const struct qgm_group_ops group_ops = { .name = "mpi",
                                                .exchange = qgm_exchange_mpi,
                                                .exchange_bytes = qgm_exchange_mpi_bytes,
                                                .share = share,
                                                .share_early = share_early,
                                                .shared = shared,
                                                .turn = turn,
                                                .tell = tell,
                                                .send = send_to,
                                                .receive = receive,
                                                .sum_here = sum_here,
                                                .abort = stop,
                                                .close = group_close };

const struct qgm_host *qgm_host(void) { return &host; }

/* QGM_MPI_SHARE=N: at most N processes share memory, as if others were on other machines; 1: none do. */
static int find_host(const struct qgm_group *g, struct qgm_error *err)
{
    const char *wish = getenv("QGM_MPI_SHARE");
    int most = wish ? atoi(wish) : g->ranks, rank;
    if (most < 1) return qgm_fail(err, QGM_USAGE, "QGM_MPI_SHARE=%s: expected how many processes share memory", wish);
    int *each = malloc(2 * (size_t)g->ranks * sizeof *each);
    if (!each) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &rank);
    MPI_Comm_split(machine, rank / most, rank, &host.comm);
    MPI_Comm_set_errhandler(host.comm, MPI_ERRORS_RETURN);
    MPI_Comm_size(host.comm, &host.size);
    MPI_Group all, here;
    MPI_Comm_group(world, &all);
    MPI_Comm_group(host.comm, &here);
    for (int r = 0; r < g->ranks; r++) each[r] = r;
    host.rank_of = each + g->ranks;
    MPI_Group_translate_ranks(all, g->ranks, each, here, host.rank_of);
    for (int r = 0; r < g->ranks; r++)
        if (host.rank_of[r] == MPI_UNDEFINED) host.rank_of[r] = -1;
    MPI_Group_free(&all);
    MPI_Group_free(&here);
    return 0;
}

/* UCX, on which MPICH is built, shakes hands over TCP before it sends a panel: three latencies each, and only inside
 * calls of MPI. Where there is nothing faster than TCP, panels are to go at once. What the user wishes stays. */
static void send_at_once(void)
{
    if (access("/sys/class/infiniband", F_OK) < 0) setenv("UCX_RNDV_THRESH", "128k", 0);
}

static void watch_each_other(int rank)
{
    struct qgm_watch leader = watch;
    int here;
    MPI_Bcast(&leader, (int)sizeof leader, MPI_BYTE, 0, machine);
    MPI_Comm_rank(machine, &here);
    qgm_watch_join(&watch, here ? &leader : &watch, rank);
}

qgm_group_entry qgm_group_mpi;
int qgm_group_mpi(struct qgm_group **group, struct qgm_error *err)
{
    static struct qgm_group g;
    int provided;
    if (getenv("PMI_RANK")) qgm_watch_open(&watch); /* Open MPI's launcher says by itself who died */
    send_at_once();
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED)
        return qgm_fail(err, QGM_SYSTEM, "MPI could not be started, or allows no threads beside it");
    atexit(leave);
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    g = (struct qgm_group){ .op = &group_ops, .many = provided == MPI_THREAD_MULTIPLE };
    MPI_Comm_rank(world, &g.rank);
    MPI_Comm_size(world, &g.ranks);
    *group = &g;
    if (find_host(&g, err) < 0) return -1;
    watch_each_other(g.rank);
    return 0;
}
