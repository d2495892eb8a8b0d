/* Which instruction set this CPU and this build have, and the one table in use. SPDX-License-Identifier: MIT */
#include "isa.h"
#include "kernels.h"
#ifdef QGM_HAVE_ONEDNN
#include "onednn.h"
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const struct qgm_kernels qgm_kernels_scalar;
static bool always(void) { return true; }

#ifdef QGM_BUILT_AVX2
extern const struct qgm_kernels qgm_kernels_avx2;
/* The compiler's run-time check covers cpuid and, through xgetbv, whether the system saves the registers. */
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef QGM_BUILT_AVX512
extern const struct qgm_kernels qgm_kernels_avx512;
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#ifdef QGM_BUILT_NEON
extern const struct qgm_kernels qgm_kernels_neon; /* part of every aarch64 */
#endif

/* Worst first: the last one that runs is "auto". */
static const struct {
    const struct qgm_kernels *table;
    const char *name;
    bool (*runs)(void);
} isas[] = {
    { &qgm_kernels_scalar, "scalar", always },
#ifdef QGM_BUILT_AVX2
    { &qgm_kernels_avx2, "avx2", has_avx2 },
#endif
#ifdef QGM_BUILT_AVX512
    { &qgm_kernels_avx512, "avx512", has_avx512 },
#endif
#ifdef QGM_BUILT_NEON
    { &qgm_kernels_neon, "neon", always },
#endif
};

const char *const *qgm_isas_built(void)
{
    static const char *names[QGM_COUNT(isas) + 1];
    for (size_t i = 0; i < QGM_COUNT(isas); i++) names[i] = isas[i].name;
    return names;
}

const char *const *qgm_isas_usable(void)
{
    static const char *names[QGM_COUNT(isas) + 1];
    size_t n = 0;
    for (size_t i = 0; i < QGM_COUNT(isas); i++)
        if (isas[i].runs()) names[n++] = isas[i].name;
    return names;
}

const struct qgm_kernels *qgm_kernels_named(const char *name)
{
    bool best = strcmp(name, "auto") == 0;
    for (size_t i = QGM_COUNT(isas); i-- > 0;)
        if ((best || strcmp(name, isas[i].name) == 0) && isas[i].runs()) return isas[i].table;
    return NULL;
}

static const struct qgm_kernels *_Atomic in_use;

static int fail_isa(const char *where, const char *name, struct qgm_error *err)
{
    char list[64] = "auto";
    for (const char *const *n = qgm_isas_usable(); *n; n++) strcat(strcat(list, ", "), *n);
    for (const char *const *n = qgm_isas_built(); *n; n++)
        if (strcmp(*n, name) == 0)
            return qgm_fail(err, QGM_USAGE, "%s %s: this CPU has no %s; it runs: %s", where, name, name, list);
    return qgm_fail(err, QGM_USAGE, "%s %s: unknown instruction set; this build and CPU run: %s", where, name, list);
}

int qgm_kernels_use(const char *isa, struct qgm_error *err)
{
    const char *env = getenv("QGM_ISA"), *where = isa ? "--isa" : "QGM_ISA";
    const char *name = isa ? isa : env && *env ? env : "auto";
    const struct qgm_kernels *table = qgm_kernels_named(name);
    if (!table) return fail_isa(where, name, err);
    atomic_store(&in_use, table);
    return 0;
}

const struct qgm_kernels *qgm_kernels(void)
{
    const struct qgm_kernels *table = atomic_load(&in_use);
    if (table) return table;
    if (qgm_kernels_use(NULL, NULL) < 0) atomic_store(&in_use, qgm_kernels_named("auto")); /* programs refuse earlier */
    return atomic_load(&in_use);
}

int qgm_kernels_backend(const char *name, struct qgm_error *err)
{
    static const char *const names[] = { "qgm", "onednn", NULL };
    if (strcmp(name, "qgm") == 0) return 0;
    if (strcmp(name, "onednn") == 0) {
#ifdef QGM_HAVE_ONEDNN
        atomic_store(&in_use, qgm_onednn(qgm_kernels()));
        return 0;
#else
        return qgm_fail(err, QGM_USAGE,
                        "--backend onednn: this build has no oneDNN; install it (Debian: libdnnl-dev) and configure "
                        "with -DQGM_ONEDNN=ON");
#endif
    }
    const char *near = qgm_nearest(name, names);
    return qgm_fail(err, QGM_USAGE, "--backend %s: expected qgm or onednn%s%s%s", name, near ? ": did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
}
