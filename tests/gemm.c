/* The matrix product of every ISA against the naive chain and the sum in double. SPDX-License-Identifier: MIT */
#include "ref.h"
#include <stdlib.h>
#include <string.h>

/* Fill in operands for the shape in g and compare every ISA. */
static void check_product(struct qgm_random *r, struct qgm_gemm g, bool with_bias, uint32_t poison)
{
    size_t m = (size_t)g.m, n = (size_t)g.n, k = (size_t)g.k;
    size_t a_rows = g.ta ? k : m, a_cols = g.ta ? m : k, b_rows = g.tb ? n : k, b_cols = g.tb ? k : n;
    size_t na = a_rows ? (a_rows - 1) * (size_t)g.lda + a_cols : 0,
           nb = b_rows ? (b_rows - 1) * (size_t)g.ldb + b_cols : 0;
    size_t nc = m ? (m - 1) * (size_t)g.ldc + n : 0;
    float *a = check_floats(r, na), *b = check_floats(r, nb);
    if (poison) check_poison(r, a, na, poison), check_poison(r, b, nb, poison);
    g.a = a, g.b = b, g.bias = with_bias ? check_floats(r, n) : NULL;
    float *c0 = g.beta == 1 ? check_floats(r, nc) : check_end(nc, sizeof *c0); /* else NaN: it must not be read */
    struct check_value *want = calloc(m * n + 1, sizeof *want);
    ref_gemm(&g, c0, want);
    check_case("gemm m=%d n=%d k=%d ta=%d tb=%d lda=%d ldb=%d ldc=%d beta=%g bias=%d relu=%d poison=%u", g.m, g.n, g.k,
               g.ta, g.tb, g.lda, g.ldb, g.ldc, (double)g.beta, with_bias, g.relu, poison);
    CHECK_EACH_ISA(table)
    {
        g.c = check_end(nc, sizeof *g.c);
        memcpy(g.c, c0, nc * sizeof *g.c);
        void *scratch = aligned_alloc(QGM_ALIGN, qgm_gemm_scratch(&g) + QGM_ALIGN);
        table->gemm(&g, scratch);
        free(scratch);
        for (size_t i = 0; i < m; i++) {
            check_values(table->isa, g.c + i * (size_t)g.ldc, want + i * n, n, (double)g.k);
            if (i + 1 < m) /* the gap between rows is not ours */
                assert_memory_equal(g.c + i * (size_t)g.ldc + n, c0 + i * (size_t)g.ldc + n,
                                    ((size_t)g.ldc - n) * sizeof *g.c);
        }
    }
    if (check_backend() && !poison) {
        g.c = check_end(nc, sizeof *g.c);
        memcpy(g.c, c0, nc * sizeof *g.c);
        void *scratch = aligned_alloc(QGM_ALIGN, qgm_gemm_scratch(&g) + QGM_ALIGN);
        check_backend()->gemm(&g, scratch);
        free(scratch);
        for (size_t i = 0; i < m; i++)
            check_near(check_backend()->isa, g.c + i * (size_t)g.ldc, want + i * n, n, (double)g.k);
    }
    free(want);
    check_free();
}

static struct qgm_gemm random_shape(struct qgm_random *r, int most)
{
    struct qgm_gemm g = { .m = check_extent(r, 0, most), .n = check_extent(r, 0, most), .k = check_extent(r, 0, most) };
    g.ta = qgm_random_below(r, 2), g.tb = qgm_random_below(r, 2);
    g.lda = (g.ta ? g.m : g.k) + (int)qgm_random_below(r, 4);
    g.ldb = (g.tb ? g.k : g.n) + (int)qgm_random_below(r, 4);
    g.ldc = g.n + (int)qgm_random_below(r, 4);
    g.beta = (float)qgm_random_below(r, 2), g.relu = qgm_random_below(r, 3) == 0;
    return g;
}

static void random_shapes(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < check_count(400); i++) check_product(&r, random_shape(&r, 65), qgm_random_below(&r, 2), 0);
}

static void not_a_number(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 0, 1);
    for (int i = 0; i < check_count(100); i++) {
        struct qgm_gemm g = random_shape(&r, 33);
        g.relu = false; /* max(0, NaN) is 0 by contract, which hides what this looks for */
        check_product(&r, g, qgm_random_below(&r, 2), 40);
    }
}

/* Long and wide ones: more than one block in each direction, so that sums of several chains come to be. */
static void blocks(void **state)
{
    (void)state;
    static const int shapes[][3] = { { 150, 40, 700 }, { 9, 530, 70 },   { 500, 17, 33 }, { 33, 33, 1100 },
                                     { 1, 700, 129 },  { 700, 1, 129 },  { 3, 3, 2100 },  { 257, 65, 257 },
                                     { 32, 10, 4096 }, { 128, 96, 520 }, { 14, 32, 384 }, { 1, 300, 1600 },
                                     { 5, 40, 769 },   { 40, 250, 70 },  { 130, 112, 50 } };
    struct qgm_random r = qgm_random(1, QGM_RANDOM_TEST, 0, 2);
    for (size_t i = 0; i < (size_t)check_count(QGM_COUNT(shapes)); i++)
        for (int t = 0; t < 4; t++) {
            const int *s = shapes[i];
            bool ta = t & 1, tb = t & 2;
            struct qgm_gemm g = { .m = s[0], .n = s[1], .k = s[2], .ta = ta, .tb = tb, .beta = (float)(t == 1) };
            g.lda = (ta ? g.m : g.k) + t, g.ldb = (tb ? g.k : g.n) + 1, g.ldc = g.n + t % 2;
            g.relu = t == 3;
            check_product(&r, g, t > 0, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_shapes), cmocka_unit_test(not_a_number),
                                        cmocka_unit_test(blocks) };
    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
