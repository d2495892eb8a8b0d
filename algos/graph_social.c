/* Social networks, as unweighted graphs. SPDX-License-Identifier: MIT */
#include "graph.h"

/* Adjacency as rows of text: "node:larger neighbours"; a negative number ends. */
struct social {
    int n;
    const signed char *edges; /* node, neighbour, neighbour, ..., -1, node, ..., -1, -1 */
};

/* Davis, Gardner, Gardner 1941: 18 women (0-17) and the 14 events (18-31) they attended; 89 edges. */
static const signed char davis_edges[] = { 0,  18, 19, 20, 21, 22, 23, 25, 26, -1, 1,  18, 19, 20, 22, 23, 24, 25,
                                           -1, 2,  19, 20, 21, 22, 23, 24, 25, 26, -1, 3,  18, 20, 21, 22, 23, 24,
                                           25, -1, 4,  20, 21, 22, 24, -1, 5,  20, 22, 23, 25, -1, 6,  22, 23, 24,
                                           25, -1, 7,  23, 25, 26, -1, 8,  22, 24, 25, 26, -1, 9,  24, 25, 26, 29,
                                           -1, 10, 25, 26, 27, 29, -1, 11, 25, 26, 27, 29, 30, 31, -1, 12, 24, 25,
                                           26, 27, 29, 30, 31, -1, 13, 23, 24, 26, 27, 28, 29, 30, 31, -1, 14, 24,
                                           25, 27, 28, 29, -1, 15, 25, 26, -1, 16, 26, 28, -1, 17, 26, 28, -1, -1 };
/* Breiger and Pattison 1986: marriages of 15 Florentine families; 20 edges. */
static const signed char florentine_edges[] = { 0,  1,  -1, 1,  5,  6,  7,  8,  9,  -1, 2,  3,  4,  5,  -1,
                                                3,  4,  11, -1, 4,  6,  11, -1, 6,  7,  -1, 7,  12, -1, 8,
                                                12, 13, -1, 9,  10, -1, 11, 12, -1, 12, 14, -1, -1 };
/* Zachary 1977: friendships in a karate club; 78 edges. */
static const signed char karate_edges[] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  10, 11, 12, 13, 17, 19, 21, 31, -1, 1,
                                            2,  3,  7,  13, 17, 19, 21, 30, -1, 2,  3,  7,  8,  9,  13, 27, 28, 32, -1,
                                            3,  7,  12, 13, -1, 4,  6,  10, -1, 5,  6,  10, 16, -1, 6,  16, -1, 8,  30,
                                            32, 33, -1, 9,  33, -1, 13, 33, -1, 14, 32, 33, -1, 15, 32, 33, -1, 18, 32,
                                            33, -1, 19, 33, -1, 20, 32, 33, -1, 22, 32, 33, -1, 23, 25, 27, 29, 32, 33,
                                            -1, 24, 25, 27, 31, -1, 25, 31, -1, 26, 29, 33, -1, 27, 33, -1, 28, 31, 33,
                                            -1, 29, 32, 33, -1, 30, 32, 33, -1, 31, 32, 33, -1, 32, 33, -1, -1 };
/* Knuth 1993: characters of Les Miserables who share a chapter; 254 edges. */
static const signed char miserables_edges[] = {
    0,  1,  -1, 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, -1, 2,  3,  10, -1, 3,  10, -1, 10, 11, 12, 13, 14, 15,
    23, 24, 25, 26, 27, 28, 29, 31, 32, 33, 34, 35, 36, 37, 38, 43, 44, 48, 49, 51, 55, 58, 64, 68, 69, 70, 71,
    72, -1, 12, 23, -1, 16, 17, 18, 19, 20, 21, 22, 23, -1, 17, 18, 19, 20, 21, 22, 23, 26, 55, -1, 18, 19, 20,
    21, 22, 23, -1, 19, 20, 21, 22, 23, -1, 20, 21, 22, 23, -1, 21, 22, 23, -1, 22, 23, -1, 23, 24, 25, 27, 29,
    30, 31, -1, 24, 25, 26, 27, 41, 42, 50, 68, 69, 70, -1, 25, 26, 27, 39, 40, 41, 42, 48, 55, 68, 69, 70, 71,
    75, -1, 26, 27, 43, 49, 51, 54, 55, 72, -1, 27, 28, 29, 31, 33, 43, 48, 58, 68, 69, 70, 71, 72, -1, 28, 44,
    45, -1, 29, 34, 35, 36, 37, 38, -1, 30, 31, -1, 34, 35, 36, 37, 38, -1, 35, 36, 37, 38, -1, 36, 37, 38, -1,
    37, 38, -1, 39, 52, 55, -1, 41, 42, 55, 57, 62, 68, 69, 70, 71, 75, -1, 46, 47, 48, -1, 48, 55, 57, 58, 59,
    60, 61, 62, 63, 64, 65, 66, 68, 69, 71, 73, 74, 75, 76, -1, 49, 50, 51, 54, 55, 56, -1, 51, 52, 53, 54, 55,
    -1, 54, 55, -1, 55, 56, 57, 58, 59, 61, 62, 63, 64, 65, -1, 57, 58, 59, 61, 62, 63, 64, 65, 67, -1, 58, 59,
    60, 61, 62, 63, 64, 65, 66, 70, 76, -1, 59, 60, 61, 62, 63, 64, 65, 66, -1, 60, 61, 62, 63, 64, 65, 66, -1,
    61, 62, 63, 64, 65, 66, -1, 62, 63, 64, 65, 66, 76, -1, 63, 64, 65, 66, 76, -1, 64, 65, 66, 76, -1, 65, 66,
    76, -1, 66, 76, -1, 68, 69, 70, 71, 75, -1, 69, 70, 71, 75, -1, 70, 71, 75, -1, 71, 75, -1, 73, 74, -1, -1
};
static const struct social davis = { 32, davis_edges }, florentine = { 15, florentine_edges },
                           karate = { 34, karate_edges }, miserables = { 77, miserables_edges };

static int fits(const struct qgm_request *r, const struct social *s, struct qgm_error *err)
{
    if (r->n == s->n) return 1;
    return qgm_fail(err, QGM_USAGE, "topology %s: is a network of %d clients, not %d: use --clients %d", r->spec, s->n,
                    r->n, s->n);
}

static int draw(const struct social *s, struct qgm_links *l)
{
    for (const signed char *e = s->edges; *e >= 0; e++) {
        int node = *e++;
        for (; *e >= 0; e++) qgm_edge(l, node, *e);
    }
    return 0;
}

#define SOCIAL(name)                                                                                                   \
    static int name##_fits(const struct qgm_request *r, struct qgm_error *err) { return fits(r, &name, err); }         \
    static int name##_draw(const struct qgm_request *r, long k, struct qgm_links *l, struct qgm_error *err)            \
    {                                                                                                                  \
        (void)r, (void)k, (void)err;                                                                                   \
        return draw(&name, l);                                                                                         \
    }
SOCIAL(davis)
SOCIAL(florentine)
SOCIAL(karate)
SOCIAL(miserables)

const struct qgm_graph qgm_graphs_social[] = {
    { .name = "davis", .about = "Davis Southern Women, 32 clients", .period = davis_fits, .draw = davis_draw },
    { .name = "florentine",
      .about = "Florentine families, 15 clients",
      .period = florentine_fits,
      .draw = florentine_draw },
    { .name = "karate", .about = "Zachary's karate club, 34 clients", .period = karate_fits, .draw = karate_draw },
    { .name = "les-miserables",
      .about = "characters of Les Miserables, 77 clients",
      .period = miserables_fits,
      .draw = miserables_draw },
    { 0 },
};
