// The C++ side of gbench.h. SPDX-License-Identifier: MIT
#include "gbench.h"
#include <benchmark/benchmark.h>

static bool failed;

static benchmark::State *of(gbench_state *state) { return reinterpret_cast<benchmark::State *>(state); }

void gbench_register(const char *name, gbench_function *function, void *arg)
{
    benchmark::RegisterBenchmark(
        name, [=](benchmark::State &state) { function(reinterpret_cast<gbench_state *>(&state), arg); });
}

void gbench_context(const char *key, const char *value) { benchmark::AddCustomContext(key, value); }

int gbench_run(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    size_t rows = benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return failed || rows == 0;
}

bool gbench_next(gbench_state *state) { return of(state)->KeepRunning(); }
void gbench_value(gbench_state *state, const char *name, double value) { of(state)->counters[name] = value; }
void gbench_rate(gbench_state *state, const char *name, double per_iteration)
{
    of(state)->counters[name] =
        benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}
void gbench_label(gbench_state *state, const char *text) { of(state)->SetLabel(text); }
void gbench_fail(gbench_state *state, const char *why)
{
    failed = true;
    of(state)->SkipWithError(why);
}
