/* Topologies: from a spec to rows of W, and facts about them. SPDX-License-Identifier: MIT */
#include "graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct qgm_graph *const groups[] = { qgm_graphs_static,   qgm_graphs_algebraic, qgm_graphs_social,
                                                  qgm_graphs_periodic, qgm_graphs_base,      qgm_graphs_random,
                                                  qgm_graphs_tree,     qgm_graphs_file };
enum { MAX_GRAPHS = 64 };

static const char *const weightings[] = { "metropolis", "uniform", "max-degree", NULL };
static const struct qgm_knob weights_knob = { .name = "weights",
                                              .help = "how edges are weighted",
                                              .choices = weightings };

struct qgm_topology {
    const struct qgm_graph *graph;
    struct qgm_request request;
    char *spec, *rest; /* rest: as in struct qgm_request */
    double knob[QGM_MAX_KNOBS];
    enum qgm_weighting weighting;
    bool weighting_asked, lazy; /* asked: written in the spec of a file, which may have weights itself */
    int period;
    struct qgm_links links;
    struct qgm_rows *draws; /* all of a period; one that is made anew each time for a graph without */
    long drawn;             /* which draw that one holds; -1: none */
    struct qgm_spectrum facts;
    bool facts_known, spectrum_known;
};

static const struct qgm_graph *nth(int n)
{
    for (size_t i = 0; i < QGM_COUNT(groups); i++)
        for (const struct qgm_graph *g = groups[i]; g->name; g++)
            if (n-- == 0) return g;
    return NULL;
}

const char *const *qgm_topology_names(void)
{
    static const char *names[MAX_GRAPHS + 1];
    const struct qgm_graph *g;
    for (int i = 0; i < MAX_GRAPHS && (g = nth(i)); i++) names[i] = g->name;
    return names;
}

/* A graph's own options, and weights= where edges are to be weighted. */
static void all_knobs(const struct qgm_graph *g, struct qgm_knob knobs[QGM_MAX_KNOBS])
{
    int n = 0;
    memset(knobs, 0, QGM_MAX_KNOBS * sizeof *knobs);
    for (; n < QGM_MAX_KNOBS - 1 && g->knob[n].name; n++) knobs[n] = g->knob[n];
    if (!g->weighted) knobs[n] = weights_knob;
}

const char *qgm_topology_about(const char *name)
{
    static char texts[MAX_GRAPHS][240];
    const struct qgm_graph *g;
    for (int i = 0; i < MAX_GRAPHS && (g = nth(i)); i++)
        if (qgm_spec_is(name, g->name)) {
            struct qgm_knob knobs[QGM_MAX_KNOBS];
            all_knobs(g, knobs);
            qgm_spec_about(texts[i], sizeof texts[i], g->about, knobs);
            return texts[i];
        }
    return NULL;
}

const char *qgm_topology_options(void)
{
    static char text[3000];
    const struct qgm_graph *g;
    for (int i = 0; i < MAX_GRAPHS && (g = nth(i)); i++) {
        struct qgm_knob knobs[QGM_MAX_KNOBS];
        all_knobs(g, knobs);
        qgm_spec_glossary(text, sizeof text, knobs);
    }
    return text;
}

/* ---- Opening ---- */

static int find(struct qgm_topology *t, struct qgm_error *err)
{
    for (int i = 0; (t->graph = nth(i)); i++)
        if (qgm_spec_is(t->spec, t->graph->name)) return 0;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)qgm_spec_name(t->spec), t->spec);
    const char *near = qgm_nearest(name, qgm_topology_names());
    if (near) return qgm_fail(err, QGM_USAGE, "unknown topology '%s': did you mean '%s'?", name, near);
    return qgm_fail(err, QGM_USAGE, "unknown topology '%s': --list shows all", name);
}

static bool is_option(const char *text, const struct qgm_knob *knobs)
{
    size_t n = strcspn(text, "=");
    for (int i = 0; i < QGM_MAX_KNOBS && knobs[i].name; i++)
        if (text[n] && strlen(knobs[i].name) == n && strncmp(knobs[i].name, text, n) == 0) return true;
    return false;
}

/* file:PATH,weights=uniform and tree:GRAPH:rows=4,root=3: a path or a graph, which may have options too, and last its
 * own options: behind a path all that looks like one, behind a graph those of the tree. */
static int read_rest(struct qgm_topology *t, const struct qgm_knob *knobs, struct qgm_error *err)
{
    bool file = t->graph == qgm_graphs_file;
    size_t name = qgm_spec_name(t->spec), room = strlen(t->spec) + 1;
    const char *rest = t->spec + name + (t->spec[name] == ':');
    t->rest = calloc(2, room); /* behind it, a spec of the options alone */
    if (!t->rest) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    char *end = strcpy(t->rest, rest) + strlen(rest), *own = t->rest + room;
    for (char *at = end; at-- > t->rest;) {
        if (*at != ',' && (file || *at != ':')) continue;
        if (!(file ? strchr(at, '=') != NULL : is_option(at + 1, knobs))) break;
        *(end = at) = 0;
    }
    t->weighting_asked = rest[end - t->rest];
    t->request.rest = t->rest;
    snprintf(own, room, "%.*s%s%s", (int)name, t->spec, t->weighting_asked ? ":" : "",
             rest + (end - t->rest) + t->weighting_asked);
    return qgm_spec_read(own, "topology", knobs, t->knob, err);
}

static int read_options(struct qgm_topology *t, struct qgm_error *err)
{
    struct qgm_knob knobs[QGM_MAX_KNOBS];
    all_knobs(t->graph, knobs);
    if (t->graph == qgm_graphs_file || t->graph == qgm_graphs_tree)
        QGM_TRY(read_rest(t, knobs, err));
    else
        QGM_TRY(qgm_spec_read(t->spec, "topology", knobs, t->knob, err));
    int n = 0;
    while (n < QGM_MAX_KNOBS && knobs[n].name) n++;
    t->weighting = t->graph->weighted ? QGM_EXPLICIT : (enum qgm_weighting)t->knob[n - 1];
    return 0;
}

static int make(struct qgm_topology *t, struct qgm_rows *rows, long draw, struct qgm_error *err)
{
    qgm_links_clear(&t->links);
    if (t->links.out_of_memory) return qgm_fail(err, QGM_SYSTEM, "out of memory for a graph's links");
    t->links.weighted = t->graph->weighted;
    QGM_TRY(t->graph->draw(&t->request, draw, &t->links, err));
    if (t->links.weighted && t->weighting_asked)
        return qgm_fail(err, QGM_USAGE,
                        "topology %s: %s gives weights itself ('to,from,weight'): drop weights=, or give a list of "
                        "edges ('a b')",
                        t->spec, t->rest);
    enum qgm_weighting weighting = t->links.weighted ? QGM_EXPLICIT : t->weighting;
    if (qgm_rows_make(rows, &t->links, weighting, t->lazy, err) == 0) return 0;
    return qgm_fail_in(err, "topology %s", t->spec);
}

static int open_all(struct qgm_topology *t, const char *spec, int clients, struct qgm_error *err)
{
    t->spec = strdup(spec);
    if (!t->spec) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    if (clients < 1 || clients > 65536)
        return qgm_fail(err, QGM_USAGE, "%d clients: expected a whole number from 1 to 65536", clients);
    QGM_TRY(find(t, err));
    QGM_TRY(read_options(t, err));
    t->request.n = t->links.n = clients;
    t->request.spec = t->spec;
    t->request.knob = t->knob;
    t->drawn = -1;
    int period = t->graph->period(&t->request, err);
    if (period < 0) return -1;
    int draws = period ? period : 1;
    t->draws = calloc((size_t)draws, sizeof *t->draws);
    if (!t->draws) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    t->period = period;
    for (int d = 0; d < draws; d++) QGM_TRY(make(t, &t->draws[d], d, err));
    t->drawn = 0;
    return 0;
}

int qgm_topology_open(struct qgm_topology **topology, const char *spec, int clients, bool lazy, uint64_t seed,
                      struct qgm_error *err)
{
    struct qgm_topology *t = *topology = calloc(1, sizeof *t);
    if (!t) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    t->lazy = lazy;
    t->request.seed = seed;
    if (open_all(t, spec, clients, err) == 0) return 0;
    qgm_topology_close(topology);
    return -1;
}

static int from_weights(struct qgm_topology *t, const char *name, int draws, const struct qgm_weight *weights,
                        size_t count, struct qgm_error *err)
{
    int n = t->request.n;
    t->spec = strdup(name);
    t->draws = calloc((size_t)draws, sizeof *t->draws);
    if (!t->spec || !t->draws) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    t->links.n = n;
    t->period = draws;
    for (int d = 0; d < draws; d++) {
        qgm_links_clear(&t->links);
        for (size_t k = 0; k < count; k++) {
            const struct qgm_weight *w = &weights[k];
            if (w->to < 0 || w->to >= n || w->from < 0 || w->from >= n || w->draw < 0 || w->draw >= draws)
                return qgm_fail(err, QGM_INPUT,
                                "weight %zu: draw %ld, to %d, from %d: expected draws below %d and "
                                "clients below %d",
                                k, w->draw, w->to, w->from, draws, n);
            if (w->draw == d) qgm_link_add(&t->links, w->to, w->from, w->w);
        }
        QGM_TRY(qgm_rows_make(&t->draws[d], &t->links, QGM_EXPLICIT, t->lazy, err));
    }
    return 0;
}

int qgm_topology_from(struct qgm_topology **topology, const char *name, int clients, int draws,
                      const struct qgm_weight *weights, size_t count, bool lazy, struct qgm_error *err)
{
    struct qgm_topology *t = *topology = calloc(1, sizeof *t);
    if (!t) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    t->lazy = lazy;
    t->request.n = clients;
    bool some = clients >= 1 && clients <= 65536 && draws >= 1;
    if (!some)
        qgm_fail(err, QGM_USAGE, "%d clients, %d draws: expected 1 to 65536 clients and at least 1 draw", clients,
                 draws);
    if (some && from_weights(t, name, draws, weights, count, err) == 0) return 0;
    qgm_topology_close(topology);
    return -1;
}

void qgm_topology_close(struct qgm_topology **topology)
{
    struct qgm_topology *t = *topology;
    if (!t) return;
    int draws = t->period ? t->period : 1;
    for (int d = 0; t->draws && d < draws; d++) qgm_rows_close(&t->draws[d]);
    free(t->draws);
    free(t->spec);
    free(t->rest);
    qgm_links_close(&t->links);
    free(t);
    *topology = NULL;
}

const char *qgm_topology_spec(const struct qgm_topology *t) { return t->spec; }
int qgm_topology_clients(const struct qgm_topology *t) { return t->request.n; }
int qgm_topology_period(const struct qgm_topology *t) { return t->period; }
enum qgm_alike qgm_topology_alike(const struct qgm_topology *t) { return t->graph ? t->graph->alike : QGM_AS_NUMBERED; }

const struct qgm_row *qgm_topology_rows(struct qgm_topology *t, long step)
{
    if (t->period) return t->draws[step % t->period].row;
    if (t->drawn != step && make(t, t->draws, step, NULL) < 0) return NULL;
    t->drawn = step;
    return t->draws->row;
}

/* ---- Facts ---- */

static bool near(double a, double b) { return fabs(a - b) <= 1e-9; }

/* The weight of j's message at i; 0 where there is none. Rows are sorted. */
static double weight(const struct qgm_row *rows, int i, int j)
{
    int low = 0, high = rows[i].n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (rows[i].from[middle] < j)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows[i].n && rows[i].from[low] == j ? rows[i].w[low] : 0;
}

/* What holds only if it holds for every draw. */
static void check_draw(const struct qgm_row *rows, int n, double *columns, struct qgm_spectrum *s)
{
    for (int j = 0; j < n; j++) columns[j] = 0;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < rows[i].n; k++) {
            sum += rows[i].w[k];
            s->negative = s->negative || rows[i].w[k] < -1e-9;
            columns[rows[i].from[k]] += rows[i].w[k];
            if (!near(rows[i].w[k], weight(rows, rows[i].from[k], i))) s->symmetric = false;
        }
        if (!near(sum, 1)) s->row_stochastic = false;
    }
    for (int j = 0; j < n; j++)
        if (!near(columns[j], 1)) s->column_stochastic = false;
}

/* Breadth first along the links of a union of draws; returns hops to the farthest, -1 if some are out of reach. */
static int eccentricity(const struct qgm_rows *u, int n, int from, int *hops, int *queue)
{
    for (int i = 0; i < n; i++) hops[i] = -1;
    int head = 0, tail = 0;
    queue[tail++] = from;
    hops[from] = 0;
    while (head < tail) {
        int i = queue[head++];
        const struct qgm_row *row = &u->row[i];
        for (int k = 0; k < row->n; k++)
            if (row->w[k] != 0 && hops[row->from[k]] < 0) {
                hops[row->from[k]] = hops[i] + 1;
                queue[tail++] = row->from[k];
            }
    }
    return tail == n ? hops[queue[n - 1]] : -1;
}

static int neighbours(const struct qgm_row *row, int i)
{
    int degree = 0;
    for (int k = 0; k < row->n; k++) degree += row->from[k] != i && row->w[k] != 0;
    return degree;
}

/* The union of all draws, and the same with every link reversed. Weights are sums of absolute values. What holds only
 * if it holds for every draw is checked on the way. */
static int make_union(struct qgm_topology *t, int draws, double *columns, struct qgm_rows *forward,
                      struct qgm_rows *back)
{
    int result = 0;
    struct qgm_links links[2] = { { .n = t->request.n }, { .n = t->request.n } };
    qgm_links_clear(&links[0]);
    qgm_links_clear(&links[1]);
    for (int d = 0; d < draws && result == 0; d++) {
        const struct qgm_row *rows = qgm_topology_rows(t, d);
        result = rows ? 0 : -1;
        if (rows) check_draw(rows, t->request.n, columns, &t->facts);
        for (int i = 0; rows && i < t->request.n; i++) {
            t->facts.degree_step += neighbours(&rows[i], i);
            for (int k = 0; k < rows[i].n; k++) {
                qgm_link_add(&links[0], i, rows[i].from[k], fabs(rows[i].w[k]));
                qgm_link_add(&links[1], rows[i].from[k], i, fabs(rows[i].w[k]));
            }
        }
    }
    t->facts.degree_step /= (double)t->request.n * draws;
    if (result == 0) result = qgm_rows_make(forward, &links[0], QGM_EXPLICIT, false, NULL);
    if (result == 0) result = qgm_rows_make(back, &links[1], QGM_EXPLICIT, false, NULL);
    qgm_links_close(&links[0]);
    qgm_links_close(&links[1]);
    return result;
}

/* Hops between the farthest two. A complete graph's are known, and looking costs clients times links. */
static int diameter(const struct qgm_rows *u, int n, bool complete, int *hops, int *queue)
{
    if (complete) return n > 1;
    int most = 0;
    for (int i = 0; i < n; i++) {
        int far = eccentricity(u, n, i, hops, queue);
        if (far < 0) return -1;
        most = far > most ? far : most;
    }
    return most;
}

/* The first client out of reach of client 0, or -1. */
static int first_unreached(const struct qgm_rows *u, int n, int *hops, int *queue)
{
    if (eccentricity(u, n, 0, hops, queue) >= 0) return -1;
    int i = 0;
    while (hops[i] >= 0) i++;
    return i;
}

static void check_union(const struct qgm_rows *forward, const struct qgm_rows *back, int n, int *work,
                        struct qgm_spectrum *s)
{
    int *hops = work, *queue = work + n;
    s->unreached = first_unreached(forward, n, hops, queue);
    if (s->unreached < 0) s->unreached = first_unreached(back, n, hops, queue);
    s->connected = s->unreached < 0;
    double links = 0;
    bool both_ways = true;
    for (int i = 0; i < n; i++) {
        int degree = neighbours(&forward->row[i], i);
        if (!degree && !neighbours(&back->row[i], i) && n > 1 && !s->isolated++) s->first_isolated = i;
        for (int k = 0; k < forward->row[i].n; k++)
            both_ways =
                both_ways && (weight(forward->row, forward->row[i].from[k], i) != 0) == (forward->row[i].w[k] != 0);
        links += degree;
        if (i == 0 || degree < s->degree_min) s->degree_min = degree;
        if (degree > s->degree_max) s->degree_max = degree;
    }
    s->degree_mean = links / n;
    s->complete = s->degree_min == n - 1;
    s->tree = s->connected && both_ways && !s->time_varying && links == 2.0 * (n - 1);
    s->diameter = s->connected ? diameter(forward, n, s->complete, hops, queue) : -1;
}

static const struct qgm_spectrum nothing_known = { .gap = NAN,
                                                   .lambda2 = NAN,
                                                   .lambda_min = NAN,
                                                   .radius = NAN,
                                                   .diameter = -1,
                                                   .degree_mean = NAN,
                                                   .degree_step = NAN,
                                                   .first_isolated = -1,
                                                   .unreached = -1 };

int qgm_topology_find_facts(struct qgm_topology *t, struct qgm_error *err)
{
    if (t->facts_known) return 0;
    int n = t->request.n, draws = t->period ? t->period : QGM_SAMPLED_DRAWS;
    struct qgm_spectrum *s = &t->facts;
    struct qgm_rows forward = { 0 }, back = { 0 };
    double *columns = calloc((size_t)n, sizeof *columns);
    int *work = calloc((size_t)n, 2 * sizeof *work);
    *s = nothing_known;
    s->time_varying = t->period != 1;
    s->row_stochastic = s->column_stochastic = s->symmetric = true;
    s->degree_step = 0;
    t->facts_known = columns && work && make_union(t, draws, columns, &forward, &back) == 0;
    if (t->facts_known)
        check_union(&forward, &back, n, work, s);
    else
        *s = nothing_known;
    qgm_rows_close(&forward);
    qgm_rows_close(&back);
    free(columns);
    free(work);
    if (t->facts_known) return 0;
    return qgm_fail(err, QGM_SYSTEM, "out of memory for what %s on %d clients is like", t->spec, n);
}

int qgm_topology_find_spectrum(struct qgm_topology *t, struct qgm_error *err)
{
    QGM_TRY(qgm_topology_find_facts(t, err));
    if (t->spectrum_known) return 0;
    QGM_TRY(qgm_spectrum_solve(t, &t->facts, err));
    t->spectrum_known = true;
    return 0;
}

const struct qgm_spectrum *qgm_topology_facts(struct qgm_topology *t)
{
    (void)qgm_topology_find_facts(t, NULL);
    return &t->facts;
}

const struct qgm_spectrum *qgm_topology_spectrum(struct qgm_topology *t)
{
    (void)qgm_topology_find_spectrum(t, NULL);
    return &t->facts;
}
