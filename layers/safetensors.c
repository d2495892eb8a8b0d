/* Writing and reading of safetensors files. SPDX-License-Identifier: MIT */
#include "safetensors.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the format is little endian"
#endif

enum { LARGEST_HEADER = 100000000 }; /* the format's own limit */

/* The model's tensors in file order: parameters, then buffers. */
struct entry {
    const struct qgm_tensor *tensor;
    float *at;
    const char *name; /* in the file that is read; NULL: a head that the file has not */
    json_t *value;
};

struct entries {
    struct entry *entry;
    int count;
};

static int open_entries(struct entries *e, const struct qgm_model *m, const float *params, const float *buffers,
                        struct qgm_error *err)
{
    int n = qgm_model_tensors(m), more = buffers ? qgm_model_buffer_tensors(m) : 0;
    *e = (struct entries){ .entry = calloc((size_t)(n + more), sizeof *e->entry), .count = n + more };
    if (!e->entry) return qgm_fail(err, QGM_SYSTEM, "cannot allocate memory for a list of tensors");
    for (int i = 0; i < n + more; i++) {
        const struct qgm_tensor *t = i < n ? qgm_model_tensor(m, i) : qgm_model_buffer_tensor(m, i - n);
        e->entry[i] =
            (struct entry){ .tensor = t, .name = t->name, .at = (float *)(i < n ? params : buffers) + t->offset };
    }
    return 0;
}

/* PyTorch's shape: the axes from torch_dims - 1 on are one. */
static int torch_shape(const struct qgm_tensor *t, size_t *shape)
{
    for (int d = 0; d < t->dims; d++) {
        size_t extent = (size_t)t->torch_shape[d];
        if (d < t->torch_dims)
            shape[d] = extent;
        else
            shape[t->torch_dims - 1] *= extent;
    }
    return t->torch_dims;
}

/* Copy between the flat vector and PyTorch's order of elements. */
static void transpose(const struct qgm_tensor *t, float *ours, float *theirs, bool to_theirs)
{
    size_t stride[4] = { 0 }, extent[4] = { 1, 1, 1, 1 };
    for (int d = 0; d < t->dims; d++) {
        int at = 4 - t->dims + d; /* right-aligned, so that the loops below do for any number of axes */
        extent[at] = (size_t)t->torch_shape[d];
        stride[at] = 1;
        for (int e = t->axes[d] + 1; e < t->dims; e++) stride[at] *= (size_t)t->shape[e];
    }
    for (size_t i = 0; i < extent[0]; i++)
        for (size_t j = 0; j < extent[1]; j++)
            for (size_t k = 0; k < extent[2]; k++)
                for (size_t l = 0; l < extent[3]; l++, theirs++) {
                    float *x = ours + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
                    if (to_theirs)
                        *theirs = *x;
                    else
                        *x = *theirs;
                }
}

static size_t largest(const struct entries *e)
{
    size_t most = 1;
    for (int i = 0; i < e->count; i++)
        if (e->entry[i].tensor->count > most) most = e->entry[i].tensor->count;
    return most;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */
static char *header_text(const struct entries *e)
{
    json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    size_t at = 0;
    for (int i = 0; root && i < e->count; i++) {
        const struct qgm_tensor *t = e->entry[i].tensor;
        size_t shape[4], bytes = t->count * sizeof(float);
        json_t *axes = json_array();
        for (int d = 0, dims = torch_shape(t, shape); d < dims; d++)
            json_array_append_new(axes, json_integer((json_int_t)shape[d]));
        json_t *one = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", axes, "data_offsets", (json_int_t)at,
                                (json_int_t)(at + bytes));
        json_object_set_new(root, t->name, one);
        at += bytes;
    }
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return text;
}

static bool write_all(FILE *f, const struct entries *e, const char *header, float *work)
{
    uint64_t length = (strlen(header) + 7) / 8 * 8; /* tensors start at a multiple of eight */
    bool good = fwrite(&length, sizeof length, 1, f) == 1 && fprintf(f, "%-*s", (int)length, header) == (int)length;
    for (int i = 0; good && i < e->count; i++) {
        const struct qgm_tensor *t = e->entry[i].tensor;
        transpose(t, e->entry[i].at, work, true);
        good = fwrite(work, sizeof *work, t->count, f) == t->count;
    }
    return good && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

static int save_entries(const char *path, const char *temporary, const struct entries *e, struct qgm_error *err)
{
    char *header = header_text(e);
    float *work = malloc(largest(e) * sizeof *work);
    FILE *f = header && work ? fopen(temporary, "wb") : NULL;
    int rc = -1;
    if (!header || !work)
        qgm_fail(err, QGM_SYSTEM, "%s: cannot allocate memory to write it", path);
    else if (!f)
        qgm_fail(err, QGM_SYSTEM, "%s: cannot create it: %s", temporary, strerror(errno));
    else {
        bool good = write_all(f, e, header, work);
        good = fclose(f) == 0 && good;
        rc = good && rename(temporary, path) == 0 ? 0 : -1;
        if (rc < 0) qgm_fail(err, QGM_SYSTEM, "%s: cannot write it: %s", path, strerror(errno));
        if (rc < 0) unlink(temporary);
    }
    free(header);
    free(work);
    return rc;
}

int qgm_safetensors_save(const char *path, const struct qgm_model *m, const float *params, const float *buffers,
                         struct qgm_error *err)
{
    struct entries e;
    char *temporary = NULL;
    QGM_TRY(open_entries(&e, m, params, buffers, err));
    int rc = asprintf(&temporary, "%s.partial", path) < 0
                 ? qgm_fail(err, QGM_SYSTEM, "%s: cannot allocate memory to write it", path)
                 : save_entries(path, temporary, &e, err);
    free(temporary);
    free(e.entry);
    return rc;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------
 */
struct file {
    const char *path;
    FILE *f;
    json_t *root;
    uint64_t start, data; /* where the tensors begin, and their bytes */
    struct qgm_error *err;
};

static int open_file(struct file *file)
{
    struct stat st;
    uint64_t length;
    file->f = fopen(file->path, "rb");
    if (!file->f || fstat(fileno(file->f), &st) < 0)
        return qgm_fail(file->err, QGM_INPUT, "%s: cannot open it: %s", file->path, strerror(errno));
    if (!S_ISREG(st.st_mode)) /* it is read in the order of the model, and its size tells whether it is whole */
        return qgm_fail(file->err, QGM_INPUT, "%s: a folder, pipe or device, expected a safetensors file", file->path);
    if (fread(&length, sizeof length, 1, file->f) != 1)
        return qgm_fail(file->err, QGM_INPUT, "%s: %lld bytes are too few for a safetensors file", file->path,
                        (long long)st.st_size);
    if (length > LARGEST_HEADER || length > (uint64_t)st.st_size - sizeof length)
        return qgm_fail(file->err, QGM_INPUT,
                        "%s: offset 0 says the header has %llu bytes, but the file has %lld: not a safetensors file, "
                        "or cut short",
                        file->path, (unsigned long long)length, (long long)st.st_size);
    char *text = malloc(length + 1);
    if (!text) return qgm_fail(file->err, QGM_SYSTEM, "%s: cannot allocate memory for its header", file->path);
    json_error_t where = { 0 };
    if (fread(text, 1, length, file->f) == length)
        file->root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!json_is_object(file->root))
        return qgm_fail(file->err, QGM_INPUT, "%s: offset %d: the header is not a JSON object: %s", file->path,
                        8 + (where.position > 0 ? where.position : 0), where.text);
    file->start = sizeof length + length;
    file->data = (uint64_t)st.st_size - file->start;
    return 0;
}

/* What a reader says about a file that fits but for its head. */
struct note {
    char *text;
    size_t size;
};

/* A tensor of the file: where its bytes are. */
struct range {
    const char *name;
    uint64_t from, to;
};

static int bad(const struct file *file, const char *name, const char *what)
{
    return qgm_fail(file->err, QGM_INPUT, "%s: tensor %s: %s", file->path, name, what);
}

static int read_range(const struct file *file, const char *name, json_t *value, struct range *range)
{
    json_t *offsets = json_object_get(value, "data_offsets");
    json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad(file, name, "data_offsets are not two whole numbers");
    json_int_t a = json_integer_value(from), z = json_integer_value(to);
    if (a < 0 || z < a || (uint64_t)z > file->data)
        return qgm_fail(file->err, QGM_INPUT,
                        "%s: tensor %s: bytes %lld to %lld are not within the %llu bytes of data: cut short?",
                        file->path, name, (long long)a, (long long)z, (unsigned long long)file->data);
    *range = (struct range){ .name = name, .from = (uint64_t)a, .to = (uint64_t)z };
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct range *p = a, *q = b;
    if (p->from != q->from) return p->from < q->from ? -1 : 1;
    return (p->to > q->to) - (p->to < q->to);
}

/* Every byte of data belongs to exactly one tensor. */
static int check_cover(const struct file *file, struct range *ranges, size_t count)
{
    uint64_t at = 0;
    qsort(ranges, count, sizeof *ranges, by_start);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].from < at) return bad(file, ranges[i].name, "its bytes overlap those of another tensor");
        if (ranges[i].from > at) return bad(file, ranges[i].name, "the bytes before it belong to no tensor");
        at = ranges[i].to;
    }
    if (at != file->data)
        return qgm_fail(file->err, QGM_INPUT, "%s: %llu bytes of data, but the tensors end at %llu", file->path,
                        (unsigned long long)file->data, (unsigned long long)at);
    return 0;
}

static int check_ranges(const struct file *file)
{
    size_t count = 0;
    struct range *ranges = calloc(json_object_size(file->root) + 1, sizeof *ranges);
    if (!ranges) return qgm_fail(file->err, QGM_SYSTEM, "%s: cannot allocate memory for its header", file->path);
    const char *name;
    json_t *value;
    int rc = 0;
    json_object_foreach(file->root, name, value)
    {
        if (rc < 0 || !strcmp(name, "__metadata__")) continue;
        rc = read_range(file, name, value, &ranges[count++]);
    }
    if (rc == 0) rc = check_cover(file, ranges, count);
    free(ranges);
    return rc;
}

static void shape_text(char *text, size_t size, const size_t *shape, int dims)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int d = 0; d < dims && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", d ? ", " : "", shape[d]);
    if (used < size) snprintf(text + used, size - used, "]");
}

static bool same_shape(const struct entry *e)
{
    size_t want[4];
    json_t *axes = json_object_get(e->value, "shape");
    int dims = torch_shape(e->tensor, want);
    bool same = json_is_array(axes) && json_array_size(axes) == (size_t)dims;
    for (int d = 0; same && d < dims; d++)
        same = json_integer_value(json_array_get(axes, (size_t)d)) == (json_int_t)want[d];
    return same;
}

static int bad_shape(const struct file *file, const struct entry *e)
{
    size_t want[4];
    const json_t *shape = json_object_get(e->value, "shape");
    char expected[100], *found = json_dumps(shape, JSON_COMPACT | JSON_ENCODE_ANY);
    shape_text(expected, sizeof expected, want, torch_shape(e->tensor, want));
    bool words =
        strstr(e->name, "word_embeddings") && json_integer_value(json_array_get(shape, 0)) != (json_int_t)*want;
    qgm_fail(file->err, QGM_INPUT, "%s: tensor %s: shape %.200s, expected %s%s", file->path, e->name,
             found ? found : "missing", expected,
             words ? ", a row a token: does the vocabulary belong to these weights?" : "");
    free(found);
    return -1;
}

/* One of the model's tensors: type, shape, bytes. */
static int check_tensor(const struct file *file, const struct entry *e)
{
    const char *type = json_string_value(json_object_get(e->value, "dtype"));
    if (!type || strcmp(type, "F32"))
        return qgm_fail(file->err, QGM_INPUT, "%s: tensor %s: type %s, expected F32%s", file->path, e->name,
                        type ? type : "missing",
                        type ? ": convert the file (in PyTorch, .float() of each tensor)" : "");
    if (!same_shape(e)) return bad_shape(file, e);
    struct range range;
    QGM_TRY(read_range(file, e->name, e->value, &range));
    if (range.to - range.from != e->tensor->count * sizeof(float))
        return bad(file, e->name, "its bytes do not match its shape");
    return 0;
}

static bool ends_in(const char *name, const char *tail)
{
    size_t n = strlen(name), m = strlen(tail);
    return n >= m && !strcmp(name + n - m, tail);
}

static bool begins_with_one_of(const char *name, const char *const *heads)
{
    for (; *heads; heads++)
        if (!strncmp(name, *heads, strlen(*heads))) return true;
    return false;
}

/* What another task leaves in a file: counters, positions that are no parameters, the heads of pretraining. */
static bool of_another_task(const char *name)
{
    static const char *const heads[] = { "cls.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.", NULL };
    return ends_in(name, "embeddings.position_ids") || begins_with_one_of(name, heads);
}

static bool known(const struct entries *e, const char *name)
{
    for (int i = 0; i < e->count; i++)
        if (e->entry[i].name && !strcmp(e->entry[i].name, name)) return true;
    return false;
}

static void add_note(struct note *note, const char *what, const char *name)
{
    size_t used = strlen(note->text);
    if (used < note->size) snprintf(note->text + used, note->size - used, "%s%s %s", used ? ", " : "", what, name);
}

/* Tensors of the file that the model has not; statistics are no surprise when only parameters were asked for. */
static int check_extra(const struct file *file, const struct entries *e, const struct qgm_model *m, struct note *note)
{
    const char *name;
    json_t *value;
    json_object_foreach(file->root, name, value)
    {
        if (!strcmp(name, "__metadata__") || known(e, name) || ends_in(name, "num_batches_tracked")) continue;
        if (note && of_another_task(name)) {
            add_note(note, "left out", name);
            continue;
        }
        bool expected = false;
        for (int i = 0; i < qgm_model_buffer_tensors(m); i++)
            expected = expected || !strcmp(qgm_model_buffer_tensor(m, i)->name, name);
        for (int i = 0; i < e->count; i++) expected = expected || (!e->entry[i].name && e->entry[i].value == value);
        if (!expected) return bad(file, name, "the file has it, the model has not");
    }
    return 0;
}

/* Its name in the file. Encoders saved by themselves have none with "bert." in front; files of TensorFlow's time call
 * weight and bias of a layer norm gamma and beta. */
static void find_tensor(const struct file *file, struct entry *e, bool pretrained)
{
    static const char *const roots[] = { "", "bert.", "distilbert." };
    static const char *const ends[][2] = { { "", "" },
                                           { "LayerNorm.weight", "LayerNorm.gamma" },
                                           { "LayerNorm.bias", "LayerNorm.beta" } };
    const size_t others = pretrained ? QGM_COUNT(roots) * QGM_COUNT(ends) : 1;
    const char *ours = e->name;
    for (size_t i = 0; i < others && !e->value; i++) {
        const char *root = roots[i / QGM_COUNT(ends)], *const *end = ends[i % QGM_COUNT(ends)];
        char name[300];
        if (strncmp(ours, root, strlen(root)) || !ends_in(ours, end[0])) continue;
        snprintf(name, sizeof name, "%.*s%s", (int)(strlen(ours) - strlen(root) - strlen(end[0])), ours + strlen(root),
                 end[1]);
        void *at = json_object_iter_at(file->root, name);
        if (!at) continue;
        e->name = json_object_iter_key(at);
        e->value = json_object_iter_value(at);
    }
}

/* Tensors that belong to the task, not to what was learnt before it. */
static bool is_head(const char *name)
{
    static const char *const heads[] = { "classifier.", "pre_classifier.", "fc.", "bert.pooler.", "pooler.", NULL };
    return begins_with_one_of(name, heads);
}

/* note NULL: exactly this model's. */
static int check_entries(const struct file *file, struct entries *e, const struct qgm_model *m, struct note *note)
{
    for (int i = 0; i < e->count; i++) {
        struct entry *one = &e->entry[i];
        find_tensor(file, one, note != NULL);
        if (note && is_head(one->name) && !(one->value && same_shape(one))) {
            add_note(note, "fresh", one->name);
            one->name = NULL;
        } else if (!one->value)
            return bad(file, one->name, "the model has it, the file has not");
        else
            QGM_TRY(check_tensor(file, one));
    }
    return check_extra(file, e, m, note);
}

static int read_tensors(const struct file *file, const struct entries *e)
{
    float *work = malloc(largest(e) * sizeof *work);
    if (!work) return qgm_fail(file->err, QGM_SYSTEM, "%s: cannot allocate memory to read it", file->path);
    int rc = 0;
    for (int i = 0; rc == 0 && i < e->count; i++) {
        const struct entry *one = &e->entry[i];
        struct range range;
        if (!one->name) continue;
        rc = read_range(file, one->name, one->value, &range);
        if (rc < 0) break;
        if (fseeko(file->f, (off_t)(file->start + range.from), SEEK_SET) < 0 ||
            fread(work, sizeof *work, one->tensor->count, file->f) != one->tensor->count)
            rc = bad(file, one->name, "cannot read its bytes");
        else
            transpose(one->tensor, one->at, work, false);
    }
    free(work);
    return rc;
}

static int load_entries(struct file *file, struct entries *e, const struct qgm_model *m, float *params,
                        struct note *note)
{
    QGM_TRY(open_file(file));
    QGM_TRY(check_ranges(file));
    QGM_TRY(check_entries(file, e, m, note));
    if (!note) memset(params, 0, qgm_model_size(m) * sizeof *params);
    return read_tensors(file, e);
}

static int load(const char *path, const struct qgm_model *m, float *params, float *buffers, struct note *note,
                struct qgm_error *err)
{
    struct file file = { .path = path, .err = err };
    struct entries e;
    QGM_TRY(open_entries(&e, m, params, buffers, err));
    int rc = load_entries(&file, &e, m, params, note);
    json_decref(file.root);
    if (file.f) fclose(file.f);
    free(e.entry);
    return rc;
}

int qgm_safetensors_load(const char *path, const struct qgm_model *m, float *params, float *buffers,
                         struct qgm_error *err)
{
    return load(path, m, params, buffers, NULL, err);
}

int qgm_safetensors_pretrained(const char *path, const struct qgm_model *m, float *params, float *buffers, char *note,
                               size_t size, struct qgm_error *err)
{
    struct note text = { note, size };
    if (size) *note = 0;
    return load(path, m, params, buffers, &text, err);
}
