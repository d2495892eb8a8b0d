/* Where rows lie: what spacing.c promises of addresses, counted. SPDX-License-Identifier: MIT */
#include "spacing.h"
#include "check.h"

enum { PAGE = 4096, LINE = 64, CLIENTS = 16 };

static size_t apart(size_t a, size_t b, size_t period)
{
    size_t d = (a > b ? a - b : b - a) % period;
    return d < period - d ? d : period - d;
}

static size_t some_padded(struct qgm_random *r)
{
    static const size_t special[] = { 16, 1024, 2048, 62016, 270896, 9750928, 11173968, 1 << 20, 1 << 24 };
    uint32_t k = qgm_random_below(r, 12);
    if (k < QGM_COUNT(special)) return special[k];
    return 16 * (1 + (size_t)qgm_random_below(r, 1u << (4 + qgm_random_below(r, 18))));
}

/* Rows of a client in a page's bits. */
static void rows_keep_their_distance(size_t padded, size_t rows, size_t real)
{
    size_t bytes = qgm_row_stride(padded, rows, real) * real, gap = rows <= 5 ? 512 : 256;
    assert_true(bytes >= padded * real && bytes < padded * real + PAGE);
    assert_int_equal(bytes % LINE, 0);
    for (size_t a = 0; a < rows && bytes >= PAGE; a++)
        for (size_t b = 0; b < a; b++)
            if (apart(a * bytes, b * bytes, PAGE) < gap) fail_msg("rows %zu and %zu: %zu bytes each", a, b, bytes);
}

/* How many lines of a block of one row of each client want the same set, of sets that repeat every `period` bytes. */
static int most_in_a_set(size_t client, size_t period)
{
    int most = 0, in[2048] = { 0 };
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t l = 0; l < PAGE / LINE; l++) {
            int *set = &in[(i * client / LINE + l) % (period / LINE)];
            if (++*set > most) most = *set;
        }
    return most;
}

static void clients_keep_their_distance(size_t padded, size_t rows, size_t real)
{
    const size_t mib = 1 << 20;
    size_t stride = qgm_row_stride(padded, rows, real), bytes = qgm_client_stride(stride, rows, real) * real;
    size_t least = stride * rows * real;
    assert_true(bytes >= least && bytes <= least + (least < 56 * mib ? 32 << 10 : 16 * mib + (32 << 10)));
    assert_int_equal(bytes % LINE, 0);
    if (bytes >= PAGE) assert_true(apart(bytes, 0, PAGE) >= 256);
    if (bytes >= 128 << 10) {
        assert_int_equal(most_in_a_set(bytes, 128 << 10), 1);
        assert_true(most_in_a_set(bytes, 64 << 10) <= 2);
    }
    if (bytes > 56 * mib) assert_true(apart(bytes, 0, 64 * mib) >= 8 * mib);
}

static void distances(void **state)
{
    (void)state;
    struct qgm_random r = qgm_random(31, QGM_RANDOM_TEST, 0, 0);
    for (int k = check_count(2000); k > 0; k--) {
        size_t padded = some_padded(&r), rows = 2 + qgm_random_below(&r, 9), real = k % 4 ? 4 : 8;
        check_case("%zu elements of %zu bytes, %zu rows", padded, real, rows);
        rows_keep_their_distance(padded, rows, real);
        clients_keep_their_distance(padded, rows, real);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(distances) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
