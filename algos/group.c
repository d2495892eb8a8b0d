/* One process, or the group that a launcher made. SPDX-License-Identifier: MIT */
#include "group.h"
#include "exchange.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Alone ---- */

static int exchange(struct qgm_group *group, struct qgm_exchange **out, const struct qgm_exchange_size *size,
                    struct qgm_error *err)
{
    (void)group;
    return qgm_exchange_local(out, size, err);
}

static size_t exchange_bytes(const struct qgm_group *group, const struct qgm_exchange_size *size,
                             struct qgm_exchange *shape)
{
    (void)group;
    return qgm_exchange_local_bytes(size, shape);
}

static void share(struct qgm_group *group, void *values, size_t each, const int *begin)
{
    (void)group, (void)values, (void)each, (void)begin;
}

static void shared(struct qgm_group *group) { (void)group; }

static void turn(struct qgm_group *group, const void *to, const int *bytes_to, void *from, const int *bytes_from)
{
    (void)group, (void)bytes_from;
    memcpy(from, to, (size_t)bytes_to[0]);
}

static void tell(struct qgm_group *group, void *at, size_t bytes) { (void)group, (void)at, (void)bytes; }

static void send_to(struct qgm_group *group, const void *at, size_t bytes, int to)
{
    (void)group, (void)at, (void)bytes, (void)to;
}

static void receive(struct qgm_group *group, void *at, size_t bytes, int from)
{
    (void)group, (void)at, (void)bytes, (void)from;
}

static double sum_here(struct qgm_group *group, double value, int *processes)
{
    (void)group;
    *processes = 1;
    return value;
}

static void stop(struct qgm_group *group, int code)
{
    (void)group;
    exit(code);
}

static void alone_close(struct qgm_group **group) { *group = NULL; }

struct qgm_group *qgm_group_alone(void)
{
    static const struct qgm_group_ops ops = { .name = "alone",
                                              .exchange = exchange,
                                              .exchange_bytes = exchange_bytes,
                                              .share = share,
                                              .share_early = share,
                                              .shared = shared,
                                              .turn = turn,
                                              .tell = tell,
                                              .send = send_to,
                                              .receive = receive,
                                              .sum_here = sum_here,
                                              .abort = stop,
                                              .close = alone_close };
    static struct qgm_group alone = { .op = &ops, .ranks = 1, .many = true };
    return &alone;
}

typedef void how_to_share(struct qgm_group *group, void *values, size_t each, const int *begin);

static void deal(struct qgm_group *g, how_to_share *how, void *values, size_t each, int items)
{
    if (g->ranks == 1) return;
    int *begin = malloc(((size_t)g->ranks + 1) * sizeof *begin);
    if (!begin) {
        g->op->abort(g, 1);
        return;
    }
    for (int r = 0; r <= g->ranks; r++) begin[r] = qgm_group_first(g, items, r);
    how(g, values, each, begin);
    free(begin);
}

void qgm_group_share(struct qgm_group *g, void *values, size_t each, int items)
{
    deal(g, g->op->share, values, each, items);
}

void qgm_group_share_early(struct qgm_group *g, void *values, size_t each, int items)
{
    deal(g, g->op->share_early, values, each, items);
}

const void *qgm_group_fetch(struct qgm_group *g, int owner, const void *at, void *guest, size_t bytes)
{
    if (owner == 0) return at;
    if (g->rank == owner) g->op->send(g, at, bytes, 0);
    if (g->rank) return at;
    g->op->receive(g, guest, bytes, owner);
    return guest;
}

/* ---- Started by a launcher ---- */

/* What launchers leave in the environment, and the plug-in that speaks their language. */
static const struct {
    const char *variable, *plugin;
} launchers[] = {
    { "OMPI_COMM_WORLD_SIZE", "openmpi" }, /* mpirun of Open MPI */
    { "PMI_RANK", "mpich" },               /* mpiexec of MPICH and its relatives; srun --mpi=pmi2 */
    { "PMIX_RANK", "openmpi" },            /* srun --mpi=pmix */
};
static const char *const plugins[] = { "openmpi", "mpich", "mpi" };

static const char *launcher(void)
{
    for (size_t i = 0; i < QGM_COUNT(launchers); i++)
        if (getenv(launchers[i].variable)) return launchers[i].plugin;
    return NULL;
}

/* Beside the library in an installed tree, and in the build tree, seen from the program. */
static void folder_of_plugins(char *folder, size_t size)
{
    const char *told = getenv("QGM_PLUGINS");
    if (told) {
        snprintf(folder, size, "%s", told);
        return;
    }
    char self[2000];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    snprintf(folder, size, "%s/../" QGM_LIBDIR "/qgm", self);
}

static int enter(struct qgm_group **group, const char *folder, const char *plugin, struct qgm_error *err)
{
    char path[2200];
    snprintf(path, sizeof path, "%s/qgm-mpi-%s.so", folder, plugin);
    if (access(path, R_OK) < 0) return 0;
    /* Global: Open MPI loads parts of its own that look for its symbols. */
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    qgm_group_entry *entry = NULL;
    if (library) *(void **)&entry = dlsym(library, "qgm_group_mpi");
    if (!entry) return qgm_fail(err, QGM_SYSTEM, "cannot load %s: %s", path, dlerror());
    return entry(group, err) < 0 ? -1 : 1;
}

int qgm_group_open(struct qgm_group **group, struct qgm_error *err)
{
    const char *told = getenv("QGM_MPI"), *wanted = told ? told : launcher();
    char folder[2100];
    *group = qgm_group_alone();
    if (!wanted || !*wanted || strcmp(wanted, "off") == 0) return 0;
    folder_of_plugins(folder, sizeof folder);
    int found = enter(group, folder, wanted, err);
    for (size_t i = 0; i < QGM_COUNT(plugins) && !found && !told; i++) found = enter(group, folder, plugins[i], err);
    if (found > 0 && (*group)->ranks == 1) { /* nobody to talk to */
        (*group)->op->close(group);
        *group = qgm_group_alone();
    }
    if (found) return found < 0 ? -1 : 0;
    return qgm_fail(
        err, QGM_USAGE,
        "started by the launcher of an MPI, but there is no %s/qgm-mpi-%s.so: this build has no MPI (Debian: "
        "libopenmpi-dev or libmpich-dev, then build again; QGM_MPI=off runs the processes side by side)",
        folder, wanted);
}
