/* See standing_mpi.h. SPDX-License-Identifier: MIT */
#include "standing_mpi.h"
#include "algo.h"
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* MPICH 4.0 and 4.1 end a test of such a request with an error once it is done. */
#if defined(MPICH_NUMVERSION) && MPICH_NUMVERSION < 40200000
#elif MPI_VERSION >= 4
#define HAVE_STANDING 1
#elif defined(OPEN_MPI)
#include <mpi-ext.h>
#ifdef OMPI_HAVE_MPI_EXT_PCOLLREQ
#define HAVE_STANDING               1
#define MPI_Neighbor_alltoallw_init MPIX_Neighbor_alltoallw_init
#endif
#endif

#ifdef HAVE_STANDING
/* The arrays are MPI's until the request is freed. */
struct kept {
    struct kept *next;
    struct qgm_standing_panel panel;
    MPI_Request request;
    MPI_Datatype *type;
    MPI_Aint *place;
    int *count, *process;
};
struct qgm_standing {
    int threads, depth;
    uint64_t rows; /* digest of those of the last step */
    const MPI_Comm *comm;
    MPI_Comm *graph;    /* [thread][messages]: MPI_COMM_NULL until it is first used */
    struct kept **kept; /* [thread][flight] */
};

static int graphs_of(const struct qgm_standing *s) { return s->threads * (QGM_MAX_MESSAGES + 1); }

/* Open MPI 4.1 loads what it needs for graphs when it makes the first one, and takes no lock: threads that make theirs
 * at the same time would crash it. So one is made before there are any. */
static void load_graphs(void)
{
    MPI_Comm graph;
    MPI_Dist_graph_create_adjacent(MPI_COMM_SELF, 0, NULL, MPI_UNWEIGHTED, 0, NULL, MPI_UNWEIGHTED, MPI_INFO_NULL, 0,
                                   &graph);
    MPI_Comm_free(&graph);
}

static int set_up(struct qgm_standing **standing, const MPI_Comm *comm, int threads, int depth, struct qgm_error *err)
{
    struct qgm_standing *s = calloc(1, sizeof *s);
    if (!s) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    *s = (struct qgm_standing){ .threads = threads, .depth = depth, .comm = comm };
    s->graph = malloc((size_t)graphs_of(s) * sizeof *s->graph);
    s->kept = calloc((size_t)threads * (size_t)depth, sizeof *s->kept);
    *standing = s;
    if (!s->graph || !s->kept) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < graphs_of(s); i++) s->graph[i] = MPI_COMM_NULL;
    load_graphs();
    return 0;
}

static void forget(struct qgm_standing *s)
{
    for (int f = 0; s->kept && f < s->threads * s->depth; f++)
        while (s->kept[f]) {
            struct kept *k = s->kept[f];
            s->kept[f] = k->next;
            MPI_Request_free(&k->request);
            free(k->type);
            free(k);
        }
    for (int i = 0; s->kept && s->graph && i < graphs_of(s); i++)
        if (s->graph[i] != MPI_COMM_NULL) MPI_Comm_free(&s->graph[i]);
}

void qgm_standing_close(struct qgm_standing **standing)
{
    struct qgm_standing *s = *standing;
    if (!s) return;
    forget(s);
    free(s->graph);
    free(s->kept);
    free(s);
    *standing = NULL;
}

bool qgm_standing_plan(struct qgm_standing *s, const struct qgm_row *rows, int clients)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (int i = 0; i < clients; i++) {
        XXH3_64bits_update(&state, &rows[i].n, sizeof rows[i].n);
        XXH3_64bits_update(&state, rows[i].from, (size_t)rows[i].n * sizeof *rows[i].from);
    }
    uint64_t now = XXH3_64bits_digest(&state);
    bool stands = now == s->rows;
    if (!stands) forget(s);
    s->rows = now;
    return stands;
}

static MPI_Comm graph_of(struct qgm_standing *s, const struct kept *k, int sends, int receives)
{
    MPI_Comm *graph = &s->graph[k->panel.thread * (QGM_MAX_MESSAGES + 1) + k->panel.messages];
    if (*graph == MPI_COMM_NULL)
        MPI_Dist_graph_create_adjacent(s->comm[k->panel.thread], receives, k->process + sends, MPI_UNWEIGHTED, sends,
                                       k->process, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, graph);
    return *graph;
}

static void describe(struct qgm_standing *s, struct kept *k, const struct routes *routes, char *const *const *places)
{
    int sends = routes->sends * k->panel.messages, receives = routes->receives * k->panel.messages;
    size_t edges = (size_t)sends + (size_t)receives + 1;
    k->type = malloc(edges * (sizeof *k->type + sizeof *k->place + sizeof *k->count + sizeof *k->process));
    if (!k->type) MPI_Abort(MPI_COMM_WORLD, 1);
    k->place = (MPI_Aint *)(void *)(k->type + edges);
    k->count = (int *)(k->place + edges);
    k->process = k->count + edges;
    for (int e = 0; e < sends + receives; e++) {
        const struct route *r =
            e < sends ? &routes->send[e % routes->sends] : &routes->receive[(e - sends) % routes->receives];
        int message = e < sends ? e / routes->sends : (e - sends) / routes->receives;
        k->type[e] = MPI_BYTE;
        k->count[e] = k->panel.bytes;
        k->process[e] = r->process;
        MPI_Get_address(places[message][r->client], &k->place[e]);
    }
    MPI_Neighbor_alltoallw_init(MPI_BOTTOM, k->count, k->place, k->type, MPI_BOTTOM, k->count + sends, k->place + sends,
                                k->type + sends, graph_of(s, k, sends, receives), MPI_INFO_NULL, &k->request);
}

MPI_Request qgm_standing_start(struct qgm_standing *s, const struct qgm_standing_panel *panel,
                               const struct routes *routes, char *const *const *places)
{
    struct kept **list = &s->kept[panel->thread * s->depth + panel->flight], *k = *list;
    while (k && memcmp(&k->panel, panel, sizeof *panel)) k = k->next;
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k) MPI_Abort(MPI_COMM_WORLD, 1);
        k->panel = *panel;
        k->next = *list;
        *list = k;
        describe(s, k, routes, places);
    }
    MPI_Start(&k->request);
    return k->request;
}

#else
static int set_up(struct qgm_standing **standing, const MPI_Comm *comm, int threads, int depth, struct qgm_error *err)
{
    (void)standing, (void)comm, (void)threads, (void)depth;
    return qgm_fail(
        err, QGM_USAGE,
        "QGM_MPI_STANDING=1: this MPI has no persistent neighbourhood collectives that work: expected Open MPI "
        "4.1 with its extension pcollreq, or MPICH 4.2; leave it unset, or 0");
}
void qgm_standing_close(struct qgm_standing **standing) { *standing = NULL; }
bool qgm_standing_plan(struct qgm_standing *s, const struct qgm_row *rows, int clients)
{
    (void)s, (void)rows, (void)clients;
    return false;
}
MPI_Request qgm_standing_start(struct qgm_standing *s, const struct qgm_standing_panel *panel,
                               const struct routes *routes, char *const *const *places)
{
    (void)s, (void)panel, (void)routes, (void)places;
    return MPI_REQUEST_NULL;
}
#endif

int qgm_standing_open(struct qgm_standing **standing, const MPI_Comm *comm, int threads, int depth,
                      struct qgm_error *err)
{
    const char *wish = getenv("QGM_MPI_STANDING");
    *standing = NULL;
    if (!wish || !*wish || strcmp(wish, "0") == 0) return 0;
    if (strcmp(wish, "1")) return qgm_fail(err, QGM_USAGE, "QGM_MPI_STANDING=%s: expected 0 or 1", wish);
    return set_up(standing, comm, threads, depth, err);
}
