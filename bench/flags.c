/* The flags of a training run. SPDX-License-Identifier: MIT */
#include "flags.h"
#include "dataset.h"
#include "engine.h"
#include "kernels.h"
#include "model.h"
#include "pace.h"
#include "topology.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define AT(field) offsetof(struct qgm_options, field)
#define TEXT(name, field, fallback, argument, help)                                                                    \
    {                                                                                                                  \
        name, QGM_FLAG_TEXT, AT(field), fallback, 0, 0, argument, help, true                                           \
    }
#define WHOLE(name, field, fallback, low, high, help)                                                                  \
    {                                                                                                                  \
        name, QGM_FLAG_WHOLE, AT(field), fallback, low, high, "N", help, true                                          \
    }
#define REAL(name, field, fallback, low, high, help)                                                                   \
    {                                                                                                                  \
        name, QGM_FLAG_REAL, AT(field), fallback, low, high, "X", help, true                                           \
    }
#define SWITCH(name, field, help)                                                                                      \
    {                                                                                                                  \
        name, QGM_FLAG_SWITCH, AT(field), "0", 0, 1, NULL, help, true                                                  \
    }
/* Flags that change where or how a run is carried out, never what it computes. */
#define HOW(name, kind, field, fallback, low, high, argument, help)                                                    \
    {                                                                                                                  \
        name, kind, AT(field), fallback, low, high, argument, help, false                                              \
    }

/* clang-format off */
const struct qgm_flag qgm_flags[] = {
    TEXT("algo", algo, "qg-dsgdm-n", "NAME", "decentralised algorithm, with its own options: qg-dsgdm-n:mu=0.95"),
    TEXT("topology", topology, "ring", "NAME", "communication graph: ring, davis, ..."),
    SWITCH("lazy", lazy, "mix with (I + W) / 2 instead of W; D2 on an even ring needs it"),
    SWITCH("force-pairing", force_pairing, "run an algorithm on a graph that lacks what it declares to need"),
    WHOLE("clients", clients, "16", 1, 65536, "number of clients"),
    TEXT("dataset", dataset, "fashion-mnist", "NAME", "training and test data"),
    HOW("data-dir", QGM_FLAG_TEXT, data_dir, "", 0, 0, "DIR", "folder of the data files (default: where they usually are)"),
    TEXT("model", model, "cnn", "NAME", "network, with its own options: cnn:width=32"),
    TEXT("init", init, "", "FILE", "start from these weights (safetensors, names as in PyTorch and Hugging Face)"),
    TEXT("partition", partition, "lin2021", "NAME", "how training data are dealt to clients"),
    REAL("alpha", alpha, "1", 1e-6, 1e6, "Dirichlet concentration: small is heterogeneous (partitions that use it)"),
    TEXT("augment", augment, "auto", "HOW", "training augmentation of images: auto (the data set's usual), none, flip, crop, resized (random-resized crop), flip+crop, flip+resized"),
    WHOLE("batch", batch, "32", 1, 65536, "examples in a client's mini-batch"),
    REAL("epochs", epochs, "10", 0, 1e6, "passes over a client's own data"),
    WHOLE("steps", steps, "0", 0, 1e12, "stop after this many steps instead (0: by epochs)"),
    REAL("lr", lr, "0.1", 0, 1e6, "learning rate after warm-up"),
    TEXT("lr-scale", lr_scale, "1", "X", "factor of --lr after warm-up: a number, world (the number of clients) or graph (of those that a client averages, itself too)"),
    WHOLE("base-batch", base_batch, "0", 0, 1e6, "--lr is for this batch size, and is scaled in proportion to --batch (0: as it is)"),
    REAL("warmup-epochs", warmup_epochs, "0", 0, 1e6, "epochs of linear warm-up, step by step"),
    REAL("warmup-lr", warmup_lr, "0", 0, 1e6, "learning rate at which warm-up starts (0: --lr where that is scaled up, else a tenth)"),
    TEXT("milestones", milestones, "", "E,E,...", "epochs, after the warm-up, at which the rate is multiplied by --lr-decay; below 1: share of --epochs"),
    REAL("lr-decay", lr_decay, "0.1", 1e-9, 1, "factor at each milestone"),
    REAL("momentum", momentum, "0.9", 0, 0.999999, "momentum beta, of the algorithms that have one"),
    REAL("weight-decay", weight_decay, "0.0001", 0, 1e3, "L2 coefficient, added to every gradient"),
    REAL("label-smoothing", label_smoothing, "0", 0, 0.999999, "share of the target spread evenly over the classes"),
    SWITCH("mix-buffers", mix_buffers, "mix running statistics of batch norms with the neighbours' when models are mixed (not in the bytes counted); else they stay local"),
    SWITCH("shared-order", shared_order, "all clients draw batches and augmentation with one seed, as the released code does"),
    WHOLE("seed", seed, "1", 0, 9007199254740992.0, "seed of everything random"),
    REAL("eval-every", eval_every, "1", 0, 1e9, "epochs between evaluations, fractions too (0: only at the end)"),
    WHOLE("gossip-eval", gossip_eval, "0", 0, 1000, "test the clients' models after this many extra rounds of gossip too (0: no)"),
    WHOLE("eval-subset", eval_subset, "-1", -1, 1e9, "test images of the evaluations before the last (-1: as many as cost 10 % of the run; 0: all)"),
    REAL("drop", drop, "0", 0, 1, "probability that a message is lost"),
    REAL("fail-links", fail_links, "0", 0, 1, "probability that a link fails in a step, in both directions"),
    REAL("crash", crash, "0", 0, 1, "probability that a client crashes in a step; it comes back with its old parameters"),
    WHOLE("crash-steps", crash_steps, "20", 1, 10000, "steps after which a crashed client comes back; 1: it only misses a round"),
    REAL("stale", stale, "0", 0, 1, "probability that a client is late with its message: its neighbours go on with the newest that has come"),
    WHOLE("stale-steps", stale_steps, "4", 0, 1000, "exchanges that a message may be late by; memory for as many messages a client"),
    TEXT("network", network, "off", "NAME", "simulate the time on a cluster, a machine a client: infiniband, ethernet, wan, edge; options latency-us, mbit-s, step-ms=10 (compute), spread=0 (of it over clients)"),
    HOW("threads", QGM_FLAG_WHOLE, threads, "0", 0, 4096, "N", "threads (0: OMP_NUM_THREADS, else every core it may use); where other programs run too, OMP_WAIT_POLICY=passive is faster"),
    HOW("isa", QGM_FLAG_TEXT, isa, "", 0, 0, "NAME", "vector instructions: auto, or one of --version's (default: $QGM_ISA, else auto)"),
    TEXT("backend", backend, "qgm", "NAME", "matrix products and convolutions: qgm, or onednn, whose bits depend on the machine"),
    HOW("out", QGM_FLAG_TEXT, out, "", 0, 0, "DIR", "write run.jsonl and metrics.csv into this new folder"),
    TEXT("bits-dialect", bits_dialect, "sent", "HOW", "rule of the column counted_megabytes: sent (really, to others), lin2021 (as the released code logs)"),
    HOW("save", QGM_FLAG_TEXT, save, "none", 0, 0, "WHAT", "final weights in --out, as safetensors: none, average, clients (these and the average)"),
    HOW("save-every", QGM_FLAG_REAL, save_every, "0", 0, 1e9, "X", "epochs between weights that --save leaves on the way too, as average-step-<step>.safetensors in --out, until the end in <out>.part (0: only the final ones)"),
    HOW("checkpoint-every", QGM_FLAG_TEXT, checkpoint_every, "10min", 0, 0, "HOW", "write a state to go on from, beside --out: 500 (steps), 30s, 10min, 2h, never; on Ctrl-C anyway"),
    HOW("resume", QGM_FLAG_SWITCH, resume, "0", 0, 1, NULL, "go on with the interrupted run of --out; from the start when there is none"),
    HOW("force", QGM_FLAG_SWITCH, force, "0", 0, 1, NULL, "replace --out if it exists, and what an interrupted run left there"),
    HOW("quiet", QGM_FLAG_SWITCH, quiet, "0", 0, 1, NULL, "no progress, no table: the digest alone"),
    HOW("dry-run", QGM_FLAG_SWITCH, dry_run, "0", 0, 1, NULL, "check everything, say what would run and how much memory it needs"),
};
/* clang-format on */
const size_t qgm_flag_count = QGM_COUNT(qgm_flags);

void qgm_options_default(struct qgm_options *options)
{
    memset(options, 0, sizeof *options); /* every byte: options are compared and hashed as text, copied as structs */
    for (size_t i = 0; i < qgm_flag_count; i++)
        qgm_options_set(options, qgm_flags[i].name, qgm_flags[i].fallback, NULL);
}

static int fail_flag(const char *name, struct qgm_error *err)
{
    const char *names[QGM_COUNT(qgm_flags) + 4] = { "help", "version", "list" };
    for (size_t i = 0; i < qgm_flag_count; i++) names[i + 3] = qgm_flags[i].name;
    const char *near = qgm_nearest(name, names);
    if (near) return qgm_fail(err, QGM_USAGE, "unknown flag --%s: did you mean --%s? (--help lists all)", name, near);
    return qgm_fail(err, QGM_USAGE, "unknown flag --%s (--help lists all)", name);
}

static const struct qgm_flag *find_flag(const char *name)
{
    for (size_t i = 0; i < qgm_flag_count; i++)
        if (strcmp(qgm_flags[i].name, name) == 0) return &qgm_flags[i];
    return NULL;
}

int qgm_flag_number(const char *flag, const char *text, double low, double high, bool whole, double *value,
                    struct qgm_error *err)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= low && x <= high) || (whole && x != floor(x)))
        return qgm_fail(err, QGM_USAGE, "--%s %s: expected a %s from %.*g to %.*g", flag, text,
                        whole ? "whole number" : "number", whole ? 16 : 10, low, whole ? 16 : 10, high);
    *value = x;
    return 0;
}

int qgm_flag_whole(const char *flag, const char *text, long low, long high, long *value, struct qgm_error *err)
{
    double x;
    QGM_TRY(qgm_flag_number(flag, text, (double)low, (double)high, true, &x, err));
    *value = (long)x;
    return 0;
}

static int set_number(const struct qgm_flag *flag, void *field, const char *value, struct qgm_error *err)
{
    double x;
    bool whole = flag->kind == QGM_FLAG_WHOLE;
    QGM_TRY(qgm_flag_number(flag->name, value, flag->low, flag->high, whole, &x, err));
    if (whole)
        *(long *)field = (long)x;
    else
        *(double *)field = x;
    return 0;
}

int qgm_options_set(struct qgm_options *options, const char *name, const char *value, struct qgm_error *err)
{
    const struct qgm_flag *flag = find_flag(name);
    if (!flag) return fail_flag(name, err);
    void *field = (char *)options + flag->offset;
    switch (flag->kind) {
    case QGM_FLAG_TEXT:
        if (strlen(value) >= QGM_TEXT)
            return qgm_fail(err, QGM_USAGE, "--%s: longer than %d characters", name, QGM_TEXT - 1);
        memset(field, 0, QGM_TEXT);
        memcpy(field, value, strlen(value));
        return 0;
    case QGM_FLAG_WHOLE:
    case QGM_FLAG_REAL:
        return set_number(flag, field, value, err);
    case QGM_FLAG_SWITCH: {
        static const char *const yes[] = { "1", "true", "yes" }, *const no[] = { "0", "false", "no" };
        for (int i = 0; i < 3; i++)
            if (!strcmp(value, yes[i]) || !strcmp(value, no[i])) {
                *(bool *)field = !strcmp(value, yes[i]);
                return 0;
            }
        return qgm_fail(err, QGM_USAGE, "--%s %s: expected true or false", name, value);
    }
    }
    return -1;
}

void qgm_options_text(const struct qgm_options *options, const struct qgm_flag *flag, char text[QGM_TEXT])
{
    const void *field = (const char *)options + flag->offset;
    switch (flag->kind) {
    case QGM_FLAG_TEXT:
        memcpy(text, field, QGM_TEXT);
        break;
    case QGM_FLAG_WHOLE:
        snprintf(text, QGM_TEXT, "%ld", *(const long *)field);
        break;
    case QGM_FLAG_REAL: { /* the shortest text that reads back as the same number */
        double x = *(const double *)field;
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(text, QGM_TEXT, "%.*g", digits, x);
            if (strtod(text, NULL) == x) break;
        }
        break;
    }
    case QGM_FLAG_SWITCH:
        snprintf(text, QGM_TEXT, "%s", *(const bool *)field ? "true" : "false");
        break;
    }
}

int qgm_check_name(const char *flag, const char *spec, const char *const *names, struct qgm_error *err)
{
    char name[QGM_TEXT];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
    for (const char *const *n = names; *n; n++)
        if (strcmp(*n, name) == 0) return 0;
    for (const char *const *n = names; *n; n++) {
        size_t length = strlen(*n);
        if (strncmp(*n, name, length) == 0 && name[length] == ',')
            return qgm_fail(err, QGM_USAGE, "--%s %s: options follow a colon: did you mean '%s:%s'?", flag, spec, *n,
                            spec + length + 1);
    }
    const char *near = qgm_nearest(name, names);
    if (near)
        return qgm_fail(err, QGM_USAGE, "--%s %s: unknown name: did you mean '%s'? (--list shows all)", flag, spec,
                        near);
    return qgm_fail(err, QGM_USAGE, "--%s %s: unknown name (--list shows all)", flag, spec);
}

/* resnet26 is a model too, though not in the list. */
static int check_model(const char *spec, struct qgm_error *err)
{
    char name[QGM_TEXT];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
    return qgm_model_about(name) ? 0 : qgm_check_name("model", spec, qgm_model_names(), err);
}

/* Of a few choices that need no list of their own. */
static int check_choice(const char *flag, const char *word, const char *const *choices, struct qgm_error *err)
{
    char all[200] = "";
    for (const char *const *c = choices; *c; c++) {
        if (strcmp(*c, word) == 0) return 0;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", c == choices ? "" : c[1] ? ", " : " or ", *c);
    }
    return qgm_fail(err, QGM_USAGE, "--%s %s: expected %s", flag, word, all);
}

int qgm_options_check(const struct qgm_options *o, struct qgm_error *err)
{
    static const char *const dialects[] = { "sent", "lin2021", NULL };
    static const char *const savings[] = { "none", "average", "clients", NULL };
    static const char *const augmentations[] = { "auto",    "none",      "flip",         "crop",
                                                 "resized", "flip+crop", "flip+resized", NULL };
    QGM_TRY(qgm_check_name("algo", o->algo, qgm_algo_names(), err));
    QGM_TRY(qgm_check_name("topology", o->topology, qgm_topology_names(), err));
    QGM_TRY(qgm_check_name("dataset", o->dataset, qgm_dataset_names(), err));
    QGM_TRY(check_model(o->model, err));
    QGM_TRY(qgm_check_name("partition", o->partition, qgm_partition_names(), err));
    QGM_TRY(check_choice("augment", o->augment, augmentations, err));
    QGM_TRY(check_choice("save", o->save, savings, err));
    QGM_TRY(check_choice("bits-dialect", o->bits_dialect, dialects, err));
    if (strcmp(o->save, "none") != 0 && !*o->out)
        return qgm_fail(err, QGM_USAGE, "--save %s: needs a folder: give --out DIR", o->save);
    if (o->save_every > 0 && strcmp(o->save, "none") == 0)
        return qgm_fail(err, QGM_USAGE, "--save-every %g: which weights? give --save average or clients",
                        o->save_every);
    if (o->stale > 0 && !o->stale_steps)
        return qgm_fail(err, QGM_USAGE, "--stale %g: with --stale-steps 0 nobody is late: give 1 or more", o->stale);
    if (o->resume && !*o->out) return qgm_fail(err, QGM_USAGE, "--resume: of which run? give its --out DIR");
    struct qgm_pace pace;
    QGM_TRY(qgm_pace_open(&pace, "checkpoint-every", o->checkpoint_every, err));
    if (!o->steps && o->epochs <= 0)
        return qgm_fail(err, QGM_USAGE, "--epochs 0: nothing to train; give --epochs or --steps above 0");
    return 0;
}

int qgm_options_kernels(const struct qgm_options *o, struct qgm_error *err)
{
    QGM_TRY(qgm_kernels_use(*o->isa ? o->isa : NULL, err));
    return qgm_kernels_backend(o->backend, err);
}

json_t *qgm_options_json(const struct qgm_options *options)
{
    json_t *object = json_object();
    for (size_t i = 0; i < qgm_flag_count; i++) {
        const void *field = (const char *)options + qgm_flags[i].offset;
        json_t *value = NULL;
        switch (qgm_flags[i].kind) {
        case QGM_FLAG_TEXT:
            value = json_string(field);
            break;
        case QGM_FLAG_WHOLE:
            value = json_integer(*(const long *)field);
            break;
        case QGM_FLAG_REAL:
            value = json_real(*(const double *)field);
            break;
        case QGM_FLAG_SWITCH:
            value = json_boolean(*(const bool *)field);
            break;
        }
        json_object_set_new(object, qgm_flags[i].name, value ? value : json_null()); /* a string that is not UTF-8 */
    }
    return object;
}

uint64_t qgm_options_digest(const struct qgm_options *options)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    for (size_t i = 0; i < qgm_flag_count; i++) {
        if (!qgm_flags[i].result) continue;
        char text[QGM_TEXT] = { 0 };
        qgm_options_text(options, &qgm_flags[i], text);
        XXH3_64bits_update(state, qgm_flags[i].name, strlen(qgm_flags[i].name) + 1);
        XXH3_64bits_update(state, text, strlen(text) + 1);
    }
    uint64_t digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return digest;
}
