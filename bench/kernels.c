/* qgm-bench-kernels: every kernel, implementation and shape, timed by Google Benchmark and held against the roof that
 * the same process measured. Rows are <kernel>/<impl>/<shape>. SPDX-License-Identifier: MIT */
#include "context.h"
#include "gbench.h"
#include "kernels_cases.h"
#include "roof.h"
#include "version.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef QGM_HAVE_OPENBLAS
#include <cblas-openblas.h>
#endif
#ifdef QGM_HAVE_ONEDNN
#include "onednn.h"
#endif

static const char usage[] =
    "usage: qgm-bench-kernels [--no-check] [--list] [--benchmark_filter=REGEX] [--benchmark_...]\n"
    "Times kernels on one thread. Rows are <kernel>/<impl>/<shape>; counters are flops_per_s, bytes_per_s and\n"
    "roof, the share of what the machine can do: the higher of FLOPs over the fma peak of that instruction set and\n"
    "bytes (from 64 MB up) over the triad bandwidth, both measured by this process; 0 where there is neither. Times "
    "are\n"
    "CPU times. Exit code 1 when a row differs from its reference, or none matches.\n"
    "  --no-check  do not compare each row with a double-precision reference first\n"
    "  --list      the names of the rows\n"
    "  --version   version, commit, compiler\n"
    "All flags of Google Benchmark work: --benchmark_filter, --benchmark_repetitions=9,\n"
    "--benchmark_enable_random_interleaving=true, --benchmark_out=FILE --benchmark_out_format=json|csv, ...\n"
    "OpenBLAS picks its kernels by $OPENBLAS_CORETYPE (SkylakeX, Haswell), oneDNN by $ONEDNN_MAX_CPU_ISA.\n";

#define CACHED 64e6 /* bytes: what moves less may live in a cache, and has no bandwidth roof */

static bool check = true;
static double bandwidth;

struct row {
    const struct bench_case *c;
    const struct qgm_kernels *table;
    double peak; /* FLOP/s of this implementation's instruction set */
    char name[128];
};

struct buffers {
    float *in[2], *out;
    void *scratch;
};

static float *take(size_t count)
{
    float *p = aligned_alloc(QGM_ALIGN, (count * sizeof *p / QGM_ALIGN + 1) * QGM_ALIGN);
    if (!p) {
        fputs("qgm-bench-kernels: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* A cheap fixed sequence in (-1, 1): the values do not matter, except that none is subnormal. */
static void fill(float *x, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)((int32_t)seed >> 8) * 0x1p-23f + 0x1p-30f;
    }
}

static struct buffers open_buffers(const struct bench_case *c)
{
    struct buffers b = { .in = { take(c->in[0]), take(c->in[1]) }, .out = take(c->out) };
    b.scratch = take(c->scratch / sizeof(float));
    fill(b.in[0], c->in[0], 1);
    fill(b.in[1], c->in[1], 2);
    memset(b.out, 0, c->out * sizeof *b.out);
    return b;
}

static void close_buffers(struct buffers *b) { free(b->in[0]), free(b->in[1]), free(b->out), free(b->scratch); }

/* Some hundred outputs, the first and the last among them, against the definition in double. The bound is the forward
 * error of any order of summation: count * 2^-24 * sum |terms|, the count being at most the flops of an output. */
static bool is_right(const struct bench_case *c, struct buffers *b)
{
    double terms = 4 + c->flops / 2 / (double)c->out;
    size_t samples = c->out < 128 ? c->out : 128;
    for (size_t i = 0; i < samples; i++) {
        size_t at = samples > 1 ? i * (c->out - 1) / (samples - 1) : 0;
        double size, exact = c->exact(c, b->in, at, &size);
        if (!(fabs((double)b->out[at] - exact) <= terms * 0x1p-24 * size)) {
            fprintf(stderr, "%s/%s: output %zu is %.9g, expected %.17g\n", c->kernel, c->shape, at, (double)b->out[at],
                    exact);
            return false;
        }
    }
    return true;
}

/* oneDNN converts weights to its own layout outside the clock, which favours the peer. */
static void keep_weights(bool keep)
{
#ifdef QGM_HAVE_ONEDNN
    qgm_onednn_keep_weights(keep);
#else
    (void)keep;
#endif
}

static void time_row(struct gbench_state *state, void *arg)
{
    const struct row *row = arg;
    const struct bench_case *c = row->c;
    struct buffers b = open_buffers(c);
    keep_weights(false);
    if (c->prepare) c->prepare(c, row->table, b.in, b.out, b.scratch);
    c->run(c, row->table, b.in, b.out, b.scratch); /* also touches every page */
    if (check && !is_right(c, &b)) {
        gbench_fail(state, "differs from the double-precision reference");
        while (gbench_next(state)) {
        }
        close_buffers(&b);
        return;
    }
    keep_weights(true);
    double start = qgm_cpu_seconds();
    double rounds = 0;
    for (; gbench_next(state); rounds++) c->run(c, row->table, b.in, b.out, b.scratch);
    double seconds = (qgm_cpu_seconds() - start) / rounds;
    gbench_rate(state, "flops_per_s", c->flops);
    gbench_rate(state, "bytes_per_s", c->bytes);
    double compute = row->peak > 0 ? c->flops / seconds / row->peak : 0;
    double memory = c->bytes > CACHED && bandwidth > 0 ? c->bytes / seconds / bandwidth : 0;
    gbench_value(state, "roof", compute > memory ? compute : memory); /* of every row: CSV wants the same columns */
    close_buffers(&b);
}

#ifdef QGM_HAVE_OPENBLAS
static void gemm_openblas(const struct qgm_gemm *g, void *scratch)
{
    (void)scratch;
    cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans, g->tb ? CblasTrans : CblasNoTrans, g->m, g->n, g->k,
                1, g->a, g->lda, g->b, g->ldb, g->beta, g->c, g->ldc);
}
#endif

static struct row rows[2048];
static size_t row_count;

static void add_row(const struct bench_case *c, const struct qgm_kernels *table, const char *impl, double peak)
{
    struct row *row = &rows[row_count++];
    *row = (struct row){ .c = c, .table = table, .peak = peak };
    snprintf(row->name, sizeof row->name, "%s/%s/%s", c->kernel, impl, c->shape);
    gbench_register(row->name, time_row, row);
}

/* The scalar table is the specification, not a competitor: only cases it finishes in a moment. */
static bool worth_timing(const char *isa, const struct bench_case *c)
{
    return strcmp(isa, "scalar") != 0 || c->flops + c->bytes < 1e8;
}

static void add_rows(void)
{
    const struct bench_case *cases;
    size_t count = bench_cases(&cases);
    const char *const *isas = qgm_isas_usable();
    double peaks[8] = { 0 };
    size_t isa_count = 0;
    for (; isas[isa_count]; isa_count++) peaks[isa_count] = qgm_roof_flops(isas[isa_count]);
#ifdef QGM_HAVE_OPENBLAS
    static struct qgm_kernels openblas = { .isa = "openblas", .gemm = gemm_openblas };
#endif
#ifdef QGM_HAVE_ONEDNN
    const struct qgm_kernels *onednn = qgm_onednn(qgm_kernels_named("auto"));
#endif
#if defined(QGM_HAVE_OPENBLAS) || defined(QGM_HAVE_ONEDNN)
    double best = peaks[isa_count - 1]; /* the peers choose the widest registers too, unless told otherwise */
#endif
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < isa_count; j++)
            if (worth_timing(isas[j], &cases[i])) add_row(&cases[i], qgm_kernels_named(isas[j]), isas[j], peaks[j]);
#ifdef QGM_HAVE_OPENBLAS
        if (strcmp(cases[i].kernel, "gemm") == 0) add_row(&cases[i], &openblas, "openblas", best);
#endif
#ifdef QGM_HAVE_ONEDNN
        if (strncmp(cases[i].kernel, "conv", 4) == 0 || strcmp(cases[i].kernel, "gemm") == 0)
            add_row(&cases[i], onednn, "onednn", best);
#endif
    }
    for (size_t j = 0; j < isa_count; j++) {
        static char text[8][32];
        snprintf(text[j], sizeof text[j], "%.4g GFLOP/s", peaks[j] / 1e9);
        if (peaks[j] > 0) gbench_context(isas[j], text[j]);
    }
}

/* What run.jsonl's first line says, in the report's context block. */
static void add_context(void)
{
    json_t *context = qgm_context(1), *value;
    const char *key;
    json_object_foreach(context, key, value)
    {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        gbench_context(key, text);
        free(text);
    }
    json_decref(context);
    char text[32];
    bandwidth = qgm_roof_bandwidth();
    snprintf(text, sizeof text, "%.4g GB/s", bandwidth / 1e9);
    gbench_context("triad", text);
}

int main(int argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0;
        if (strcmp(argv[i], "--version") == 0)
            return printf("qgm-bench-kernels %s (%s)\n  compiler  %s\n  flags     %s\n", QGM_VERSION, QGM_COMMIT,
                          QGM_COMPILER, QGM_COMPILER_FLAGS) < 0;
        if (strcmp(argv[i], "--no-check") == 0) {
            check = false;
        } else if (strcmp(argv[i], "--list") == 0) {
            argv[kept++] = "--benchmark_list_tests=true";
        } else {
            argv[kept++] = argv[i];
        }
    }
#ifdef _OPENMP
    omp_set_num_threads(1); /* the peers' threads; ours have none of their own */
#endif
    add_context();
    add_rows();
    return gbench_run(kept, argv);
}
