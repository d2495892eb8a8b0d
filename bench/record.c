/* Run records. SPDX-License-Identifier: MIT */
#include "record.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JSONL, CSV };
const char *const qgm_record_files[QGM_RECORD_FILES] = { "run.jsonl", "metrics.csv" };

static const struct {
    const char *name;
    size_t offset;
    int digits; /* significant, in the CSV */
} columns[] = {
#define COLUMN(name, field, digits)                                                                                    \
    {                                                                                                                  \
        name, offsetof(struct qgm_evaluation, field), digits                                                           \
    }
    COLUMN("step", step, 15),
    COLUMN("epoch", epoch, 6),
    COLUMN("lr", lr, 6),
    COLUMN("train_loss_nats", train_loss, 6),
    COLUMN("test_images", test_images, 15),
    COLUMN("accuracy_mean_percent", mean, 6),
    COLUMN("accuracy_worst_percent", worst, 6),
    COLUMN("accuracy_best_percent", best, 6),
    COLUMN("accuracy_average_model_percent", average_model, 6),
    COLUMN("accuracy_mean_after_gossip_percent", gossiped, 6),
    COLUMN("test_loss_mean_nats", test_loss, 6),
    COLUMN("consensus_distance", consensus, 6),
    COLUMN("mean_model_norm", mean_norm, 6),
    COLUMN("gradient_dissimilarity_zeta2", zeta2, 6),
    COLUMN("mean_gradient_norm", grad_norm, 6),
    COLUMN("momentum_gradient_cosine", cosine, 6),
    COLUMN("sent_megabytes_per_client", sent_mb, 6),
    COLUMN("counted_megabytes_per_client", counted_mb, 6),
    COLUMN("train_seconds", train_s, 6),
    COLUMN("load_seconds_per_thread", load_s, 6),
    COLUMN("gradient_seconds_per_thread", gradient_s, 6),
    COLUMN("update_seconds", update_s, 6),
    COLUMN("evaluation_seconds", eval_s, 6),
    COLUMN("train_images_per_s", images_per_s, 6),
    COLUMN("simulated_seconds", simulated_s, 6),
#undef COLUMN
};

json_t *qgm_json_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

/* NaN without a sign, which printf would show and which depends on the machine. */
static double value(const struct qgm_evaluation *e, size_t column)
{
    double x = *(const double *)((const char *)e + columns[column].offset);
    return isnan(x) ? NAN : x;
}

int qgm_make_folder(const char *path, struct qgm_error *err)
{
    char p[QGM_TEXT + 16];
    snprintf(p, sizeof p, "%s", path);
    for (char *slash = p + 1;; slash++) {
        if (*slash && *slash != '/') continue;
        char end = *slash;
        *slash = 0;
        if (mkdir(p, 0777) < 0 && errno != EEXIST)
            return qgm_fail(err, QGM_SYSTEM, "cannot make the folder %s: %s", p, strerror(errno));
        if (!(*slash = end)) return 0;
    }
}

/* Where `word` and a number end, if the name goes on with them; else where it begins. */
static const char *past(const char *name, const char *word)
{
    size_t length = strlen(word), digits = 0;
    if (strncmp(name, word, length) == 0) digits = strspn(name + length, "0123456789");
    return digits ? name + length + digits : name;
}

/* Does a run write files of this name? Others are the user's, weights of whatever origin among them. */
static bool is_ours(const char *name)
{
    for (size_t i = 0; i < QGM_RECORD_FILES; i++)
        if (strcmp(name, qgm_record_files[i]) == 0) return true;
    const char *weights = strncmp(name, "average", 7) == 0 ? name + 7 : past(name, "client-");
    const char *rest = weights > name ? past(weights, "-step-") : past(name, "checkpoint-");
    return rest > name && (strcmp(rest, ".safetensors") == 0 || strcmp(rest, ".safetensors.partial") == 0);
}

/* Remove the files of a record, or of those the ones that match. */
static int clear_folder(const char *folder, const char *pattern)
{
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (is_ours(entry->d_name) && fnmatch(pattern, entry->d_name, 0) == 0) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return 0;
}

/* A folder that holds anything else stays. */
static int remove_folder(const char *folder) { return clear_folder(folder, "*") < 0 ? -1 : rmdir(folder); }

/* Two processes must not write to one record, for instance when a job is taken up again while it still runs. */
static int lock_folder(struct qgm_record *r, struct qgm_error *err)
{
    r->lock = open(r->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->lock < 0) return qgm_fail(err, QGM_SYSTEM, "cannot open the folder %s: %s", r->part, strerror(errno));
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return 0; /* some file systems have no locks */
    return qgm_fail(err, QGM_USAGE, "another process is writing to %s", r->part);
}

static void forget(struct qgm_record *r)
{
    if (r->lock >= 0) close(r->lock);
    r->lock = -1;
    r->out[0] = r->part[0] = 0;
}

/* A folder that can be replaced is empty, or it has a record and nothing that a run does not write. */
static int check_folder(const char *folder, struct qgm_error *err)
{
    char foreign[QGM_TEXT] = "";
    bool record = false, empty = true;
    DIR *dir = opendir(folder);
    if (!dir) return qgm_fail(err, QGM_SYSTEM, "cannot look into the folder: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        empty = false;
        if (strcmp(entry->d_name, qgm_record_files[JSONL]) == 0) record = true;
        if (!is_ours(entry->d_name)) snprintf(foreign, sizeof foreign, "%s", entry->d_name);
    }
    closedir(dir);
    if (*foreign)
        return qgm_fail(err, QGM_USAGE, "holds '%s', which no run writes: move it away, or give another name", foreign);
    if (empty || record) return 0;
    return qgm_fail(err, QGM_USAGE, "holds no %s, so it is not a run's: remove it yourself, or give another name",
                    qgm_record_files[JSONL]);
}

int qgm_record_check(const struct qgm_record *r, bool force, struct qgm_error *err)
{
    struct stat s;
    int result = 0;
    if (!r->out[0] || lstat(r->out, &s) < 0) return 0;
    if (!force)
        return qgm_fail(err, QGM_USAGE, "--out %s: exists; give another name, or --force to replace it", r->out);
    if (!S_ISDIR(s.st_mode))
        result = qgm_fail(err, QGM_USAGE, "is %s, not a run's folder: remove it yourself, or give another name",
                          S_ISLNK(s.st_mode) ? "a symbolic link" : "a file");
    else
        result = check_folder(r->out, err);
    return result < 0 ? qgm_fail_in(err, "--force: --out %s", r->out) : 0;
}

int qgm_record_name(struct qgm_record *r, const char *out, struct qgm_error *err)
{
    *r = (struct qgm_record){ .lock = -1 };
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--;
    if (!length) return 0;
    if (length >= sizeof r->out) return qgm_fail(err, QGM_USAGE, "--out: path too long");
    snprintf(r->out, sizeof r->out, "%.*s", (int)length, out);
    snprintf(r->part, sizeof r->part, "%s.part", r->out);
    return 0;
}

int qgm_record_open(struct qgm_record *r, const char *out, bool force, struct qgm_error *err)
{
    QGM_TRY(qgm_record_name(r, out, err));
    if (!r->out[0]) return 0;
    r->force = force;
    int result = qgm_record_check(r, force, err);
    if (result == 0 && (qgm_make_folder(r->part, err) < 0 || lock_folder(r, err) < 0))
        result = qgm_fail_in(err, "--out %s", r->out);
    if (result < 0) forget(r);
    return result;
}

static int begin_file(struct qgm_record *r, int i, const char *text, size_t size, struct qgm_error *err)
{
    char path[2 * QGM_TEXT];
    snprintf(path, sizeof path, "%s/%s", r->part, qgm_record_files[i]);
    r->file[i] = fopen(path, "w+");
    if (r->file[i] && fwrite(text, 1, size, r->file[i]) == size && fflush(r->file[i]) == 0) return 0;
    return qgm_fail(err, QGM_SYSTEM, "--out: cannot write %s: %s", path, strerror(errno));
}

int qgm_record_begin(struct qgm_record *r, char *const text[QGM_RECORD_FILES], const size_t size[QGM_RECORD_FILES],
                     struct qgm_error *err)
{
    if (!r->out[0]) return 0;
    if (!text) clear_folder(r->part, "*");
    for (int i = 0; i < QGM_RECORD_FILES; i++) QGM_TRY(begin_file(r, i, text ? text[i] : "", text ? size[i] : 0, err));
    for (size_t i = 0; !text && i < QGM_COUNT(columns); i++)
        fprintf(r->file[CSV], "%s%s", i ? "," : "", columns[i].name);
    if (!text) fprintf(r->file[CSV], "\n");
    return 0;
}

int qgm_record_read(struct qgm_record *r, int i, char **text, size_t *size, struct qgm_error *err)
{
    off_t end = fflush(r->file[i]) == 0 ? ftello(r->file[i]) : -1;
    *size = end > 0 ? (size_t)end : 0;
    *text = malloc(*size + 1);
    if (*text && end >= 0 && pread(fileno(r->file[i]), *text, *size, 0) == (ssize_t)*size) return 0;
    return qgm_fail(err, QGM_SYSTEM, "cannot read %s/%s back: %s", r->part, qgm_record_files[i], strerror(errno));
}

/* Every line reaches the file before the run goes on: a kill loses nothing that was shown. */
static int flushed(struct qgm_record *r, FILE *file, struct qgm_error *err)
{
    if (fflush(file) == 0 && !ferror(file)) return 0;
    return qgm_fail(err, QGM_SYSTEM, "cannot write to %s: %s", r->part, strerror(errno));
}

int qgm_record_object(struct qgm_record *r, json_t *object, struct qgm_error *err)
{
    int result = 0;
    if (r->out[0]) {
        json_dumpf(object, r->file[JSONL], JSON_COMPACT | JSON_REAL_PRECISION(17));
        fputc('\n', r->file[JSONL]);
        result = flushed(r, r->file[JSONL], err);
    }
    json_decref(object);
    return result;
}

int qgm_record_evaluation(struct qgm_record *r, const struct qgm_evaluation *e, struct qgm_error *err)
{
    if (!r->out[0]) return 0;
    json_t *object = json_pack("{s:s}", "record", "evaluation");
    for (size_t i = 0; i < QGM_COUNT(columns); i++) {
        json_object_set_new(object, columns[i].name, qgm_json_number(value(e, i)));
        fprintf(r->file[CSV], "%s%.*g", i ? "," : "", columns[i].digits, value(e, i));
    }
    fprintf(r->file[CSV], "\n");
    int result = flushed(r, r->file[CSV], err);
    return qgm_record_object(r, object, result < 0 ? NULL : err) < 0 ? -1 : result;
}

static int close_file(FILE **file)
{
    if (!*file) return 0;
    int bad = ferror(*file) | fflush(*file) | fsync(fileno(*file));
    bad |= fclose(*file);
    *file = NULL;
    return bad;
}

/* Give `part` its name. What has the name now goes only when the new folder is in its place. */
static int replace(struct qgm_record *r, struct qgm_error *err)
{
    char old[QGM_TEXT + 32] = "";
    if (qgm_record_check(r, r->force, err) < 0) { /* again: it may have come, or been filled, while the run went on */
        if (err) err->kind = QGM_SYSTEM;
        return -1;
    }
    if (access(r->out, F_OK) == 0) {
        snprintf(old, sizeof old, "%s.old-%ld", r->out, (long)getpid());
        if (rename(r->out, old) < 0)
            return qgm_fail(err, QGM_SYSTEM, "cannot rename %s to %s: %s", r->out, old, strerror(errno));
    }
    if (rename(r->part, r->out) < 0) {
        qgm_fail(err, QGM_SYSTEM, "cannot rename %s to %s: %s", r->part, r->out, strerror(errno));
        if (*old) rename(old, r->out);
        return -1;
    }
    if (*old) remove_folder(old);
    return 0;
}

int qgm_record_finish(struct qgm_record *r, struct qgm_error *err)
{
    if (!r->out[0]) return 0;
    int bad = 0;
    for (int i = 0; i < QGM_RECORD_FILES; i++) bad |= close_file(&r->file[i]);
    if (bad) return qgm_fail(err, QGM_SYSTEM, "cannot write %s: %s", r->part, strerror(errno));
    QGM_TRY(replace(r, err));
    clear_folder(r->out, "checkpoint-*");
    forget(r);
    return 0;
}

void qgm_record_abandon(struct qgm_record *r, bool keep)
{
    if (!r->out[0]) return;
    for (int i = 0; i < QGM_RECORD_FILES; i++) close_file(&r->file[i]);
    if (!keep) remove_folder(r->part);
    forget(r);
}

json_t *qgm_record_end(const struct qgm_record *r, uint64_t configuration)
{
    char path[QGM_TEXT + 16], digest[17], *line = NULL;
    size_t size = 0;
    json_t *first = NULL, *last = NULL;
    snprintf(path, sizeof path, "%s/%s", r->out, qgm_record_files[JSONL]);
    snprintf(digest, sizeof digest, "%016" PRIx64, configuration);
    FILE *f = r->out[0] ? fopen(path, "r") : NULL;
    while (f && getline(&line, &size, f) > 0) {
        json_decref(last);
        last = json_loads(line, 0, NULL);
        if (!first) first = json_incref(last);
    }
    if (f) fclose(f);
    free(line);
    const char *then = json_string_value(json_object_get(first, "configuration_digest"));
    const char *kind = json_string_value(json_object_get(last, "record"));
    bool ended = then && strcmp(then, digest) == 0 && kind && strcmp(kind, "end") == 0;
    json_decref(first);
    if (!ended) json_decref(last);
    return ended ? last : NULL;
}

void qgm_print_evaluation_head(FILE *to, const struct qgm_evaluation *e)
{
    fprintf(to, "%6s %8s %9s %8s %8s %8s %8s %8s", "epoch", "step", "lr", "loss", "mean %", "worst %", "best %",
            "avg mod%");
    if (!isnan(e->gossiped)) fprintf(to, " %8s", "gossip %");
    fprintf(to, " %10s %9s\n", "consensus", "images/s");
}

void qgm_print_evaluation(FILE *to, const struct qgm_evaluation *e)
{
    fprintf(to, "%6.2f %8.0f %9.4g %8.4f %8.2f %8.2f %8.2f %8.2f", e->epoch, e->step, e->lr, e->train_loss, e->mean,
            e->worst, e->best, e->average_model);
    if (!isnan(e->gossiped)) fprintf(to, " %8.2f", e->gossiped);
    fprintf(to, " %10.3e %9.0f\n", e->consensus, e->images_per_s);
    fflush(to);
}
