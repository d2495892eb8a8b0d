/* Relaying on a tree (Vogels et al. 2021): client i sends to j what it has and what came to it from elsewhere. It
 * publishes T_i = out_i + sum over neighbours of what came last; what j is meant to get is T_i less what i had from j,
 * which j knows, for j sent it: so a message to each neighbour is one message to all. For files compiled per ISA.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_RELAY_H
#define QGM_RELAY_H
#include "block.h"
#include "pass.h"

/* What came last along a link of a client that lives here, or what went (sent). */
static inline real *relay_row(const struct qgm_pass *p, int local, size_t link, int sent)
{
    return (real *)p->edges + (2 * (p->first_edge[local] - p->first_edge[0] + link) + (size_t)sent) * p->stride;
}
static inline size_t relay_links(const struct qgm_pass *p, int local)
{
    return p->first_edge[local + 1] - p->first_edge[local];
}

/* out <- T, of len elements from `at` on */
static inline void relay_publish(const struct qgm_pass *p, int local, real *out, size_t at, size_t len)
{
    for (size_t link = 0; link < relay_links(p, local); link++) {
        const real *came = relay_row(p, local, link, 0) + at;
        for (size_t k = 0; k < len; k += VF) vf_store(out + k, vf_add(vf_load(out + k), vf_load(came + k)));
    }
}

/* A link in relay_collect: what came last and what went, what both ends have published, whether messages arrive. */
struct relay_link {
    real *came, *went;
    const real *mine, *theirs;
    bool comes, goes;
};
VF_INLINE void relay_link_(const struct relay_link *l, real *in, size_t len, bool first)
{
    for (size_t k = 0; k < len; k += VF) {
        vf now = l->comes ? vf_sub(vf_load(l->theirs + k), vf_load(l->went + k)) : vf_zero();
        vf_store(l->went + k, l->goes ? vf_sub(vf_load(l->mine + k), vf_load(l->came + k)) : vf_zero());
        vf_store(l->came + k, now);
        vf_store(in + k, vf_add(first ? vf_zero() : vf_load(in + k), now));
    }
}

/* in <- sum over neighbours of T_j - (what went to j); remember it, and what goes to j now. panel: everyone's T, of
 * which these elements begin at in_panel. */
static inline void relay_collect(const struct qgm_pass *p, int local, int client, char *const *panel, size_t in_panel,
                                 real *in, size_t at, size_t len)
{
    const struct qgm_row *row = &p->rows[client];
    const bool *arrived = p->arrived ? p->arrived + 2 * p->first_edge[local] : NULL;
    size_t link = 0;
    for (int j = 0; j < row->n; j++) {
        if (row->from[j] == client) continue;
        const struct relay_link l = { .came = relay_row(p, local, link, 0) + at,
                                      .went = relay_row(p, local, link, 1) + at,
                                      .mine = (const real *)panel[client] + in_panel,
                                      .theirs = (const real *)panel[row->from[j]] + in_panel,
                                      .comes = arrived ? arrived[2 * link] : true,
                                      .goes = arrived ? arrived[2 * link + 1] : true };
        if (link++ == 0)
            relay_link_(&l, in, len, true);
        else
            relay_link_(&l, in, len, false);
    }
    for (size_t k = 0; link == 0 && k < len; k += VF) vf_store(in + k, vf_zero());
}

#endif
