/* Finding checkpoints, and telling whose they are. SPDX-License-Identifier: MIT */
#include "checkpoint_check.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void qgm_checkpoint_path(char *path, size_t size, const struct qgm_record *r, long step)
{
    snprintf(path, size, "%s/checkpoint-%010ld.safetensors", r->part, step);
}

static int descending(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x < y) - (x > y);
}

int qgm_checkpoint_list(const struct qgm_record *r, long step[QGM_MOST_CHECKPOINTS])
{
    int n = 0, used;
    long s;
    DIR *dir = r->part[0] ? opendir(r->part) : NULL;
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) && n < QGM_MOST_CHECKPOINTS;) {
        used = 0;
        if (sscanf(entry->d_name, "checkpoint-%10ld.safetensors%n", &s, &used) == 1 && used && !entry->d_name[used])
            step[n++] = s;
    }
    closedir(dir);
    qsort(step, (size_t)n, sizeof *step, descending);
    return n;
}

long qgm_checkpoint_newest(const struct qgm_record *r)
{
    long step[QGM_MOST_CHECKPOINTS];
    return qgm_checkpoint_list(r, step) ? step[0] : -1;
}

void qgm_checkpoint_prune(const struct qgm_record *r)
{
    long step[QGM_MOST_CHECKPOINTS];
    char path[2 * QGM_TEXT];
    for (int i = 2, n = qgm_checkpoint_list(r, step); i < n; i++) {
        qgm_checkpoint_path(path, sizeof path, r, step[i]);
        unlink(path);
    }
}

static void value_text(const json_t *value, char text[QGM_TEXT])
{
    memset(text, 0, QGM_TEXT);
    if (json_is_string(value)) snprintf(text, QGM_TEXT, "%s", json_string_value(value));
    if (json_is_integer(value)) snprintf(text, QGM_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value)) snprintf(text, QGM_TEXT, "%.17g", json_real_value(value));
    if (json_is_boolean(value)) snprintf(text, QGM_TEXT, "%s", json_is_true(value) ? "true" : "false");
}

/* "--lr 0.1 then, 0.2 now; --seed 1 then, 2 now" */
static void difference(const json_t *configuration, const struct qgm_options *now, char *text, size_t size)
{
    struct qgm_options then;
    size_t used = 0;
    qgm_options_default(&then); /* of flags that are younger than the checkpoint */
    *text = 0;
    for (size_t i = 0; i < qgm_flag_count; i++) {
        char a[QGM_TEXT], b[QGM_TEXT];
        const json_t *value = json_object_get(configuration, qgm_flags[i].name);
        if (!qgm_flags[i].result) continue;
        value_text(value, a);
        if (value) qgm_options_set(&then, qgm_flags[i].name, a, NULL);
        qgm_options_text(&then, &qgm_flags[i], a);
        qgm_options_text(now, &qgm_flags[i], b);
        if (strcmp(a, b) == 0 || used >= size) continue;
        used += (size_t)snprintf(text + used, size - used, "%s--%s %s then, %s now", used ? "; " : "",
                                 qgm_flags[i].name, *a ? a : "''", *b ? b : "''");
    }
    if (!*text) snprintf(text, size, "by another version of this program");
}

int qgm_checkpoint_compare(const struct qgm_archive *file, const struct qgm_trainer *t, struct qgm_error *err)
{
    char digest[17], fingerprint[17], text[400];
    snprintf(digest, sizeof digest, "%016" PRIx64, qgm_options_digest(&t->options));
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, t->heterogeneity.fingerprint);
    const char *kind = qgm_archive_text(file, "kind"), *then = qgm_archive_text(file, "configuration_digest");
    const char *data = qgm_archive_text(file, "partition_fingerprint");
    const char *configuration = qgm_archive_text(file, "configuration");
    if (!kind || strcmp(kind, QGM_CHECKPOINT_KIND) != 0 || !then || !data || !configuration)
        return qgm_fail(err, QGM_INPUT, "--resume: %s: is '%s', expected '%s'", file->path,
                        kind ? kind : "no checkpoint", QGM_CHECKPOINT_KIND);
    if (strcmp(then, digest) != 0) {
        json_t *c = json_loads(configuration, 0, NULL);
        difference(c, &t->options, text, sizeof text);
        json_decref(c);
        return qgm_fail(err, QGM_USAGE,
                        "--resume: the run was begun with other flags: %s (the same flags go on, another --out or "
                        "--force starts anew)",
                        text);
    }
    if (strcmp(data, fingerprint) != 0)
        return qgm_fail(err, QGM_USAGE,
                        "--resume: the training data are not those the run was begun on: partition %s then, %s now",
                        data, fingerprint);
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, qgm_examples_fingerprint(&t->data->train));
    const char *examples = qgm_archive_text(file, "examples_fingerprint"); /* of states from this version on */
    if (examples && strcmp(examples, fingerprint) != 0)
        return qgm_fail(err, QGM_USAGE,
                        "--resume: the training data are not those the run was begun on: examples %s then, %s now",
                        examples, fingerprint);
    return 0;
}
