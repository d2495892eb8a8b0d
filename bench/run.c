/* A whole run: steps, evaluations, records. SPDX-License-Identifier: MIT */
#include "run.h"
#include "checkpoint.h"
#include "context.h"
#include "kernels.h"
#include "pace.h"
#include "progress.h"
#include "weights.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t qgm_interrupted;

static void interrupt(int signal) { qgm_interrupted = signal; }

void qgm_catch_signals(void)
{
    struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESETHAND }; /* a second Ctrl-C kills at once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    sigaction(SIGHUP, NULL, &hangup);
    if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL); /* a closed terminal, but not under nohup */
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is an error of a write, not a death */
}

/* Of symmetric graphs the spectrum takes moments. Of others it is a dense problem: of thousands of clients it would
 * take longer than many a training, and is left unknown unless the algorithm has asked for it. */
enum { MOST_DENSE = 1024 };
static int find_spectrum(struct qgm_topology *topology, struct qgm_error *err)
{
    const struct qgm_spectrum *s = qgm_topology_facts(topology);
    bool sparse = s->symmetric && !s->time_varying;
    return sparse || qgm_topology_clients(topology) <= MOST_DENSE ? qgm_topology_find_spectrum(topology, err) : 0;
}

/* Of a period of so many steps (1: of every step; 0: there is none, see struct qgm_spectrum) are the gap and the
 * eigenvalues; of a step is the degree. */
static json_t *spectrum_json(struct qgm_topology *topology)
{
    const struct qgm_spectrum *s = qgm_topology_facts(topology);
    return json_pack("{s:i, s:o, s:o, s:o, s:o}", "period", qgm_topology_period(topology), "spectral_gap",
                     qgm_json_number(s->gap), "lambda2", qgm_json_number(s->lambda2), "lambda_min",
                     qgm_json_number(s->lambda_min), "mean_degree", qgm_json_number(s->degree_step));
}

/* What a network elsewhere must do to pixels first: (byte / 255 - mean) / deviation, a channel. Texts: null. */
static json_t *channels_json(const struct qgm_dataset *data, const float *value)
{
    if (data->train.start) return json_null();
    json_t *list = json_array();
    for (int c = 0; c < data->train.c; c++) json_array_append_new(list, qgm_json_number(value[c]));
    return list;
}

/* NULL: null. A name that is not UTF-8 cannot be written. */
static json_t *names_json(const char *const *names, long n)
{
    if (!names) return json_null();
    json_t *list = json_array();
    for (long i = 0; i < n; i++) {
        json_t *name = json_string(names[i]);
        json_array_append_new(list, name ? name : json_null());
    }
    return list;
}

/* First line of run.jsonl: everything that is needed to run it again and to judge it. */
static json_t *head(const struct qgm_trainer *t)
{
    const struct qgm_heterogeneity *h = &t->heterogeneity;
    char digest[17], fingerprint[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, qgm_options_digest(&t->options));
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, h->fingerprint);
    json_t *partition =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:s}", "total_variation_mean", h->tv_mean, "total_variation_max",
                  h->tv_max, "entropy_mean_nats", h->entropy_mean, "emd_mean", h->emd_mean, "largest_class_mean",
                  h->largest_class_mean, "size_min", (json_int_t)h->size_min, "size_max", (json_int_t)h->size_max,
                  "fingerprint", fingerprint);
    return json_pack("{s:s, s:i, s:s, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:i, s:o, s:o}, s:o, s:o, s:o}",
                     "record", "run", "schema", 1, "configuration_digest", digest, "configuration",
                     qgm_options_json(&t->options), "resolved", "parameters", (json_int_t)qgm_model_count(t->model),
                     "steps", (json_int_t)t->total, "steps_per_epoch", (json_int_t)t->per_epoch, "test_subset",
                     (json_int_t)t->subset, "files_skipped", (json_int_t)t->data->skipped, "skipped_files",
                     names_json(t->data->skipped_names, t->data->skipped), "classes",
                     names_json(t->data->class_names, t->data->train.classes), "memory_bytes", (json_int_t)t->bytes,
                     "processes", t->group->ranks, "image_mean", channels_json(t->data, t->data->mean),
                     "image_deviation", channels_json(t->data, t->data->std), "partition", partition, "topology",
                     spectrum_json(t->topology), "machine", qgm_context(t->threads));
}

static json_t *tail(const struct qgm_outcome *outcome)
{
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, outcome->digest);
    return json_pack("{s:s, s:s, s:f, s:s, s:f}", "record", "end", "status",
                     outcome->diverged ? "diverged" : "finished", "step", outcome->last.step, "digest", digest,
                     "seconds", outcome->seconds);
}

/* A run under way. */
struct run {
    struct qgm_trainer t;
    struct qgm_record record;
    struct qgm_pace pace; /* of checkpoints */
    FILE *table;
    qgm_watch *watch;
    void *user;
    double begin, before; /* when this process began; what earlier ones have taken */
    bool headed;          /* the table has its heading */
    struct qgm_outcome *outcome;
};

/* Before a line is printed: none is to begin behind the bar. */
static void hide_progress(struct run *r)
{
    if (r->table) r->watch(r->user, -1, NULL);
}

static double elapsed(const struct run *r) { return r->before + qgm_seconds() - r->begin; }

static int evaluate(struct run *r, const struct qgm_telemetry *telemetry, bool last, struct qgm_error *err)
{
    struct qgm_evaluation *e = &r->outcome->last;
    *e = (struct qgm_evaluation){ .consensus = telemetry->consensus,
                                  .mean_norm = telemetry->mean_norm,
                                  .zeta2 = telemetry->zeta2,
                                  .grad_norm = telemetry->grad_norm,
                                  .cosine = telemetry->cosine };
    QGM_TRY(qgm_trainer_evaluate(&r->t, last ? r->t.data->test.n : r->t.subset, e, err));
    hide_progress(r);
    if (r->table && !r->headed) qgm_print_evaluation_head(r->table, e); /* now that there is something below it */
    r->headed = true;
    if (r->table) qgm_print_evaluation(r->table, e);
    return qgm_record_evaluation(&r->record, e, err);
}

static int interrupted(struct run *r, long step, struct qgm_error *err)
{
    if (!*r->t.options.out)
        return qgm_fail(
            err, QGM_SYSTEM,
            "interrupted at step %ld of %ld: nothing was written (a run with --out DIR can be taken up again)", step,
            r->t.total);
    QGM_TRY(qgm_checkpoint_save(&r->t, &r->record, elapsed(r), err));
    return qgm_fail(err, QGM_SYSTEM, "interrupted at step %ld of %ld", step, r->t.total);
}

static void say_missing(struct run *r, const char *what, const struct qgm_error *err)
{
    hide_progress(r);
    fprintf(stderr, "warning: no %s at step %ld: %s\n", what, qgm_engine_steps(r->t.engine), err->text);
}

/* A disk that is full now may not be full later, and the checkpoints before are still there: not the run's end. */
static void checkpoint(struct run *r)
{
    struct qgm_error err;
    if (qgm_checkpoint_save(&r->t, &r->record, elapsed(r), &err) < 0) say_missing(r, "checkpoint", &err);
}

/* Nor are weights on the way; what is missing can be computed again. */
static void save_weights(struct run *r)
{
    struct qgm_error err;
    if (qgm_weights_save(&r->t, r->record.part, true, &err) < 0) say_missing(r, "weights", &err);
}

static void show(const struct run *r, long step)
{
    char note[64];
    int used = snprintf(note, sizeof note, "epoch %.1f  loss %.3f", (double)step / (double)r->t.per_epoch, r->t.loss);
    if (r->outcome->last.step > 0)
        snprintf(note + used, sizeof note - (size_t)used, "  acc %.1f %%", r->outcome->last.mean);
    r->watch(r->user, (double)step / (double)r->t.total, note);
}

/* What this process asks for at the end of a step. */
static unsigned wishes_of(struct run *r, long step)
{
    bool records = *r->t.options.out && r->t.group->rank == 0;
    bool due = records && step < r->t.total && qgm_pace_due(&r->pace, step, qgm_seconds());
    return (qgm_interrupted ? QGM_WISH_STOP : 0u) | (due ? QGM_WISH_CHECKPOINT : 0u);
}

static int train(struct run *r, struct qgm_error *err)
{
    struct qgm_trainer *t = &r->t;
    for (long step = qgm_engine_steps(t->engine) + 1; step <= t->total && !r->outcome->diverged; step++) {
        struct qgm_telemetry telemetry = { NAN, NAN, NAN, NAN, NAN }; /* of a step that ends the run out of turn */
        bool due = step == t->total || (t->every && step % t->every == 0);
        t->wishes = wishes_of(r, step);
        QGM_TRY(qgm_trainer_step(t, due ? &telemetry : NULL, &r->outcome->diverged, err));
        /* A ReLU takes NaN for 0, so that the loss alone does not show it. */
        if (due && !isfinite(telemetry.mean_norm)) r->outcome->diverged = true;
        bool last = step == t->total || r->outcome->diverged;
        if (due || last) QGM_TRY(evaluate(r, &telemetry, last, err));
        if (t->saving && step % t->saving == 0 && !last)
            save_weights(r); /* before a state that would begin behind it */
        if (t->wishes & QGM_WISH_STOP && !last) return interrupted(r, step, err);
        if (t->wishes & QGM_WISH_CHECKPOINT && !last) checkpoint(r);
        show(r, step);
    }
    return 0;
}

/* Where the run goes on from: its start, or a checkpoint. */
static int start(struct run *r, struct qgm_error *err)
{
    const struct qgm_options *o = &r->t.options;
    char note[400];
    long newest = qgm_checkpoint_newest(&r->record);
    r->t.group->op->tell(r->t.group, &newest, sizeof newest);
    if (o->resume) {
        int found = qgm_checkpoint_load(&r->t, &r->record, &r->before, note, sizeof note, err);
        if (found < 0 && (!o->force || err->kind == QGM_SYSTEM)) return -1;
        if (*note && r->table) fprintf(stderr, "note: %s: the one before it is used\n", note);
        if (found > 0 && r->table) fprintf(stderr, "note: goes on from step %ld\n", qgm_engine_steps(r->t.engine));
        if (found > 0)
            return qgm_record_object(&r->record,
                                     json_pack("{s:s, s:I, s:o}", "record", "resume", "step",
                                               (json_int_t)qgm_engine_steps(r->t.engine), "machine",
                                               qgm_context(r->t.threads)),
                                     err);
        if (r->table) fprintf(stderr, "note: %s: nothing to take up: from the start\n", r->record.part);
    } else if (newest >= 0 && !o->force) {
        return qgm_fail(
            err, QGM_USAGE,
            "--out %s: %s holds the same or another run, interrupted after step %ld or later: --resume takes "
            "it up, --force starts anew",
            r->record.out, r->record.part, newest);
    }
    QGM_TRY(qgm_record_begin(&r->record, NULL, NULL, err));
    if (!*r->record.out) return 0; /* nobody asks for the head, whose spectrum takes time */
    QGM_TRY(find_spectrum(r->t.topology, err));
    return qgm_record_object(&r->record, head(&r->t), err);
}

static int finish(struct run *r, struct qgm_error *err)
{
    char text[32];
    r->outcome->digest = qgm_engine_digest(r->t.engine);
    r->outcome->seconds = elapsed(r);
    if (r->table && r->t.network.clock)
        fprintf(stderr, "network  %s: %s simulated for what took %s here\n", r->t.options.network,
                qgm_duration(qgm_network_seconds(&r->t.network), text),
                qgm_duration(r->outcome->seconds, (char[32]){ 0 }));
    QGM_TRY(qgm_record_object(&r->record, tail(r->outcome), err));
    QGM_TRY(qgm_weights_save(&r->t, r->record.part, false, err));
    return qgm_record_finish(&r->record, err);
}

/* What is left when it did not end well: a state to go on from, if there is one; or all of a run that could not get its
 * name (trained). */
static void leave(struct run *r, bool trained, struct qgm_error *err)
{
    long newest = qgm_checkpoint_newest(&r->record);
    size_t used = strlen(err->text);
    if (trained && *r->record.part)
        used += (size_t)snprintf(err->text + used, sizeof err->text - used, "; the run is in %s", r->record.part);
    if (newest >= 0 && used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - used,
                 "; kept up to step %ld in %s: the same command with --resume goes on", newest, r->record.part);
    qgm_record_abandon(&r->record, trained || newest >= 0);
}

/* All that --save asks for in the end: of the clients' the last, which is written last. */
static bool has_weights(const struct qgm_record *r, const struct qgm_options *o)
{
    char path[QGM_TEXT + 48];
    if (strcmp(o->save, "none") == 0) return true;
    snprintf(path, sizeof path, "%s/average.safetensors", r->out);
    if (access(path, F_OK) < 0) return false;
    snprintf(path, sizeof path, "%s/client-%ld.safetensors", r->out, o->clients - 1);
    return strcmp(o->save, "clients") != 0 || access(path, F_OK) == 0;
}

bool qgm_run_finished(const struct qgm_options *o, struct qgm_outcome *outcome)
{
    struct qgm_record record;
    *outcome = (struct qgm_outcome){ 0 };
    if (qgm_record_name(&record, o->out, NULL) < 0) return false;
    if (o->force && qgm_checkpoint_newest(&record) >= 0) return false; /* it is being replaced */
    if (!has_weights(&record, o)) return false;                        /* no part of the digest */
    json_t *end = qgm_record_end(&record, qgm_options_digest(o));
    const char *digest = json_string_value(json_object_get(end, "digest"));
    const char *status = json_string_value(json_object_get(end, "status"));
    bool found = digest && status && sscanf(digest, "%" SCNx64, &outcome->digest) == 1;
    if (found) outcome->diverged = strcmp(status, "diverged") == 0;
    outcome->last.step = json_number_value(json_object_get(end, "step"));
    outcome->seconds = json_number_value(json_object_get(end, "seconds"));
    json_decref(end);
    return found;
}

bool qgm_run_stands(const struct qgm_options *o)
{
    char path[QGM_TEXT + 16];
    snprintf(path, sizeof path, "%s/%s", o->out,
             qgm_record_files[0]); /* until it has ended it is in a folder of another name */
    return access(path, F_OK) == 0;
}

/* Has the run that --resume is to go on with ended already? Collective: process 0 looks. */
static bool ended_before(const struct qgm_options *o, struct qgm_group *group, FILE *table, struct qgm_outcome *outcome)
{
    bool found = o->resume && group->rank == 0 && qgm_run_finished(o, outcome);
    group->op->tell(group, &found, sizeof found);
    if (!found) return false;
    group->op->tell(group, outcome, sizeof *outcome);
    if (table) fprintf(stderr, "note: %s: the run has ended before: nothing to do\n", o->out);
    return true;
}

/* A flag that does nothing here. Not refused: a study sets it for models of both kinds, and for runs of any length. */
static void warn(const struct qgm_trainer *t)
{
    const struct qgm_schedule *s = &t->schedule;
    if (s->milestones && s->at[s->milestones - 1] >= t->total)
        fprintf(stderr, "warning: --milestones %s: the last is step %ld, but the run ends after %ld: no decay there\n",
                t->options.milestones, s->at[s->milestones - 1], t->total);
    if (s->warmup >= t->total)
        fprintf(stderr, "warning: --warmup-epochs %g: %ld steps, but the run ends after %ld: --lr is not reached\n",
                t->options.warmup_epochs, s->warmup, t->total);
    if (t->options.warmup_lr > 0 && !(t->options.warmup_epochs > 0))
        fprintf(stderr, "warning: --warmup-lr does nothing without --warmup-epochs\n");
    if (t->options.mix_buffers && !qgm_model_buffers(t->model))
        fprintf(stderr, "warning: --mix-buffers does nothing: model %s keeps no running statistics\n",
                t->options.model);
    if (t->network.clock && t->options.stale > 0)
        fprintf(stderr,
                "warning: --network: its clients wait for every message, late ones too, which with --stale they "
                "do not: simulated seconds are too many\n");
}

static int open_record(struct run *r, struct qgm_error *err)
{
    const struct qgm_options *o = &r->t.options;
    int result = qgm_record_open(&r->record, r->t.group->rank ? "" : o->out, o->force, err);
    if (result < 0 && o->resume && !o->force && access(o->out, F_OK) == 0)
        qgm_fail_in(err, "--resume: no finished run of this configuration%s%s",
                    strcmp(o->save, "none") ? " with the weights of --save " : "",
                    strcmp(o->save, "none") ? o->save : "");
    return result;
}

int qgm_run(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group, FILE *table,
            qgm_watch *watch, void *user, struct qgm_outcome *outcome, struct qgm_error *err)
{
    struct run r = { .table = table, .watch = watch, .user = user, .begin = qgm_seconds(), .outcome = outcome };
    *outcome = (struct qgm_outcome){ 0 };
    QGM_TRY(qgm_pace_open(&r.pace, "checkpoint-every", options->checkpoint_every, err));
    if (ended_before(options, group, table, outcome)) return 0;
    QGM_TRY(qgm_trainer_open(&r.t, options, data, group, err));
    int result = open_record(&r, err);
    if (result == 0) {
        if (table) warn(&r.t);
        if (table && *r.t.note) fprintf(stderr, "%s: %s\n", options->init, r.t.note);
        bool kept = qgm_checkpoint_newest(&r.record) >= 0;
        result = start(&r, err);
        if (result < 0)
            qgm_record_abandon(&r.record, kept);
        else if ((result = train(&r, err)) < 0)
            leave(&r, false, err);
        else if ((result = finish(&r, err)) < 0)
            leave(&r, true, err);
    }
    if (result < 0)
        qgm_trainer_give_up(&r.t);
    else
        qgm_trainer_close(&r.t);
    return result;
}

int qgm_run_measure(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                    size_t *bytes, struct qgm_error *err)
{
    struct qgm_trainer t;
    struct qgm_options dry = *options;
    dry.dry_run = true;
    QGM_TRY(qgm_trainer_open(&t, &dry, data, group, err));
    *bytes = t.bytes;
    int result = *dry.init ? qgm_weights_check(&t, err) : 0;
    qgm_trainer_close(&t);
    return result;
}

int qgm_run_estimate(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                     double *seconds, struct qgm_error *err)
{
    struct qgm_trainer t;
    struct qgm_options fresh = *options;
    bool diverged;
    fresh.resume = false;
    QGM_TRY(qgm_trainer_open(&t, &fresh, data, group, err));
    int result = qgm_trainer_step(&t, NULL, &diverged, err); /* the first one finds cold caches and fresh pages */
    double begin = qgm_seconds();
    if (result == 0) result = qgm_trainer_step(&t, NULL, &diverged, err);
    double step = qgm_seconds() - begin, image = step / (double)(t.options.clients * t.options.batch);
    double before = t.every ? ceil((double)t.total / (double)t.every) - 1 : 0;
    double models = (double)t.options.clients * (t.options.gossip_eval ? 2 : 1) + 1;
    double tests = models * (before * (double)t.subset + (double)t.data->test.n);
    *seconds = (double)t.total * step + tests * image / 3;
    qgm_trainer_close(&t);
    return result;
}

int qgm_run_describe(const struct qgm_options *options, const struct qgm_dataset *data, struct qgm_group *group,
                     FILE *to, struct qgm_error *err)
{
    struct qgm_trainer t;
    struct qgm_record record;
    struct qgm_outcome outcome;
    if (options->resume && qgm_run_finished(options, &outcome)) {
        fprintf(to, "run        %s has ended before: nothing to do\n", options->out);
        return 0;
    }
    QGM_TRY(qgm_record_name(&record, options->out, err));
    QGM_TRY(qgm_record_check(&record, options->force, err));
    QGM_TRY(qgm_trainer_open(&t, options, data, group, err));
    if (find_spectrum(t.topology, err) < 0 || (*options->init && qgm_weights_check(&t, err) < 0)) {
        qgm_trainer_close(&t);
        return -1;
    }
    if (!options->quiet) warn(&t);
    char gap[40] = "unknown";
    const struct qgm_spectrum *s = qgm_topology_facts(t.topology);
    if (!isnan(s->gap)) snprintf(gap, sizeof gap, "%.6g", s->gap);
    fprintf(to,
            "algorithm  %s\ngraph      %s%s, %ld clients, spectral gap %s\nmodel      %s, %zu parameters, %.2f MFLOP "
            "an example\n"
            "data       %s, %ld training and %ld test examples\npartition  %s, %ld to %ld examples a client, total "
            "variation %.3f\n"
            "run        %ld steps (%ld an epoch), batch %ld, tests on %ld examples, the last on all\n"
            "machine    %d process%s of %d thread%s, %s kernels\n"
            "memory     %d clients here need %.2f GiB, %d process%s on this machine %.2f GiB of %.1f\n",
            options->algo, options->topology, options->lazy ? " (lazy)" : "", options->clients, gap, options->model,
            qgm_model_count(t.model), qgm_model_flops(t.model) / 1e6, data->name, data->train.n, data->test.n,
            options->partition, t.heterogeneity.size_min, t.heterogeneity.size_max, t.heterogeneity.tv_mean, t.total,
            t.per_epoch, options->batch, t.subset, group->ranks, group->ranks == 1 ? "" : "es", t.threads,
            t.threads == 1 ? "" : "s", qgm_kernels()->isa, t.local, (double)t.bytes / (1 << 30), t.processes_here,
            t.processes_here == 1 ? "" : "es", t.bytes_here / (1 << 30), qgm_machine_memory() / (1 << 30));
    if (*options->init) fprintf(to, "init       %s: its tensors fit%s%s\n", options->init, *t.note ? "; " : "", t.note);
    qgm_trainer_close(&t);
    return 0;
}
