/* A whole run: steps, evaluations, records. SPDX-License-Identifier: MIT */
#include "run.h"
#include "context.h"
#include "kernels.h"
#include "progress.h"
#include "weights.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t qgm_interrupted;

static void interrupt(int signal)
{
    (void)signal;
    qgm_interrupted = 1;
}

void qgm_catch_signals(void)
{
    struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESETHAND }; /* a second Ctrl-C kills at once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is an error of a write, not a death */
}

static json_t *spectrum_json(struct qgm_topology *topology)
{
    const struct qgm_spectrum *s = qgm_topology_spectrum(topology);
    return json_pack("{s:o, s:o, s:o, s:o}", "spectral_gap", qgm_json_number(s->gap), "lambda2",
                     qgm_json_number(s->lambda2), "lambda_min", qgm_json_number(s->lambda_min), "mean_degree",
                     qgm_json_number(s->degree_mean));
}

/* First line of run.jsonl: everything that is needed to run it again and to judge it. */
static json_t *head(const struct qgm_trainer *t)
{
    const struct qgm_heterogeneity *h = &t->heterogeneity;
    char digest[17], fingerprint[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, qgm_options_digest(&t->options));
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, h->fingerprint);
    json_t *partition =
        json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:s}", "total_variation_mean", h->tv_mean, "total_variation_max",
                  h->tv_max, "entropy_mean_nats", h->entropy_mean, "largest_class_mean", h->largest_class_mean,
                  "size_min", (json_int_t)h->size_min, "size_max", (json_int_t)h->size_max, "fingerprint", fingerprint);
    return json_pack("{s:s, s:i, s:s, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o}", "record", "run", "schema", 1,
                     "configuration_digest", digest, "configuration", qgm_options_json(&t->options), "resolved",
                     "parameters", (json_int_t)qgm_model_count(t->model), "steps", (json_int_t)t->total,
                     "steps_per_epoch", (json_int_t)t->per_epoch, "test_subset", (json_int_t)t->subset, "memory_bytes",
                     (json_int_t)t->bytes, "partition", partition, "topology", spectrum_json(t->topology), "machine",
                     qgm_context(t->threads));
}

static json_t *tail(const struct qgm_outcome *outcome)
{
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, outcome->digest);
    return json_pack("{s:s, s:s, s:f, s:s, s:f}", "record", "end", "status",
                     outcome->diverged ? "diverged" : "finished", "step", outcome->last.step, "digest", digest,
                     "seconds", outcome->seconds);
}

static int evaluate(struct qgm_trainer *t, const struct qgm_telemetry *telemetry, bool last, struct qgm_record *record,
                    FILE *table, struct qgm_evaluation *e, struct qgm_error *err)
{
    *e = (struct qgm_evaluation){ .consensus = telemetry->consensus,
                                  .mean_norm = telemetry->mean_norm,
                                  .zeta2 = telemetry->zeta2,
                                  .grad_norm = telemetry->grad_norm,
                                  .cosine = telemetry->cosine };
    qgm_trainer_evaluate(t, last ? t->data->test.n : t->subset, e);
    if (table) qgm_print_evaluation(table, e);
    return qgm_record_evaluation(record, e, err);
}

static int train(struct qgm_trainer *t, struct qgm_record *record, FILE *table, qgm_watch *watch, void *user,
                 struct qgm_outcome *outcome, struct qgm_error *err)
{
    QGM_TRY(qgm_record_object(record, head(t), err));
    for (long step = 1; step <= t->total && !outcome->diverged; step++) {
        struct qgm_telemetry telemetry = { 0 };
        bool due = step == t->total || (t->every && step % t->every == 0);
        QGM_TRY(qgm_trainer_step(t, due ? &telemetry : NULL, &outcome->diverged, err));
        if (qgm_interrupted)
            return qgm_fail(err, QGM_SYSTEM, "interrupted at step %ld of %ld: nothing was written", step, t->total);
        bool last = step == t->total || outcome->diverged;
        if (due || last) QGM_TRY(evaluate(t, &telemetry, last, record, table, &outcome->last, err));
        char note[64];
        int used = snprintf(note, sizeof note, "epoch %.1f  loss %.3f", (double)step / (double)t->per_epoch, t->loss);
        if (outcome->last.step > 0)
            snprintf(note + used, sizeof note - (size_t)used, "  acc %.1f %%", outcome->last.mean);
        watch(user, (double)step / (double)t->total, note);
    }
    return 0;
}

int qgm_run(const struct qgm_options *options, const struct qgm_dataset *data, FILE *table, qgm_watch *watch,
            void *user, struct qgm_outcome *outcome, struct qgm_error *err)
{
    *outcome = (struct qgm_outcome){ 0 };
    struct qgm_trainer t;
    struct qgm_record record;
    double begin = qgm_seconds();
    QGM_TRY(qgm_trainer_open(&t, options, data, err));
    int result = qgm_record_open(&record, options->out, options->force, err);
    if (result == 0) {
        if (table && *t.note) fprintf(stderr, "%s: %s\n", options->init, t.note);
        result = train(&t, &record, table, watch, user, outcome, err);
        outcome->digest = qgm_engine_digest(t.engine);
        outcome->seconds = qgm_seconds() - begin;
        if (result == 0) result = qgm_record_object(&record, tail(outcome), err);
        if (result == 0) result = qgm_weights_save(&t, record.part, err);
        if (result == 0) result = qgm_record_finish(&record, err);
        if (result < 0) qgm_record_abandon(&record);
    }
    qgm_trainer_close(&t);
    return result;
}

int qgm_run_describe(const struct qgm_options *options, const struct qgm_dataset *data, FILE *to, struct qgm_error *err)
{
    struct qgm_trainer t;
    QGM_TRY(qgm_trainer_open(&t, options, data, err));
    if (*options->out && access(options->out, F_OK) == 0 && !options->force) {
        qgm_trainer_close(&t);
        return qgm_fail(err, QGM_USAGE, "--out %s: exists; give another name, or --force to replace it", options->out);
    }
    const struct qgm_spectrum *s = qgm_topology_spectrum(t.topology);
    fprintf(to,
            "algorithm  %s\ngraph      %s%s, %ld clients, spectral gap %.6f\nmodel      %s, %zu parameters, %.2f MFLOP "
            "an example\n"
            "data       %s, %ld training and %ld test examples\npartition  %s, %ld to %ld examples a client, total "
            "variation %.3f\n"
            "run        %ld steps (%ld an epoch), batch %ld, tests on %ld examples, the last on all\n"
            "machine    %d threads, %s kernels\n"
            "memory     %ld clients need %.2f GiB, this machine has %.1f\n",
            options->algo, options->topology, options->lazy ? " (lazy)" : "", options->clients, s->gap, options->model,
            qgm_model_count(t.model), qgm_model_flops(t.model) / 1e6, data->name, data->train.n, data->test.n,
            options->partition, t.heterogeneity.size_min, t.heterogeneity.size_max, t.heterogeneity.tv_mean, t.total,
            t.per_epoch, options->batch, t.subset, t.threads, qgm_kernels()->isa, options->clients,
            (double)t.bytes / (1 << 30), qgm_machine_memory() / (1 << 30));
    qgm_trainer_close(&t);
    return 0;
}
