/* Does this graph suit this algorithm? SPDX-License-Identifier: MIT */
#include "needs.h"
#include <stdio.h>

/* D2 and exact diffusion have a mode of growth 1 per eigenvalue -1/3 of W (Tang et al. 2018, section 4): rounding of
 * the eigenvalue solver must not decide on which side it lies. */
static const double bound = -1.0 / 3 + 1e-9;

static bool has_property(const struct qgm_spectrum *s, unsigned need)
{
    switch (need) {
    case QGM_NEEDS_ROW_STOCHASTIC:
        return s->row_stochastic;
    case QGM_NEEDS_COLUMN_STOCHASTIC:
        return s->column_stochastic;
    case QGM_NEEDS_SYMMETRIC:
        return s->symmetric;
    case QGM_NEEDS_STATIC:
        return !s->time_varying;
    default:
        return s->tree;
    }
}

static const struct {
    unsigned need;
    const char *what, *lacking, *remedy;
} properties[] = {
    { QGM_NEEDS_TREE, "a tree", "is not one",
      "take chain, star, binary-tree or tree:GRAPH" }, /* first: trees are static */
    { QGM_NEEDS_STATIC, "a graph that does not change", "changes from step to step",
      "take a static one (ring, torus, davis)" },
    { QGM_NEEDS_SYMMETRIC, "symmetric weights", "has a directed edge", "take an undirected one (ring, torus, davis)" },
    { QGM_NEEDS_ROW_STOCHASTIC, "weights that sum to 1 over what a client receives", "has other sums",
      "take a doubly stochastic one, or sgp, which corrects for it" },
    { QGM_NEEDS_COLUMN_STOCHASTIC, "weights that sum to 1 over what a client sends", "has other sums",
      "take a doubly stochastic one" },
};

static bool has_stage(const struct qgm_algo *algo, enum qgm_op op)
{
    for (const struct qgm_stage *stage = algo->stage; stage->op; stage++)
        if (stage->op == op) return true;
    return false;
}

/* Clients that hear of nobody would train alone, and nothing would show it: a graph file with fewer clients than
 * --clients is one. An all-reduce needs no graph. */
static int check_connected(const struct qgm_algo *algo, struct qgm_topology *topology, const struct qgm_spectrum *s,
                           struct qgm_error *err)
{
    const char *graph = qgm_topology_spec(topology);
    int n = qgm_topology_clients(topology), alone = s->isolated, first = s->first_isolated;
    if (s->connected || !(has_stage(algo, QGM_OP_MIX) || has_stage(algo, QGM_OP_RELAY))) return 0;
    if (!alone)
        return qgm_fail(err, QGM_USAGE,
                        "%s on %d clients is not connected: no way leads from client 0 to client %d, or none back: add "
                        "edges, or --force-pairing to run it anyway",
                        graph, n, s->unreached);
    char less[64] = "";
    if (first > 0 && first + alone == n) snprintf(less, sizeof less, "use --clients %d, ", first);
    return qgm_fail(err, QGM_USAGE,
                    "%s on %d clients is not connected: %d of them have no neighbour, the first is client %d: %sadd "
                    "their edges, or --force-pairing to run it anyway",
                    graph, n, alone, first, less);
}

/* Weights from 0 up that sum to 1 cannot grow anything; some below 0 can, step by step. */
static int check_bounded(const struct qgm_algo *algo, struct qgm_topology *topology, struct qgm_error *err)
{
    if (!qgm_topology_facts(topology)->negative || !has_stage(algo, QGM_OP_MIX)) return 0;
    QGM_TRY(qgm_topology_find_spectrum(topology, err));
    const struct qgm_spectrum *s = qgm_topology_spectrum(topology);
    if (!(s->radius > 1 + 1e-9)) return 0;
    bool lazy = s->symmetric && !s->time_varying && s->lambda2 <= 1 && s->lambda_min > -3;
    return qgm_fail(
        err, QGM_USAGE,
        "%s on %d clients has weights below 0 with which mixing diverges: an eigenvalue of W has size %.3g, "
        "expected at most 1: %s, or --force-pairing to run it anyway",
        qgm_topology_spec(topology), qgm_topology_clients(topology), s->radius,
        lazy ? "use --lazy" : "take weights from 0 up");
}

int qgm_needs_check(const struct qgm_algo *algo, struct qgm_topology *topology, struct qgm_error *err)
{
    QGM_TRY(qgm_topology_find_facts(topology, err));
    const struct qgm_spectrum *facts = qgm_topology_facts(topology);
    const char *graph = qgm_topology_spec(topology);
    int n = qgm_topology_clients(topology);
    for (size_t i = 0; i < QGM_COUNT(properties); i++) {
        unsigned need = properties[i].need;
        if ((algo->needs & need) == need && !has_property(facts, need))
            return qgm_fail(err, QGM_USAGE, "%s needs %s; %s on %d clients %s: %s, or --force-pairing to run it anyway",
                            algo->name, properties[i].what, graph, n, properties[i].lacking, properties[i].remedy);
    }
    QGM_TRY(check_connected(algo, topology, facts, err));
    QGM_TRY(check_bounded(algo, topology, err));
    if (!(algo->needs & QGM_NEEDS_LAMBDA_MIN)) return 0;
    QGM_TRY(qgm_topology_find_spectrum(topology, err));
    double least = qgm_topology_spectrum(topology)->lambda_min;
    if (least > bound) return 0;
    return qgm_fail(err, QGM_USAGE,
                    "%s needs lambda_min > -1/3; %s on %d clients has %.3f: use --lazy, or --force-pairing to run it "
                    "anyway",
                    algo->name, graph, n, least);
}
