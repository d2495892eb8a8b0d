/* Matrix product, blocked as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), with
 * the roles of the operands changed, c being row-major: a block of b stays in L2 and streams past a few rows of a that
 * stay in L1, so that c is walked along its rows, a page or two a row. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "tile.h"
#include <assert.h>
#include <string.h>

/* NR: the width of a panel of b, MR: the rows of a tile on it. A block of b is at most QGM_CHAIN x NC, 590 or 295 KB:
 * deep, since c is read and written once for each chain, and narrow enough to leave half of a usual second level to
 * what passes through. Rows of a are packed MB at a time, whole tiles of 9 or 14 rows, and kept MC at a time; sizes.c
 * knows NC, MB and MC. WIDE: vectors of c that one row keeps. */
enum { NV = TILE_GEMM_NV, NR = VF * NV, MR = NV == 3 ? TILE_ROWS_3 : TILE_ROWS_1, WIDE = 4 * TILE_NV };
enum { NC = 96 * TILE_NV, MB = 126, MC = 2048, AHEAD = 16, ROWS_AHEAD = 2, B_AHEAD = 4 };

static inline int least(int a, int b) { return a < b ? a : b; }
static inline int whole(int n) { return (n + VF - 1) / VF * VF; }

/* One block of the product: rows i.., columns j.., terms p.. . */
struct block {
    const struct qgm_gemm *g;
    int i, m, j, n, p, k;
    float *a, *b; /* room for the packed operands; a NULL: not packed */
};

/* Packed b: needed when transposed; otherwise when enough rows reuse it. Columns that do not fill vectors always are.
 */
static bool packs_b(const struct qgm_gemm *g) { return g->tb || g->m > 64; }

/* Rows of a whose lines would meet in a first-level cache of 4 KB a way, when taken where they are: those that start
 * within 768 bytes of the first one, a multiple of lda after it. Few rows never are. */
static bool crowded(const struct qgm_gemm *g)
{
    int meet = 0;
    for (int i = 0; i < MR; i++) {
        int at = (int)((ptrdiff_t)i * g->lda % 1024);
        meet += at < 192 || at > 1024 - 192;
    }
    return meet > 5 && MR > 6;
}

/* Packed a: worth it when enough panels of b reuse it and its rows crowd a cache set, or its columns lie on a page
 * each. */
static bool packs_a(const struct qgm_gemm *g) { return g->n > 128 && (g->ta || (g->k > 64 && crowded(g))); }

/* How many of `rest` columns a panel takes: four last vectors are two and two, not three and a slow one. */
static int take_columns(int rest) { return rest <= NR ? rest : NV > 2 && rest <= NR + VF ? NR - VF : NR; }

/* The first panel to pack: all, or only a last one that is not of whole vectors. */
static int first_packed(const struct block *block)
{
    int j = 0;
    if (packs_b(block->g)) return 0;
    if (block->n % VF == 0) return block->n;
    while (j + take_columns(block->n - j) < block->n) j += take_columns(block->n - j);
    return j;
}

/* Whole panels of b from column j on: all are written at once, for the rows of b to be read in long pieces. Returns the
 * first column left. */
static int pack_panels(const struct block *block, int j)
{
    ptrdiff_t ldb = block->g->ldb, k = block->k;
    const float *from = block->g->b + block->p * ldb + block->j;
    int end = j;
    while (end < block->n && take_columns(block->n - end) == NR) end += NR;
    for (ptrdiff_t p = 0; j < end && p < k; p++, from += ldb)
        for (int c = j; c < end; c += NR) {
            float *to = block->b + c * k + p * NR;
            UNROLL
            for (int l = 0; l < NR; l += VF) {
                __builtin_prefetch(from + B_AHEAD * ldb + c + l); /* too short to be foreseen */
                vf_store(to + l, vf_load(from + c + l));
            }
        }
    return end;
}

/* Columns of op(b) in panels of at most NR, the last one of whole vectors, zeros behind n; each k rows of its width. */
static void pack_b(const struct block *block)
{
    const struct qgm_gemm *g = block->g;
    int j = first_packed(block);
    if (!g->tb) j = pack_panels(block, j);
    for (int cols; j < block->n; j += cols) {
        cols = take_columns(block->n - j);
        int width = whole(cols);
        float *to = block->b + (ptrdiff_t)j * block->k;
        if (g->tb) {
            tile_transpose(g->b + (ptrdiff_t)(block->j + j) * g->ldb + block->p, g->ldb, cols, block->k, to, width);
            continue;
        }
        for (int l = 0; l < cols; l += VF) {
            const float *from = g->b + (ptrdiff_t)block->p * g->ldb + block->j + j + l;
            for (int p = 0; p < block->k; p++, from += g->ldb)
                vf_store(to + (ptrdiff_t)p * width + l, tile_load_(from, cols - l));
        }
    }
}

/* How many of `rows` a tile takes: the last two are even rather than one of them too short to hide latency. */
static int take_rows(const struct block *block, int rows)
{
    int full = tile_rows(whole(take_columns(block->g->n)) / VF);
    return rows <= full ? rows : rows < 2 * full ? (rows + 1) / 2 : full;
}

/* Rows of packed a are whole vectors apart. */
static ptrdiff_t packed_row(const struct block *block) { return block->g->ta ? block->k : whole(block->k); }

/* Rows i .. i + m - 1 of a, k columns each, one behind the other. */
static void copy_rows(const struct block *block, int i, int m, float *to)
{
    const struct qgm_gemm *g = block->g;
    const float *from = g->a + (ptrdiff_t)i * g->lda + block->p;
    for (int r = 0; r < m; r++, from += g->lda, to += packed_row(block))
        for (int p = 0; p < block->k; p += VF) {
            __builtin_prefetch(from + ROWS_AHEAD * (ptrdiff_t)g->lda + p);
            vf_store(to + p, tile_load_(from + p, block->k - p));
        }
}

/* Rows i .. i + m - 1 of a transposed a, tile by tile, each k columns of its rows. */
static void pack_a(const struct block *block, int i, int m, float *to)
{
    const struct qgm_gemm *g = block->g;
    const float *from = g->a + (ptrdiff_t)block->p * g->lda + i;
    for (int p = 0; p < block->k; p++, from += g->lda)
        for (int done = 0, rows; done < m; done += rows) {
            rows = take_rows(block, m - done);
            float *tile = to + (ptrdiff_t)done * block->k + (ptrdiff_t)p * rows;
            __builtin_prefetch(from + AHEAD * (ptrdiff_t)g->lda + done);
            if (rows == MR)
                memcpy(tile, from + done, MR * sizeof *to); /* a constant: a few vectors */
            else
                memcpy(tile, from + done, (size_t)rows * sizeof *to);
        }
}

/* The start and finish of a chain. */
static struct tile begin_tile(const struct block *block)
{
    const struct qgm_gemm *g = block->g;
    bool first = block->p == 0, last = block->p + block->k == g->k, continues = g->beta == 1;
    return (struct tile){ .k = block->k,
                          .segments = 1,
                          .repeats = 1,
                          .ldc = g->ldc,
                          .start = !first      ? FROM_ZERO
                                   : continues ? FROM_C
                                   : g->bias   ? FROM_BIAS
                                               : FROM_ZERO,
                          .add_c = !first,
                          .add_bias = last && continues && g->bias,
                          .relu = last && g->relu };
}

/* Rows i .. i + m - 1 against all panels of b; a: those rows packed, or NULL. */
static void multiply_rows(const struct block *block, int i, int m, const float *a)
{
    const struct qgm_gemm *g = block->g;
    int packed = first_packed(block);
    struct tile t = begin_tile(block);
    for (int end = i + m, rows; i < end; i += rows) {
        rows = take_rows(block, end - i);
        t.a = a ? a : g->ta ? g->a + (ptrdiff_t)block->p * g->lda + i : g->a + (ptrdiff_t)i * g->lda + block->p;
        t.row = a ? packed_row(block) : g->lda, t.step = a ? rows : g->lda;
        for (int j = 0; j < block->n; j += t.cols) {
            t.cols = take_columns(block->n - j);
            int nv = whole(t.cols) / VF;
            if (j >= packed)
                t.b = block->b + (ptrdiff_t)j * block->k, t.ldb = nv * VF;
            else
                t.b = g->b + (ptrdiff_t)block->p * g->ldb + block->j + j, t.ldb = g->ldb;
            t.bias = g->bias ? g->bias + block->j + j : NULL;
            t.c = g->c + (ptrdiff_t)i * g->ldc + block->j + j;
            t.soon = t.c + t.cols;
            QGM_ISA(qgm_tile)(g->ta ? BY_COLUMN : BY_ROW, rows, nv, &t);
        }
        if (a) a += rows * packed_row(block);
    }
}

/* A block of b against the rows i .. i + m - 1, which are packed when the first block of columns meets them and kept
 * when there are more. */
static void multiply_block(const struct block *block)
{
    const struct qgm_gemm *g = block->g;
    pack_b(block);
    for (int i = 0; i < block->m; i += MB) {
        int rows = least(MB, block->m - i);
        float *a = block->a;
        if (a && g->n > NC) a += i * packed_row(block);
        if (a && block->j == 0) (g->ta ? pack_a : copy_rows)(block, block->i + i, rows, a);
        multiply_rows(block, block->i + i, rows, a);
    }
}

/* Of one row, WIDE vectors from column j on, terms from .. to - 1. */
static void multiply_wide(const struct qgm_gemm *g, int j, int from, int to)
{
    vf acc[WIDE];
    bool continues = g->beta == 1, last = to == g->k;
    const float *b = g->b + (ptrdiff_t)from * g->ldb + j;
    const float *first = from ? NULL : continues ? g->c + j : g->bias ? g->bias + j : NULL;
    UNROLL
    for (int l = 0; l < WIDE; l++) acc[l] = first ? vf_load(first + l * VF) : vf_zero();
    for (int p = from; p < to; p++, b += g->ldb) {
        vf a = vf_set1(g->a[g->ta ? (ptrdiff_t)p * g->lda : p]);
        UNROLL
        for (int l = 0; l < WIDE; l++) acc[l] = vf_fma(a, vf_load(b + l * VF), acc[l]);
    }
    UNROLL
    for (int l = 0; l < WIDE; l++) {
        if (from) acc[l] = vf_add(vf_load(g->c + j + l * VF), acc[l]);
        if (last && continues && g->bias) acc[l] = vf_add(acc[l], vf_load(g->bias + j + l * VF));
        if (last && g->relu) acc[l] = vf_max(acc[l], vf_zero());
        vf_store(g->c + j + l * VF, acc[l]);
    }
}

/* One row: its chains are as many as columns, so that WIDE vectors of them hide the latency that a tile's would show.
 * Returns how many columns are done. */
static int multiply_row(const struct qgm_gemm *g, int terms)
{
    int j = 0;
    for (; j + WIDE * VF <= g->n; j += WIDE * VF)
        for (int p = 0; p == 0 || p < g->k; p += terms) multiply_wide(g, j, p, least(p + terms, g->k));
    return j;
}

void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch);
void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch)
{
    assert(g->beta == 0 || g->beta == 1);
    struct qgm_gemm rest = *g;
    int terms = qgm_cut(g->k, QGM_CHAIN).length;
    if (g->m == 1 && !g->tb) {
        int done = multiply_row(g, terms);
        rest.n -= done, rest.b += done, rest.c += done;
        if (rest.bias) rest.bias += done;
    }
    float *room_b = scratch, *room_a = room_b + (ptrdiff_t)terms * least(whole(rest.n), NC);
    struct block block = { .g = &rest, .a = packs_a(&rest) ? room_a : NULL, .b = room_b };
    for (block.i = 0; block.i < rest.m; block.i += MC) {
        block.m = least(MC, rest.m - block.i);
        /* k = 0 still writes c: one empty block of terms */
        for (block.p = 0; block.p == 0 || block.p < rest.k; block.p += terms) {
            block.k = least(terms, rest.k - block.p);
            for (block.j = 0; block.j < rest.n; block.j += NC) {
                block.n = least(NC, rest.n - block.j);
                multiply_block(&block);
            }
        }
    }
}
