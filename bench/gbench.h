/* Google Benchmark for C: what the one C++ file of the project offers. SPDX-License-Identifier: MIT */
#ifndef QGM_GBENCH_H
#define QGM_GBENCH_H
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench_state; /* benchmark::State */
typedef void gbench_function(struct gbench_state *state, void *arg);

/* Names and args must outlive gbench_run(). */
void gbench_register(const char *name, gbench_function *function, void *arg);
/* A line of the context block that the reports begin with. */
void gbench_context(const char *key, const char *value);
/* Parse the standard --benchmark_* flags, refuse others, run. The exit status: 2 for an unknown flag, 1 when a row has
 * failed or none was asked for. */
int gbench_run(int argc, char **argv);

/* while (gbench_next(state)) what is timed; */
bool gbench_next(struct gbench_state *state);
/* A figure of the row: the value itself, or the value times iterations per second. */
void gbench_value(struct gbench_state *state, const char *name, double value);
void gbench_rate(struct gbench_state *state, const char *name, double per_iteration);
void gbench_label(struct gbench_state *state, const char *text);
/* Report the row as failed. */
void gbench_fail(struct gbench_state *state, const char *why);

#ifdef __cplusplus
}
#endif
#endif
