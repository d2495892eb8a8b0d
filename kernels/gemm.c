/* Matrix product, blocked as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a
 * panel of b in L1, a block of a in L2, both packed where that pays. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "tile.h"
#include <assert.h>

/* Widths of a panel of b and sizes of blocks. sizes.c knows that KC = 384, MC <= 168 and NC = 2048. */
enum { NV = TILE_NV, NR = VF * NV, MR = TILE_NV == 2 ? TILE_ROWS_2 : TILE_ROWS_1 };
enum { KC = 384, MC = 168 / MR * MR, NC = 2048 };

static inline int least(int a, int b) { return a < b ? a : b; }

/* One block of the product: rows i.., columns j.., terms p.. . */
struct block {
    const struct qgm_gemm *g;
    int i, m, j, n, p, k;
    float *a, *b; /* room for the packed operands */
};

/* Columns j .. j + cols - 1 of op(b), terms p .. p + k - 1, as k rows of `width` floats, zeros behind cols. */
static void pack_b(const struct block *block, int j, int cols, int width, float *to)
{
    const struct qgm_gemm *g = block->g;
    if (!g->tb) {
        const float *from = g->b + (ptrdiff_t)block->p * g->ldb + j;
        for (int p = 0; p < block->k; p++, from += g->ldb, to += width)
            for (int l = 0; l < width; l += VF) {
                __builtin_prefetch(from + 16 * (ptrdiff_t)g->ldb + l); /* a row is too short to be foreseen */
                vf_store(to + l, tile_load_(from + l, cols - l > 0 ? cols - l : 0));
            }
        return;
    }
    tile_transpose(g->b + (ptrdiff_t)j * g->ldb + block->p, g->ldb, cols, block->k, to, width);
}

/* Rows i .. i + rows - 1 of op(a) as k columns of `rows` floats. */
static void pack_a(const struct block *block, int i, int rows, float *to)
{
    const struct qgm_gemm *g = block->g;
    if (g->ta) {
        const float *from = g->a + (ptrdiff_t)block->p * g->lda + i;
        for (int p = 0; p < block->k; p++, from += g->lda, to += rows)
            for (int r = 0; r < rows; r++) to[r] = from[r];
        return;
    }
    tile_transpose(g->a + (ptrdiff_t)i * g->lda + block->p, g->lda, rows, block->k, to, rows);
}

/* Packed a: reused by every panel of b, so worth it from a few panels up, when rows at a distance of a power of two
 * begin to fall on the same cache sets. */
static bool packs_a(const struct qgm_gemm *g) { return g->n > 256; }
/* Packed b: needed when transposed or when columns do not fill vectors; otherwise when enough rows reuse it. */
static bool packs_b(const struct qgm_gemm *g, int cols, int width) { return g->tb || cols < width || g->m > 64; }

/* The tile's start and finish in the chain over all k. */
static struct tile begin_tile(const struct block *block, int cols)
{
    const struct qgm_gemm *g = block->g;
    bool first = block->p == 0, last = block->p + block->k == g->k, continues = g->beta == 1;
    return (struct tile){ .k = block->k,
                          .segments = 1,
                          .repeats = 1,
                          .cols = cols,
                          .ldc = g->ldc,
                          .start = !first || continues ? FROM_C
                                   : g->bias           ? FROM_BIAS
                                                       : FROM_ZERO,
                          .add_bias = last && continues && g->bias,
                          .relu = last && g->relu };
}

/* All rows of the block against one panel of b. */
static void multiply_panel(const struct block *block, int j, int cols, const float *b, ptrdiff_t ldb)
{
    const struct qgm_gemm *g = block->g;
    int nv = (cols + VF - 1) / VF, most = NV == nv ? tile_rows(nv) : least(tile_rows(nv), tile_rows(NV));
    struct tile t = begin_tile(block, cols);
    t.b = b, t.ldb = ldb, t.bias = g->bias ? g->bias + j : NULL;
    for (int i = 0, rows; i < block->m; i += rows) {
        rows = least(most, block->m - i);
        t.c = g->c + (ptrdiff_t)(block->i + i) * g->ldc + j;
        t.soon = t.c + (ptrdiff_t)rows * g->ldc;
        if (block->a)
            t.a = block->a + (ptrdiff_t)i * block->k, t.step = rows;
        else if (g->ta)
            t.a = g->a + (ptrdiff_t)block->p * g->lda + block->i + i, t.step = g->lda;
        else
            t.a = g->a + (ptrdiff_t)(block->i + i) * g->lda + block->p, t.row = g->lda;
        QGM_ISA(qgm_tile)(block->a || g->ta ? BY_COLUMN : BY_ROW, rows, nv, &t);
    }
}

/* All panels of the block: b is packed the first time, by the first block of rows. */
static void multiply_block(struct block *block)
{
    const struct qgm_gemm *g = block->g;
    int most = tile_rows(NV);
    for (int i = 0; block->a && i < block->m; i += most)
        pack_a(block, block->i + i, least(most, block->m - i), block->a + (ptrdiff_t)i * block->k);
    for (int j = 0; j < block->n; j += NR) {
        int cols = least(NR, block->n - j), width = (cols + VF - 1) / VF * VF;
        if (packs_b(g, cols, width)) {
            float *panel = block->b + (ptrdiff_t)j * block->k;
            if (block->i == 0) pack_b(block, block->j + j, cols, width, panel);
            multiply_panel(block, block->j + j, cols, panel, width);
        } else {
            multiply_panel(block, block->j + j, cols, g->b + (ptrdiff_t)block->p * g->ldb + block->j + j, g->ldb);
        }
    }
}

void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch);
void QGM_ISA(qgm_gemm)(const struct qgm_gemm *g, void *scratch)
{
    assert(g->beta == 0 || g->beta == 1);
    float *room_b = scratch, *room_a = room_b + (ptrdiff_t)least(g->k, KC) * least((g->n + 31) / 32 * 32, NC);
    struct block block = { .g = g, .a = packs_a(g) ? room_a : NULL, .b = room_b };
    for (block.j = 0; block.j < g->n; block.j += NC) {
        block.n = least(NC, g->n - block.j);
        /* k = 0 still writes c: one empty block of terms */
        for (block.p = 0; block.p == 0 || block.p < g->k; block.p += KC) {
            block.k = least(KC, g->k - block.p);
            for (block.i = 0; block.i < g->m; block.i += MC) {
                block.m = least(MC, g->m - block.i);
                multiply_block(&block);
            }
        }
    }
}
