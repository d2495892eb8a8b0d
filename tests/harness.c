/* Flags and the learning-rate schedule. SPDX-License-Identifier: MIT */
#include "context.h"
#include "feed.h"
#include "flags.h"
#include "schedule.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs the headers above */

static void every_flag_reads_back_what_it_prints(void **state)
{
    (void)state;
    struct qgm_options a, b;
    qgm_options_default(&a);
    assert_int_equal(qgm_options_set(&a, "lr", "0.30000000000000004", NULL), 0);
    assert_int_equal(qgm_options_set(&a, "alpha", "1e-3", NULL), 0);
    assert_int_equal(qgm_options_set(&a, "lazy", "true", NULL), 0);
    qgm_options_default(&b);
    for (size_t i = 0; i < qgm_flag_count; i++) {
        char text[QGM_TEXT];
        qgm_options_text(&a, &qgm_flags[i], text);
        assert_int_equal(qgm_options_set(&b, qgm_flags[i].name, text, NULL), 0);
    }
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(qgm_options_digest(&a) == qgm_options_digest(&b));
}

static void the_digest_sees_results_only(void **state)
{
    (void)state;
    struct qgm_options a, b;
    qgm_options_default(&a);
    for (size_t i = 0; i < qgm_flag_count; i++) {
        const struct qgm_flag *flag = &qgm_flags[i];
        const char *other = flag->kind == QGM_FLAG_TEXT     ? "other"
                            : flag->kind == QGM_FLAG_SWITCH ? "true"
                            : flag->kind == QGM_FLAG_WHOLE  ? "3"
                                                            : "0.25";
        b = a;
        assert_int_equal(qgm_options_set(&b, flag->name, other, NULL), 0);
        if (flag->result == (qgm_options_digest(&a) == qgm_options_digest(&b))) fail_msg("--%s", flag->name);
    }
}

static void bad_values_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static const char *const bad[][2] = { { "clients", "0" },    { "clients", "x" },  { "clients", "" },
                                          { "clients", "1e99" }, { "lr", "nan" },     { "lr", "-1" },
                                          { "lr", "0.1x" },      { "momentum", "1" }, { "lazy", "perhaps" },
                                          { "alpha", "-0.1" },   { "batch", "2.5" },  { "nonsense", "1" } };
    for (size_t i = 0; i < QGM_COUNT(bad); i++) {
        struct qgm_options a, b;
        struct qgm_error err = { 0 };
        qgm_options_default(&a);
        b = a;
        assert_int_equal(qgm_options_set(&a, bad[i][0], bad[i][1], &err), -1);
        assert_int_equal(err.kind, QGM_USAGE);
        assert_non_null(strstr(err.text, bad[i][0]));
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static const struct qgm_spectrum ring = { .degree_min = 2, .degree_max = 2 };

/* The table of the code of Lin et al. (2021): 16 clients, peak 0.8 from 0.1 over 5 epochs, decays at 150 and 225. */
static void the_schedule_is_the_papers(void **state)
{
    (void)state;
    struct qgm_options o;
    struct qgm_schedule s;
    struct qgm_error err;
    qgm_options_default(&o);
    static const char *const set[][2] = { { "lr", "0.1" },       { "base-batch", "64" },
                                          { "batch", "32" },     { "lr-scale", "world" },
                                          { "clients", "16" },   { "warmup-epochs", "5" },
                                          { "lr-decay", "0.1" }, { "milestones", "150,225" },
                                          { "epochs", "300" } };
    for (size_t i = 0; i < QGM_COUNT(set); i++) assert_int_equal(qgm_options_set(&o, set[i][0], set[i][1], NULL), 0);
    long epoch = 98;
    assert_int_equal(qgm_schedule_open(&s, &o, &ring, epoch, 300 * epoch, &err), 0);
    static const double want[][2] = { { 0, 0.1 },   { 1, 0.24 },   { 2.5, 0.45 }, { 5, 0.8 },
                                      { 149, 0.8 }, { 151, 0.08 }, { 226, 0.008 } };
    for (size_t i = 0; i < QGM_COUNT(want); i++)
        assert_true(fabs(qgm_schedule_lr(&s, (long)(want[i][0] * (double)epoch)) - want[i][1]) < 1e-12);
    assert_true(fabs(qgm_schedule_lr(&s, 150 * epoch) - 0.08) < 1e-12); /* the step that starts at a milestone decays */
    assert_true(fabs(qgm_schedule_lr(&s, 150 * epoch - 1) - 0.8) < 1e-12);
    assert_int_equal(qgm_options_set(&o, "lr-scale", "everyone", NULL), 0);
    assert_int_equal(qgm_schedule_open(&s, &o, &ring, epoch, 300 * epoch, &err), -1);
}

/* "graph" is the in-degree with the client itself: 3 on a ring. Where clients differ there is no one rate. */
static void a_rate_may_go_by_the_graph(void **state)
{
    (void)state;
    struct qgm_options o;
    struct qgm_schedule s;
    struct qgm_error err;
    qgm_options_default(&o);
    assert_int_equal(qgm_options_set(&o, "lr-scale", "graph", NULL), 0);
    assert_int_equal(qgm_schedule_open(&s, &o, &ring, 10, 100, &err), 0);
    assert_true(fabs(s.lr - 3 * o.lr) < 1e-12);
    const struct qgm_spectrum star = { .degree_min = 1, .degree_max = 15 },
                              matching = { .degree_min = 3, .degree_max = 3, .time_varying = true };
    assert_int_equal(qgm_schedule_open(&s, &o, &star, 10, 100, &err), -1);
    assert_non_null(strstr(err.text, "from 1 to 15"));
    assert_int_equal(qgm_schedule_open(&s, &o, &matching, 10, 100, &err), -1);
    assert_int_equal(err.kind, QGM_USAGE);
}

static void milestones_below_one_are_shares(void **state)
{
    (void)state;
    struct qgm_options o;
    struct qgm_schedule s;
    struct qgm_error err;
    qgm_options_default(&o);
    assert_int_equal(qgm_options_set(&o, "milestones", "0.5,0.75", NULL), 0);
    assert_int_equal(qgm_schedule_open(&s, &o, &ring, 10, 100, &err), 0);
    assert_int_equal(s.at[0], 50);
    assert_int_equal(s.at[1], 75);
    static const char *const bad[] = { "x", "3,2", "3,,4", "-1", "1;2", "5,5" };
    for (size_t i = 0; i < QGM_COUNT(bad); i++) {
        assert_int_equal(qgm_options_set(&o, "milestones", bad[i], NULL), 0);
        assert_int_equal(qgm_schedule_open(&s, &o, &ring, 10, 100, &err), -1);
    }
}

/* A rate that is to fall before it has risen: the end of the warm-up belongs to it. */
static void milestones_come_after_the_warm_up(void **state)
{
    (void)state;
    struct qgm_options o;
    struct qgm_schedule s;
    struct qgm_error err;
    qgm_options_default(&o);
    assert_int_equal(qgm_options_set(&o, "warmup-epochs", "2", NULL), 0);
    static const char *const inside[] = { "1,5", "2,5", "0.1,0.5" }; /* of 10 epochs */
    for (size_t i = 0; i < QGM_COUNT(inside); i++) {
        assert_int_equal(qgm_options_set(&o, "milestones", inside[i], NULL), 0);
        assert_int_equal(qgm_schedule_open(&s, &o, &ring, 10, 100, &err), -1);
        assert_int_equal(err.kind, QGM_USAGE);
        assert_non_null(strstr(err.text, "within the warm-up of 20 steps (--warmup-epochs 2)"));
    }
    assert_int_equal(qgm_options_set(&o, "milestones", "2.1,5", NULL), 0);
    assert_int_equal(qgm_schedule_open(&s, &o, &ring, 10, 100, &err), 0);
}

/* Texts of 3, 7 and 5 tokens: together, padded, and each by itself give the same logits, to the bit. */
static void padding_is_not_seen(void **state)
{
    (void)state;
    static const uint32_t start[] = { 0, 3, 10, 15 }, index[] = { 2, 0, 1 };
    static const int32_t token[] = { 1, 4, 2, 1, 5, 6, 7, 8, 9, 2, 1, 4, 8, 3, 2 }, labels[] = { 0, 1, 2 };
    const struct qgm_examples from = {
        .n = 3, .h = 7, .w = 1, .c = 10, .classes = 3, .labels = labels, .start = start, .token = token
    };
    struct qgm_input in = qgm_feed_input(&from);
    struct qgm_error err;
    struct qgm_model *m;
    struct qgm_arena memory, arena;
    if (qgm_model_open(&m, "bert-tiny:width=16,heads=2,inner=24", &in, &err) < 0) fail_msg("%s", err.text);
    size_t size = qgm_model_size(m);
    assert_int_equal(qgm_arena_open(&memory, qgm_piece(size, sizeof(float)), &err), 0);
    assert_int_equal(qgm_arena_open(&arena, qgm_model_arena(m, 3, false) + qgm_feed_bytes(&from, 3), &err), 0);
    float *params = qgm_take(&memory, size, sizeof *params), together[3][3], alone[3];
    qgm_model_init(m, 1, params, NULL);
    struct qgm_batch batch = qgm_feed(NULL, &from, index, 3, NULL, &arena);
    assert_true(batch.n == 3 && batch.length == 7 && batch.lengths[0] == 5 && batch.lengths[1] == 3);
    assert_true(batch.labels[0] == 2 && batch.tokens[3] == 3 && batch.tokens[5] == 0 && batch.tokens[7] == 1);
    qgm_model_eval(m, params, NULL, &batch, together[0], NULL, &arena);
    qgm_release(&arena, 0);
    for (int i = 0; i < 3; i++) {
        batch = qgm_feed(NULL, &from, index + i, 1, NULL, &arena);
        assert_int_equal(batch.length, start[index[i] + 1] - start[index[i]]);
        qgm_model_eval(m, params, NULL, &batch, alone, NULL, &arena);
        assert_memory_equal(alone, together[i], sizeof alone);
        qgm_release(&arena, 0);
    }
    qgm_arena_close(&memory);
    qgm_arena_close(&arena);
    qgm_model_close(&m);
}

/* Job schedulers limit a group above the one that the process is in; files of "max" are no limit. */
static void memory_is_the_smallest_limit_around(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text; /* NULL: a folder */
    } tree[] = {
        { "a", NULL },
        { "a/memory.max", "max\n" },
        { "a/slurm", NULL },
        { "a/slurm/memory.max", "3000000\n" },
        { "a/slurm/step", NULL },
        { "a/slurm/step/memory.max", "5000000\n" },
        { "a/memory", NULL },
        { "a/memory/memory.limit_in_bytes", "9223372036854771712\n" },
        { "a/memory/job", NULL },
        { "a/memory/job/memory.limit_in_bytes", "2000000\n" },
        { "own", "0::/slurm/step\n" },
        { "old", "12:cpu,cpuacct:/job\n7:memory:/job/gone\n" },
        { "both", "7:memory:/job\n1:name=systemd:/\n0::/slurm/step\n" },
        { "root", "0::/\n" },
    };
    char dir[] = "cgroup-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    for (size_t i = 0; i < QGM_COUNT(tree); i++) {
        FILE *f = tree[i].text ? fopen(tree[i].file, "w") : NULL;
        assert_true(f ? fputs(tree[i].text, f) >= 0 && fclose(f) == 0 : mkdir(tree[i].file, 0777) == 0);
    }
    assert_true(qgm_group_memory("own", "a") == 3e6);
    assert_true(qgm_group_memory("old", "a") == 2e6);
    assert_true(qgm_group_memory("both", "a") == 2e6);
    assert_true(isinf(qgm_group_memory("root", "a")) && isinf(qgm_group_memory("gone", "a")));
    for (size_t i = QGM_COUNT(tree); i-- > 0;) assert_int_equal(remove(tree[i].file), 0);
    assert_int_equal(chdir(".."), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_true(qgm_machine_memory() > 0);
}

/* However many pieces of whatever size are added up, opening them is refused. */
static void too_large_is_refused_not_wrapped(void **state)
{
    (void)state;
    size_t sum = 0;
    for (int i = 0; i < 65535; i++) {
        size_t piece = qgm_piece(SIZE_MAX / 8 + (size_t)i, sizeof(double));
        assert_true(sum + piece > sum);
        sum += piece;
    }
    for (int pieces = 1; pieces <= 65535; pieces *= 4) {
        struct qgm_arena arena;
        struct qgm_error err = { 0 };
        assert_int_equal(qgm_arena_open(&arena, (size_t)pieces * qgm_piece(SIZE_MAX, 1), &err), -1);
        assert_int_equal(err.kind, QGM_SYSTEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_reads_back_what_it_prints),
        cmocka_unit_test(the_digest_sees_results_only),
        cmocka_unit_test(bad_values_are_refused_and_change_nothing),
        cmocka_unit_test(the_schedule_is_the_papers),
        cmocka_unit_test(a_rate_may_go_by_the_graph),
        cmocka_unit_test(padding_is_not_seen),
        cmocka_unit_test(milestones_below_one_are_shares),
        cmocka_unit_test(milestones_come_after_the_warm_up),
        cmocka_unit_test(memory_is_the_smallest_limit_around),
        cmocka_unit_test(too_large_is_refused_not_wrapped),
    };
    return cmocka_run_group_tests_name("harness", tests, NULL, NULL);
}
