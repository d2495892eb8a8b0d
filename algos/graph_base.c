/* Base-(k+1) graphs: exact averaging of any number of clients in finitely many steps with at most k neighbours each
 * (Takezawa et al., NeurIPS 2023). SPDX-License-Identifier: MIT */
#include "graph.h"

enum { MAX_BLOCKS = 32 };

/* Clients offset, offset + step, ..., count of them. */
struct span {
    int offset, step, count;
};
static int at(const struct span *s, int i) { return s->offset + i * s->step; }

/* n as a product of factors <= k + 1, found from k + 1 down and used from the smallest up; -1 if there is none. */
static int factors(int n, int k, int factor[MAX_BLOCKS])
{
    int found = 0, ascending[MAX_BLOCKS];
    for (int f = k + 1; f >= 2; f--)
        for (; n % f == 0; n /= f) ascending[found++] = f;
    for (int i = 0; i < found; i++) factor[i] = ascending[found - 1 - i];
    return n == 1 ? found : -1;
}

/* k-peer hyper-hypercube: in round r, clients that differ in the r-th digit only (mixed radix) form a clique. */
static void hyper_round(struct qgm_links *l, const struct span *s, int k, int round)
{
    int factor[MAX_BLOCKS], stride = 1;
    if (round >= factors(s->count, k, factor)) return;
    for (int r = 0; r < round; r++) stride *= factor[r];
    for (int i = 0; i < s->count; i++)
        for (int j = i + stride; j < s->count && (j - i) / stride < factor[round]; j += stride)
            if (i / (stride * factor[round]) == j / (stride * factor[round])) {
                qgm_link_add(l, at(s, i), at(s, j), 1.0 / factor[round]);
                qgm_link_add(l, at(s, j), at(s, i), 1.0 / factor[round]);
            }
}

/* n = sum_l a_l (k+1)^p_l with p_0 > p_1 > ... and 1 <= a_l <= k: blocks of a_l sub-blocks. */
struct blocks {
    int n, first[MAX_BLOCKS], sub[MAX_BLOCKS], many[MAX_BLOCKS], power[MAX_BLOCKS];
};
static struct blocks cut(int n, int k)
{
    struct blocks b = { 0 };
    long size = 1;
    int power = 0;
    while (size * (k + 1) <= n) size *= k + 1, power++;
    for (int start = 0; start < n; size /= k + 1, power--) {
        int many = (int)((n - start) / size);
        if (!many) continue;
        b.first[b.n] = start;
        b.sub[b.n] = (int)size;
        b.many[b.n] = many;
        b.power[b.n++] = power;
        start += many * (int)size;
    }
    return b;
}

static int simple_rounds(int n, int k)
{
    int unused[MAX_BLOCKS], rounds = factors(n, k, unused);
    if (rounds >= 0) return rounds ? rounds : 1;
    struct blocks b = cut(n, k);
    return factors(b.many[0] * b.sub[0], k, unused) + 1 + b.power[0];
}

/* Every client after block q takes from one unused client of each of q's sub-blocks, and gives. Then block q's
 * sub-blocks hold, in sum, the mean of all from q on. */
static void join(struct qgm_links *l, const struct span *s, const struct blocks *b, int q)
{
    int size = b->many[q] * b->sub[q], rest = s->count - b->first[q];
    double w = (double)size / rest / b->many[q];
    for (int i = b->first[q] + size; i < s->count; i++)
        for (int a = 0; a < b->many[q]; a++) {
            int j = b->first[q] + a * b->sub[q] + i - b->first[q] - size;
            qgm_link_add(l, at(s, i), at(s, j), w);
            qgm_link_add(l, at(s, j), at(s, i), w);
        }
}

static void simple_round(struct qgm_links *l, const struct span *s, int k, int round)
{
    int unused[MAX_BLOCKS];
    if (factors(s->count, k, unused) >= 0) {
        hyper_round(l, s, k, round);
        return;
    }
    struct blocks b = cut(s->count, k);
    int first = factors(b.many[0] * b.sub[0], k, unused);
    for (int q = 0; q < b.n; q++) {
        struct span block = { at(s, b.first[q]), s->step, b.many[q] * b.sub[q] };
        if (round < first)
            hyper_round(l, &block, k, round);
        else if (round == first + q && q < b.n - 1)
            join(l, s, &b, q);
        else if (round > first + q)
            for (int a = 0; a < b.many[q]; a++) {
                struct span sub = { at(&block, a * b.sub[q]), s->step, b.sub[q] };
                hyper_round(l, &sub, k, round - first - q - 1);
            }
    }
}

/* What is left of each row is the client's own weight. */
static void complete_rows(struct qgm_links *l, int n)
{
    size_t links = l->count;
    for (int i = 0; i < n; i++) qgm_link_add(l, i, i, 1);
    for (size_t k = 0; k < links; k++)
        if (l->link[k].to != l->link[k].from) qgm_link_add(l, l->link[k].to, l->link[k].to, -l->link[k].w);
}

static int peers(const struct qgm_request *r) { return (int)r->knob[0]; }

static int simple_period(const struct qgm_request *r, struct qgm_error *err)
{
    (void)err;
    return simple_rounds(r->n, peers(r));
}

static int simple_draw(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    (void)err;
    simple_round(l, &(struct span){ 0, 1, r->n }, peers(r), (int)draw);
    complete_rows(l, r->n);
    return 0;
}

/* The largest divisor of n whose prime factors are all <= k + 1. */
static int smooth_part(int n, int k)
{
    int smooth = 1;
    for (int f = 2; f <= k + 1; f++)
        for (; n % f == 0; n /= f) smooth *= f;
    return smooth;
}

/* Groups of q = n / p run the simple graph, then a hyper-hypercube of p joins them, where that is shorter. */
static int base_period(const struct qgm_request *r, struct qgm_error *err)
{
    (void)err;
    int k = peers(r), p = smooth_part(r->n, k), q = r->n / p, unused[MAX_BLOCKS];
    int grouped = (q > 1 ? simple_rounds(q, k) : 0) + factors(p, k, unused), simple = simple_rounds(r->n, k);
    return grouped > 0 && grouped < simple ? grouped : simple;
}

static int base_draw(const struct qgm_request *r, long draw, struct qgm_links *l, struct qgm_error *err)
{
    int k = peers(r), p = smooth_part(r->n, k), q = r->n / p, inside = q > 1 ? simple_rounds(q, k) : 0;
    if (base_period(r, err) == simple_rounds(r->n, k)) return simple_draw(r, draw, l, err);
    if (draw < inside)
        for (int g = 0; g < p; g++) simple_round(l, &(struct span){ g * q, 1, q }, k, (int)draw);
    else
        for (int i = 0; i < q; i++) hyper_round(l, &(struct span){ i, q, p }, k, (int)draw - inside);
    complete_rows(l, r->n);
    return 0;
}

#define PEERS .weighted = true, .knob = { { "k", "most neighbours at a time", 1, 1, 1000, true } }
const struct qgm_graph qgm_graphs_base[] = {
    { .name = "simple-base",
      .about = "simple base-(k+1) graph: exact after a few steps",
      PEERS,
      .period = simple_period,
      .draw = simple_draw },
    { .name = "base",
      .about = "base-(k+1) graph: exact after a few steps",
      PEERS,
      .period = base_period,
      .draw = base_draw },
    { 0 },
};
