/* Learning-rate schedule. SPDX-License-Identifier: MIT */
#include "schedule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "graph": the clients that a client averages, itself included. The reference gives each its own rate; here all have
 * one, so the graph must give all the same. */
static int graph_scale(const struct qgm_options *o, const struct qgm_spectrum *graph, double *scale,
                       struct qgm_error *err)
{
    *scale = graph->degree_max + 1;
    if (graph->time_varying)
        return qgm_fail(err, QGM_USAGE,
                        "--lr-scale graph: counts a client's neighbours, but %s is another graph every step: give a "
                        "number",
                        o->topology);
    if (graph->degree_min != graph->degree_max)
        return qgm_fail(err, QGM_USAGE,
                        "--lr-scale graph: counts a client's neighbours, but those of %s have from %d to %d: give a "
                        "number",
                        o->topology, graph->degree_min, graph->degree_max);
    return 0;
}

/* The reference's rule: lr * batch / base batch * factor, reached from lr by the warm-up. */
static int scale_of(const struct qgm_options *o, const struct qgm_spectrum *graph, double *scale, struct qgm_error *err)
{
    char *end;
    bool world = strcmp(o->lr_scale, "world") == 0, by_graph = strcmp(o->lr_scale, "graph") == 0;
    *scale = world ? (double)o->clients : strtod(o->lr_scale, &end);
    if (by_graph)
        QGM_TRY(graph_scale(o, graph, scale, err));
    else if (!world && (end == o->lr_scale || *end || !(*scale > 0 && *scale < 1e6)))
        return qgm_fail(err, QGM_USAGE, "--lr-scale %s: expected a number above 0 and below 1e6, world or graph",
                        o->lr_scale);
    if (o->base_batch) *scale *= (double)o->batch / (double)o->base_batch;
    return 0;
}

int qgm_schedule_open(struct qgm_schedule *s, const struct qgm_options *o, const struct qgm_spectrum *graph,
                      long per_epoch, long total, struct qgm_error *err)
{
    double scale;
    QGM_TRY(scale_of(o, graph, &scale, err));
    *s = (struct qgm_schedule){ .lr = o->lr * scale,
                                .warmup_lr = o->warmup_lr > 0 ? o->warmup_lr
                                             : scale > 1      ? o->lr
                                                              : o->lr * scale / 10,
                                .decay = o->lr_decay,
                                .warmup = lround(o->warmup_epochs * (double)per_epoch) };
    const char *p = o->milestones;
    double before = 0;
    while (*p) {
        char *end;
        double epoch = strtod(p, &end);
        if (end == p || !(epoch > 0 && epoch < 1e9) || (*end && *end != ','))
            return qgm_fail(err, QGM_USAGE, "--milestones %s: expected epochs, ascending: 150,225 or 0.5,0.75",
                            o->milestones);
        if (s->milestones == QGM_MAX_MILESTONES)
            return qgm_fail(err, QGM_USAGE, "--milestones %s: more than %d", o->milestones, QGM_MAX_MILESTONES);
        long at = lround(epoch < 1 ? epoch * (double)total : epoch * (double)per_epoch);
        if (s->milestones && at <= s->at[s->milestones - 1])
            return qgm_fail(err, QGM_USAGE,
                            "--milestones %s: expected ascending steps: %g is step %ld, %g step %ld (below 1 it is a "
                            "share of the run, else epochs)",
                            o->milestones, before, s->at[s->milestones - 1], epoch, at);
        if (s->warmup && at <= s->warmup) /* there the released code passes over it */
            return qgm_fail(err, QGM_USAGE,
                            "--milestones %s: %g is step %ld, within the warm-up of %ld steps (--warmup-epochs %g): "
                            "leave it out, or shorten that",
                            o->milestones, epoch, at, s->warmup, o->warmup_epochs);
        s->at[s->milestones++] = at;
        before = epoch;
        p = *end ? end + 1 : end;
    }
    return 0;
}

double qgm_schedule_lr(const struct qgm_schedule *s, long step)
{
    double lr = s->lr;
    if (step < s->warmup) return s->warmup_lr + (lr - s->warmup_lr) * (double)step / (double)s->warmup;
    for (int i = 0; i < s->milestones && step >= s->at[i]; i++) lr *= s->decay;
    return lr;
}
