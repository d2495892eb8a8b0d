/* Rows of W when memory runs out: what stood stands, and the next draw tries again. links.c is included, with an
 * allocator that refuses on demand. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int left = 1000; /* allocations that will be granted */

static void *some_malloc(size_t size) { return left-- > 0 ? malloc(size) : NULL; }
static void *some_calloc(size_t count, size_t size) { return left-- > 0 ? calloc(count, size) : NULL; }
static void *some_realloc(void *old, size_t size) { return left-- > 0 ? realloc(old, size) : NULL; }
#define malloc  some_malloc
#define calloc  some_calloc
#define realloc some_realloc
#include "../algos/links.c"
#undef malloc
#undef calloc
#undef realloc

enum { CLIENTS = 30 };

static int make_rows(struct qgm_rows *rows, struct qgm_links *l, int reach)
{
    qgm_links_clear(l);
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 1; k <= reach; k++) qgm_edge(l, i, (i + k) % CLIENTS);
    return qgm_rows_make(rows, l, QGM_METROPOLIS, false, NULL);
}

/* A denser draw than any before needs memory for links twice and for rows twice: refuse the n-th of them. */
static void rows_stay_when_memory_runs_out(void **state)
{
    (void)state;
    bool made = false;
    for (int granted = 0; !made; granted++) {
        struct qgm_links l = { .n = CLIENTS };
        struct qgm_rows rows = { 0 };
        assert_int_equal(make_rows(&rows, &l, 1), 0);
        left = granted;
        made = make_rows(&rows, &l, 7) == 0;
        left = 1000;
        assert_true(made || granted < 10);
        for (int i = 0; i < CLIENTS && !made; i++) {
            assert_true(rows.row[i].from == rows.from + 3 * i && rows.row[i].w == rows.w + 3 * i);
            for (int k = 0; k < 3; k++) assert_true(rows.row[i].w[k] == 1.0 / 3);
        }
        assert_int_equal(make_rows(&rows, &l, 7), 0);
        assert_true(rows.row[3].n == 15 && rows.row[3].w[4] == 1.0 / 15);
        qgm_rows_close(&rows);
        qgm_links_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows_stay_when_memory_runs_out) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
