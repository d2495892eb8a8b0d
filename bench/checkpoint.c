/* Checkpoints: writing and reading the state of a run. SPDX-License-Identifier: MIT */
#include "checkpoint.h"
#include "archive.h"
#include "checkpoint_check.h"
#include "version.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The arrays: pieces of the engine, statistics of the models, and the record's files so far ---- */

struct arrays {
    struct qgm_trainer *t;
    struct qgm_array *array;
    int *owner; /* the process that has it; -1: every one */
    int count;
    void *guest; /* room for one of another process */
    int asked;   /* arrays that have been fetched so far */
};

static void close_arrays(struct arrays *a)
{
    free(a->array);
    free(a->owner);
    free(a->guest);
}

static void set_array(struct arrays *a, int i, const char *name, const char *type, size_t count, const void *at,
                      int client)
{
    const struct qgm_trainer *t = a->t;
    a->array[i] = (struct qgm_array){ .type = type, .count = count, .at = at };
    snprintf(a->array[i].name, sizeof a->array[i].name, "%s", name);
    a->owner[i] = client < 0 ? -1 : qgm_group_owner(t->group, (int)t->options.clients, client);
}

static int open_arrays(struct arrays *a, struct qgm_trainer *t, struct qgm_error *err)
{
    size_t buffers = qgm_model_buffers(t->model), most = 1;
    int pieces = qgm_engine_pieces(t->engine), clients = (int)t->options.clients;
    *a = (struct arrays){ .t = t, .count = pieces + (buffers ? clients : 0) + 1 };
    a->array = calloc((size_t)a->count + QGM_RECORD_FILES, sizeof *a->array);
    a->owner = calloc((size_t)a->count, sizeof *a->owner);
    for (int i = 0; a->array && a->owner && i < pieces; i++) {
        struct qgm_engine_piece p;
        qgm_engine_piece(t->engine, i, &p);
        set_array(a, i, p.name, p.real == 8 ? "F64" : "F32", p.count, p.at, p.client);
    }
    for (int i = 0; a->array && a->owner && pieces + i < a->count - 1; i++) {
        char name[48];
        bool mine = i >= t->first && i < t->first + t->local;
        snprintf(name, sizeof name, "client.%d.buffers", i);
        set_array(a, pieces + i, name, "F32", buffers, mine ? qgm_trainer_buffers(t, i) : NULL, i);
    }
    size_t clocks = t->network.clock ? (size_t)clients : 0;
    if (a->array && a->owner) set_array(a, a->count - 1, "network.clock", "F64", clocks, t->network.clock, -1);
    for (int i = 0; a->array && a->owner && i < a->count; i++)
        if (qgm_array_bytes(&a->array[i]) > most) most = qgm_array_bytes(&a->array[i]);
    a->guest = malloc(most);
    if (a->array && a->owner && a->guest) return 0;
    close_arrays(a);
    return qgm_fail(err, QGM_SYSTEM, "out of memory");
}

/* Array i, where process 0 can write it from. Called by all processes for the same i. */
static const void *fetch(void *user, int i, struct qgm_error *err)
{
    struct arrays *a = user;
    (void)err;
    a->asked = i + 1;
    if (i >= a->count || a->owner[i] < 0) return a->array[i].at;
    return qgm_group_fetch(a->t->group, a->owner[i], a->array[i].at, a->guest, qgm_array_bytes(&a->array[i]));
}

/* ---- Counters that are no arrays: all are exact in a double ---- */

static double mean_of(const struct qgm_trainer *t, size_t offset)
{
    double sum = 0;
    for (int i = 0; i < t->threads; i++) sum += *(const double *)((const char *)&t->workers[i] + offset);
    return sum / t->threads;
}

static json_t *counters(const struct qgm_trainer *t, double seconds)
{
    return json_pack("{s:I, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step",
                     (json_int_t)qgm_engine_steps(t->engine), "images", (json_int_t)t->images, "loss", t->loss,
                     "loss_sum", t->loss_sum, "loss_steps", (json_int_t)t->loss_steps, "train_s", t->train_s,
                     "update_s", t->update_s, "eval_s", t->eval_s, "load_s",
                     mean_of(t, offsetof(struct qgm_worker, load_s)), "gradient_s",
                     mean_of(t, offsetof(struct qgm_worker, gradient_s)), "seconds", seconds);
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void take_counters(struct qgm_trainer *t, const json_t *c, double *seconds)
{
    t->images = (long)number(c, "images");
    t->loss = number(c, "loss");
    t->loss_sum = number(c, "loss_sum");
    t->loss_steps = (long)number(c, "loss_steps");
    t->train_s = number(c, "train_s");
    t->update_s = number(c, "update_s");
    t->eval_s = number(c, "eval_s");
    for (int i = 0; i < t->threads; i++) {
        t->workers[i].load_s = number(c, "load_s");
        t->workers[i].gradient_s = number(c, "gradient_s");
    }
    *seconds = number(c, "seconds");
}

static void set_text(json_t *object, const char *key, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_object_set_new(object, key, json_string(text ? text : ""));
    free(text);
    json_decref(value);
}

static json_t *metadata(const struct qgm_trainer *t, double seconds)
{
    char digest[17], fingerprint[17], examples[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, qgm_options_digest(&t->options));
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, t->heterogeneity.fingerprint);
    snprintf(examples, sizeof examples, "%016" PRIx64, qgm_examples_fingerprint(&t->data->train));
    json_t *m = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", QGM_CHECKPOINT_KIND, "version", QGM_VERSION,
                          "configuration_digest", digest, "partition_fingerprint", fingerprint, "examples_fingerprint",
                          examples);
    set_text(m, "configuration", qgm_options_json(&t->options));
    set_text(m, "counters", counters(t, seconds));
    return m;
}

/* ---- Writing ---- */

/* By process 0. */
static int write_arrays(struct arrays *a, struct qgm_record *r, double seconds, struct qgm_error *err)
{
    char path[2 * QGM_TEXT];
    char *text[QGM_RECORD_FILES] = { 0 };
    qgm_checkpoint_path(path, sizeof path, r, qgm_engine_steps(a->t->engine));
    int result = 0;
    for (int i = 0; i < QGM_RECORD_FILES && result == 0; i++) {
        struct qgm_array *array = &a->array[a->count + i];
        array->type = "U8";
        snprintf(array->name, sizeof array->name, "%s", qgm_record_files[i]);
        result = qgm_record_read(r, i, &text[i], &array->count, err);
        array->at = text[i];
    }
    json_t *m = metadata(a->t, seconds);
    if (result == 0) result = qgm_archive_write(path, m, a->array, a->count + QGM_RECORD_FILES, fetch, a, err);
    json_decref(m);
    for (int i = 0; i < QGM_RECORD_FILES; i++) free(text[i]);
    if (result == 0) qgm_checkpoint_prune(r);
    return result;
}

int qgm_checkpoint_save(struct qgm_trainer *t, struct qgm_record *r, double seconds, struct qgm_error *err)
{
    struct arrays a;
    QGM_TRY(open_arrays(&a, t, err));
    int result = t->group->rank ? 0 : write_arrays(&a, r, seconds, err);
    while (a.asked < a.count) fetch(&a, a.asked, err); /* others send all, whatever happened to the file */
    close_arrays(&a);
    return result;
}

/* ---- Reading ---- */

static int read_record(struct qgm_archive *file, struct qgm_record *r, struct qgm_error *err)
{
    char *text[QGM_RECORD_FILES] = { 0 };
    size_t size[QGM_RECORD_FILES] = { 0 };
    int result = 0;
    for (int i = 0; i < QGM_RECORD_FILES && result == 0; i++) {
        struct qgm_array array = { .type = "U8" };
        snprintf(array.name, sizeof array.name, "%s", qgm_record_files[i]);
        long long bytes = qgm_archive_bytes(file, array.name);
        if (bytes > 0) array.count = size[i] = (size_t)bytes;
        text[i] = malloc(array.count + 1);
        result = text[i] ? qgm_archive_read(file, &array, text[i], err) : qgm_fail(err, QGM_SYSTEM, "out of memory");
    }
    if (result == 0) result = qgm_record_begin(r, text, size, err);
    for (int i = 0; i < QGM_RECORD_FILES; i++) free(text[i]);
    return result;
}

/* Nothing is touched before everything is known to be there. */
static int check_arrays(const struct qgm_archive *file, struct qgm_trainer *t, struct qgm_error *err)
{
    struct arrays a;
    QGM_TRY(open_arrays(&a, t, err));
    int result = 0;
    for (int i = 0; i < a.count && result == 0; i++)
        if (qgm_archive_bytes(file, a.array[i].name) != (long long)qgm_array_bytes(&a.array[i]))
            result = qgm_fail(err, QGM_INPUT,
                              "--resume: %s: array %s has %lld bytes, expected %zu: of another version?", file->path,
                              a.array[i].name, qgm_archive_bytes(file, a.array[i].name), qgm_array_bytes(&a.array[i]));
    close_arrays(&a);
    return result;
}

/* Process 0 reads, and hands to each process what is its own. */
static int read_array(struct qgm_archive *file, struct arrays *a, int i, struct qgm_error *err)
{
    struct qgm_group *g = a->t->group;
    const struct qgm_array *array = &a->array[i];
    size_t bytes = qgm_array_bytes(array);
    void *mine = (void *)(uintptr_t)array->at, *to = a->owner[i] > 0 ? a->guest : mine;
    if (g->rank == 0) QGM_TRY(qgm_archive_read(file, array, to, err));
    if (a->owner[i] < 0) g->op->tell(g, mine, bytes);
    if (a->owner[i] > 0 && g->rank == 0) g->op->send(g, to, bytes, a->owner[i]);
    if (a->owner[i] > 0 && g->rank == a->owner[i]) g->op->receive(g, mine, bytes, 0);
    return 0;
}

static int read_state(struct qgm_archive *file, struct qgm_trainer *t, double *seconds, struct qgm_error *err)
{
    struct arrays a;
    char text[2000] = "";
    if (t->group->rank == 0) {
        const char *found = qgm_archive_text(file, "counters");
        snprintf(text, sizeof text, "%s", found ? found : "");
    }
    t->group->op->tell(t->group, text, sizeof text);
    QGM_TRY(open_arrays(&a, t, err));
    int result = 0;
    for (int i = 0; i < a.count && result == 0; i++) result = read_array(file, &a, i, err);
    close_arrays(&a);
    json_t *c = json_loads(text, 0, NULL);
    if (result == 0 && !c) result = qgm_fail(err, QGM_SYSTEM, "--resume: the checkpoint has no counters");
    if (result < 0 && err) err->kind = QGM_SYSTEM; /* the state is neither the old nor the new one */
    qgm_engine_restored(t->engine);
    t->bytes_counted = qgm_engine_bytes_sent(t->engine);
    if (c) take_counters(t, c, seconds);
    json_decref(c);
    return result;
}

/* On process 0: open the newest that is whole. 1; 0: there is none; -1: not one can be used. */
static int open_newest(struct qgm_archive *file, char *path, size_t path_size, const struct qgm_record *r, char *note,
                       size_t size, struct qgm_error *err)
{
    long step[QGM_MOST_CHECKPOINTS];
    int n = qgm_checkpoint_list(r, step);
    *note = 0;
    for (int i = 0; i < n; i++) {
        struct qgm_error why;
        qgm_checkpoint_path(path, path_size, r, step[i]);
        if (qgm_archive_open(file, path, &why) == 0) return 1;
        size_t used = strlen(note);
        snprintf(note + used, size - used, "%s%s", used ? "; " : "", why.text);
    }
    return n ? qgm_fail(err, QGM_INPUT, "--resume: no checkpoint can be used: %s (--force starts anew)", note) : 0;
}

/* Damaged ones must not count among the two that are kept. */
static void remove_newer(const struct qgm_record *r, long than)
{
    long step[QGM_MOST_CHECKPOINTS];
    char path[2 * QGM_TEXT];
    for (int i = 0, n = qgm_checkpoint_list(r, step); i < n && step[i] > than; i++) {
        qgm_checkpoint_path(path, sizeof path, r, step[i]);
        unlink(path);
    }
}

int qgm_checkpoint_load(struct qgm_trainer *t, struct qgm_record *r, double *seconds, char *note, size_t size,
                        struct qgm_error *err)
{
    struct qgm_archive file = { 0 };
    char path[2 * QGM_TEXT];
    int found = 0;
    *note = 0;
    if (t->group->rank == 0) {
        found = open_newest(&file, path, sizeof path, r, note, size, err);
        if (found == 1 && (qgm_checkpoint_compare(&file, t, err) < 0 || check_arrays(&file, t, err) < 0)) found = -1;
    }
    t->group->op->tell(t->group, &found, sizeof found);
    if (found < 0 && t->group->rank) qgm_fail(err, QGM_INPUT, "--resume: process 0 found no usable checkpoint");
    if (found == 1 && read_state(&file, t, seconds, err) < 0) found = -1;
    if (found == 1 && t->group->rank == 0) {
        if (read_record(&file, r, err) < 0) found = -1;
        remove_newer(r, qgm_engine_steps(t->engine));
    }
    qgm_archive_close(&file);
    return found;
}
