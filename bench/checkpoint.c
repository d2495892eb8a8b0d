/* Checkpoints: writing and reading the state of a run. SPDX-License-Identifier: MIT */
#include "checkpoint.h"
#include "archive.h"
#include "checkpoint_check.h"
#include "version.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The arrays: pieces of the engine, statistics of the models, and the record's files so far ---- */

struct arrays {
    struct qgm_array *array;
    int count, engine;
};

static int open_arrays(struct arrays *a, struct qgm_trainer *t, struct qgm_error *err)
{
    size_t buffers = qgm_model_buffers(t->model);
    a->engine = qgm_engine_pieces(t->engine);
    a->count = a->engine + (buffers ? (int)t->options.clients : 0);
    a->array = calloc((size_t)a->count + QGM_RECORD_FILES, sizeof *a->array);
    if (!a->array) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    for (int i = 0; i < a->engine; i++) {
        struct qgm_engine_piece p;
        qgm_engine_piece(t->engine, i, &p);
        a->array[i] = (struct qgm_array){ .type = p.real == 8 ? "F64" : "F32", .count = p.count, .at = p.at };
        snprintf(a->array[i].name, sizeof a->array[i].name, "%s", p.name);
    }
    for (int i = a->engine; i < a->count; i++) {
        int client = i - a->engine;
        a->array[i] =
            (struct qgm_array){ .type = "F32", .count = buffers, .at = t->buffers + (size_t)client * buffers };
        snprintf(a->array[i].name, sizeof a->array[i].name, "client.%d.buffers", client);
    }
    return 0;
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
    char digest[17], fingerprint[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, qgm_options_digest(&t->options));
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, t->heterogeneity.fingerprint);
    json_t *m = json_pack("{s:s, s:s, s:s, s:s}", "kind", QGM_CHECKPOINT_KIND, "version", QGM_VERSION,
                          "configuration_digest", digest, "partition_fingerprint", fingerprint);
    set_text(m, "configuration", qgm_options_json(&t->options));
    set_text(m, "counters", counters(t, seconds));
    return m;
}

/* ---- Writing ---- */

int qgm_checkpoint_save(struct qgm_trainer *t, struct qgm_record *r, double seconds, struct qgm_error *err)
{
    struct arrays a;
    char path[2 * QGM_TEXT];
    char *text[QGM_RECORD_FILES] = { 0 };
    qgm_checkpoint_path(path, sizeof path, r, qgm_engine_steps(t->engine));
    QGM_TRY(open_arrays(&a, t, err));
    int result = 0;
    for (int i = 0; i < QGM_RECORD_FILES && result == 0; i++) {
        struct qgm_array *array = &a.array[a.count + i];
        array->type = "U8";
        snprintf(array->name, sizeof array->name, "%s", qgm_record_files[i]);
        result = qgm_record_read(r, i, &text[i], &array->count, err);
        array->at = text[i];
    }
    json_t *m = metadata(t, seconds);
    if (result == 0) result = qgm_archive_write(path, m, a.array, a.count + QGM_RECORD_FILES, NULL, NULL, err);
    json_decref(m);
    for (int i = 0; i < QGM_RECORD_FILES; i++) free(text[i]);
    free(a.array);
    if (result == 0) qgm_checkpoint_prune(r);
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

static int read_state(struct qgm_archive *file, struct qgm_trainer *t, double *seconds, struct qgm_error *err)
{
    struct arrays a;
    QGM_TRY(open_arrays(&a, t, err));
    int result = 0;
    for (int i = 0; i < a.count && result == 0; i++)
        result = qgm_archive_read(file, &a.array[i], (void *)(uintptr_t)a.array[i].at, err);
    free(a.array);
    if (result < 0) return -1;
    const char *text = qgm_archive_text(file, "counters");
    json_t *c = json_loads(text ? text : "", 0, NULL);
    if (!c) return qgm_fail(err, QGM_INPUT, "%s: has no counters", file->path);
    qgm_engine_restored(t->engine);
    take_counters(t, c, seconds);
    json_decref(c);
    return 0;
}

static int take_up(struct qgm_archive *file, struct qgm_trainer *t, struct qgm_record *r, double *seconds,
                   struct qgm_error *err)
{
    QGM_TRY(qgm_checkpoint_compare(file, t, err));
    QGM_TRY(read_state(file, t, seconds, err));
    return read_record(file, r, err);
}

int qgm_checkpoint_load(struct qgm_trainer *t, struct qgm_record *r, double *seconds, char *note, size_t size,
                        struct qgm_error *err)
{
    long step[QGM_MOST_CHECKPOINTS];
    int n = qgm_checkpoint_list(r, step), done = 0, i = 0;
    char path[2 * QGM_TEXT];
    *note = 0;
    for (; i < n && done == 0; i++) { /* newest first */
        struct qgm_archive file;
        struct qgm_error why;
        qgm_checkpoint_path(path, sizeof path, r, step[i]);
        if (qgm_archive_open(&file, path, &why) < 0) {
            size_t used = strlen(note);
            snprintf(note + used, size - used, "%s%s", used ? "; " : "", why.text);
            continue;
        }
        done = take_up(&file, t, r, seconds, err) < 0 ? -1 : 1;
        qgm_archive_close(&file);
    }
    if (n && done == 0) return qgm_fail(err, QGM_INPUT, "--resume: no checkpoint can be used: %s", note);
    for (int k = 0; k + 1 < i && done == 1; k++) { /* damaged ones must not count among the two that are kept */
        qgm_checkpoint_path(path, sizeof path, r, step[k]);
        unlink(path);
    }
    return done;
}
