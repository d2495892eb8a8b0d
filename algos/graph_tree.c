/* A spanning tree of another graph, for algorithms that relay: breadth first, so that nobody is farther from the root
 * than in the graph itself (Vogels et al. 2021 take such a tree of the Davis network). SPDX-License-Identifier: MIT */
#include "graph.h"
#include <string.h>

enum { ROOT }; /* knob */

static int given(const struct qgm_request *r, struct qgm_error *err)
{
    if (!r->rest || !*r->rest)
        return qgm_fail(err, QGM_USAGE, "topology %s: of which graph? expected tree:GRAPH, as in tree:davis", r->spec);
    if (r->knob[ROOT] < r->n) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: root=%.0f: expected a client from 0 to %d", r->spec, r->knob[ROOT],
                    r->n - 1);
}

static bool hears(const struct qgm_row *rows, int i, int j)
{
    for (int k = 0; k < rows[i].n; k++)
        if (rows[i].from[k] == j) return rows[i].w[k] != 0;
    return false;
}

/* Neighbours in ascending order; a link counts if it goes both ways. */
static int grow(const struct qgm_request *r, const struct qgm_row *rows, struct qgm_links *l, struct qgm_error *err)
{
    uint32_t *queue = l->scratch, *seen = l->scratch + r->n;
    int tail = 0, left = 0, root = (int)r->knob[ROOT];
    memset(seen, 0, (size_t)r->n * sizeof *seen);
    queue[tail++] = (uint32_t)root;
    seen[root] = 1;
    for (int head = 0; head < tail; head++) {
        int i = (int)queue[head];
        for (int k = 0; k < rows[i].n; k++) {
            int j = rows[i].from[k];
            if (seen[j] || rows[i].w[k] == 0 || !hears(rows, j, i)) continue;
            seen[j] = 1;
            queue[tail++] = (uint32_t)j;
            qgm_edge(l, i, j);
        }
    }
    if (tail == r->n) return 0;
    while (seen[left]) left++;
    return qgm_fail(err, QGM_USAGE,
                    "topology %s: no links both ways lead from client %d to client %d: expected a connected graph "
                    "without one-way links (ring, torus, davis)",
                    r->spec, root, left);
}

static int draw(const struct qgm_request *r, long k, struct qgm_links *l, struct qgm_error *err)
{
    struct qgm_topology *graph;
    int result;
    (void)k;
    if (qgm_topology_open(&graph, r->rest, r->n, false, r->seed, err) < 0)
        return qgm_fail_in(err, "topology %s", r->spec);
    if (qgm_topology_period(graph) == 1)
        result = grow(r, qgm_topology_rows(graph, 0), l, err);
    else
        result = qgm_fail(err, QGM_USAGE,
                          "topology %s: %s changes from step to step: expected a static graph (ring, torus, davis)",
                          r->spec, r->rest);
    qgm_topology_close(&graph);
    return result;
}

const struct qgm_graph qgm_graphs_tree[] = {
    { .name = "tree",
      .about = "tree:GRAPH or tree:GRAPH,root=3: a tree of shortest paths in another graph, as in tree:davis",
      .knob = { { "root", "client that all paths of the tree start from", 0, 0, 65535, true } },
      .period = given,
      .draw = draw },
    { 0 },
};
