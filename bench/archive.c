/* Checksummed safetensors files. SPDX-License-Identifier: MIT */
#include "archive.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the format is little endian"
#endif

enum { LARGEST_HEADER = 100000000 /* the format's own limit */, CHUNK = 1 << 16 };
static const char checksums[] = "checksums";

static size_t size_of(const char *type) { return !strcmp(type, "U8") ? 1 : !strcmp(type, "F32") ? 4 : 8; }
size_t qgm_array_bytes(const struct qgm_array *array) { return array->count * size_of(array->type); }

/* ---- Writing ---- */

static void add_array(json_t *root, const char *name, const char *type, size_t count, uint64_t *at)
{
    uint64_t end = *at + count * size_of(type);
    json_object_set_new(root, name,
                        json_pack("{s:s, s:[I], s:[I, I]}", "dtype", type, "shape", (json_int_t)count, "data_offsets",
                                  (json_int_t)*at, (json_int_t)end));
    *at = end;
}

/* Padded with blanks to a multiple of eight, as the format asks. */
static char *header_text(const json_t *metadata, const struct qgm_array *arrays, int count)
{
    json_t *root = json_object();
    uint64_t at = 0;
    json_object_set(root, "__metadata__", (json_t *)(uintptr_t)metadata);
    for (int i = 0; i < count; i++) add_array(root, arrays[i].name, arrays[i].type, arrays[i].count, &at);
    add_array(root, checksums, "U64", (size_t)count + 1, &at);
    char *text = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER), *padded = NULL;
    json_decref(root);
    if (text && asprintf(&padded, "%-*s", (int)((strlen(text) + 7) / 8 * 8), text) < 0) padded = NULL;
    free(text);
    return padded;
}

static int put(FILE *f, const void *bytes, size_t size, uint64_t *checksum)
{
    *checksum = XXH3_64bits(bytes, size);
    return size == 0 || fwrite(bytes, size, 1, f) == 1 ? 0 : -1;
}

/* The sums come last because arrays may come from elsewhere, one after the other. */
static int write_all(FILE *f, const char *header, const struct qgm_array *arrays, int count, qgm_array_source *source,
                     void *user, struct qgm_error *err)
{
    uint64_t length = strlen(header), *sums = calloc((size_t)count + 1, sizeof *sums);
    if (!sums) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int result = fwrite(&length, sizeof length, 1, f) == 1 ? put(f, header, length, &sums[0]) : -1;
    for (int i = 0; i < count; i++) { /* to the end even so: whoever sends the arrays must not wait */
        const void *bytes = source ? source(user, i, err) : arrays[i].at;
        if (!bytes && arrays[i].count) {
            free(sums);
            return -1;
        }
        if (result == 0) result = put(f, bytes, qgm_array_bytes(&arrays[i]), &sums[i + 1]);
    }
    if (result == 0 && fwrite(sums, sizeof *sums, (size_t)count + 1, f) != (size_t)count + 1) result = -1;
    if (result == 0 && (fflush(f) || fsync(fileno(f)))) result = -1;
    free(sums);
    return result < 0 ? qgm_fail(err, QGM_SYSTEM, "cannot write it: %s", strerror(errno)) : 0;
}

/* A rename is safe only once the folder that says so is. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY) : -1, result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    free(folder);
    return result;
}

int qgm_archive_write(const char *path, const json_t *metadata, const struct qgm_array *arrays, int count,
                      qgm_array_source *source, void *user, struct qgm_error *err)
{
    char *header = header_text(metadata, arrays, count), *temporary = NULL;
    int result = -1;
    if (!header || asprintf(&temporary, "%s.partial", path) < 0) {
        free(header);
        return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    }
    FILE *f = fopen(temporary, "wb");
    if (!f)
        qgm_fail(err, QGM_SYSTEM, "cannot create it: %s", strerror(errno));
    else {
        result = write_all(f, header, arrays, count, source, user, err);
        if (fclose(f) && result == 0) result = qgm_fail(err, QGM_SYSTEM, "cannot write it: %s", strerror(errno));
        if (result == 0 && (rename(temporary, path) < 0 || sync_folder(path) < 0))
            result = qgm_fail(err, QGM_SYSTEM, "cannot rename it: %s", strerror(errno));
        if (result < 0) unlink(temporary);
    }
    free(header);
    free(temporary);
    return result < 0 ? qgm_fail_in(err, "%s", path) : 0;
}

/* ---- Reading ---- */

static int damaged(struct qgm_error *err, const char *what)
{
    return qgm_fail(err, QGM_INPUT, "%s: damaged, or not a file of this program", what);
}

static int read_header(struct qgm_archive *a, uint64_t *checksum, struct qgm_error *err)
{
    struct stat s;
    uint64_t length = 0;
    if (fstat(fileno(a->file), &s) < 0 || !S_ISREG(s.st_mode)) return qgm_fail(err, QGM_INPUT, "not a regular file");
    if (fread(&length, sizeof length, 1, a->file) != 1 || length > LARGEST_HEADER ||
        length > (uint64_t)s.st_size - sizeof length)
        return qgm_fail(err, QGM_INPUT,
                        "%lld bytes that do not begin with the length of a header: cut short, or not a "
                        "safetensors file",
                        (long long)s.st_size);
    char *text = malloc(length + 1);
    if (!text) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    json_error_t where = { 0 };
    if (fread(text, 1, length, a->file) == length) a->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    *checksum = XXH3_64bits(text, length);
    free(text);
    a->start = sizeof length + length;
    a->bytes = (uint64_t)s.st_size - a->start;
    return json_is_object(a->header) ? 0 : damaged(err, "the header");
}

struct range {
    const char *type;
    uint64_t from, bytes;
};

static bool range_of(const struct qgm_archive *a, const json_t *value, struct range *r)
{
    const json_t *offsets = json_object_get(value, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    r->type = json_string_value(json_object_get(value, "dtype"));
    if (!r->type || !json_is_integer(from) || !json_is_integer(to)) return false;
    json_int_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin || (uint64_t)end > a->bytes) return false;
    r->from = (uint64_t)begin;
    r->bytes = (uint64_t)(end - begin);
    return true;
}

static bool sum_range(struct qgm_archive *a, const struct range *r, uint64_t *sum)
{
    static char chunk[CHUNK];
    XXH3_state_t *state = XXH3_createState();
    bool good = state && fseeko(a->file, (off_t)(a->start + r->from), SEEK_SET) == 0;
    if (state) XXH3_64bits_reset(state);
    for (uint64_t left = r->bytes; good && left;) {
        size_t n = left < sizeof chunk ? (size_t)left : sizeof chunk;
        good = fread(chunk, 1, n, a->file) == n;
        XXH3_64bits_update(state, chunk, n);
        left -= n;
    }
    *sum = state ? XXH3_64bits_digest(state) : 0;
    XXH3_freeState(state);
    return good;
}

/* Arrays follow one another without gaps, in the order of the header, the sums last: so every byte is covered. */
static int check_sums(struct qgm_archive *a, const uint64_t *sums, size_t count, struct qgm_error *err)
{
    const char *name;
    json_t *value;
    uint64_t at = 0, sum;
    size_t i = 1;
    json_object_foreach(a->header, name, value)
    {
        struct range r;
        if (!strcmp(name, "__metadata__")) continue;
        if (!range_of(a, value, &r) || r.from != at) return damaged(err, name);
        at += r.bytes;
        if (!strcmp(name, checksums)) continue;
        if (i >= count || !sum_range(a, &r, &sum) || sum != sums[i++])
            return qgm_fail(err, QGM_INPUT, "array %s: damaged: its checksum is another", name);
    }
    return at == a->bytes && i == count ? 0 : damaged(err, "the end of the file");
}

static int check(struct qgm_archive *a, struct qgm_error *err)
{
    uint64_t head;
    QGM_TRY(read_header(a, &head, err));
    struct range r = { 0 };
    if (!range_of(a, json_object_get(a->header, checksums), &r) || r.bytes % 8 || r.bytes < 8 ||
        r.from + r.bytes != a->bytes)
        return qgm_fail(err, QGM_INPUT, "its last array is not 'checksums': cut short, or not a file of this program");
    uint64_t *sums = malloc(r.bytes);
    if (!sums) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int result;
    if (fseeko(a->file, (off_t)(a->start + r.from), SEEK_SET) < 0 || fread(sums, 1, r.bytes, a->file) != r.bytes)
        result = qgm_fail(err, QGM_INPUT, "cannot read its checksums");
    else if (sums[0] != head)
        result = damaged(err, "the header");
    else
        result = check_sums(a, sums, r.bytes / 8, err);
    free(sums);
    return result;
}

int qgm_archive_open(struct qgm_archive *a, const char *path, struct qgm_error *err)
{
    *a = (struct qgm_archive){ .path = path, .file = fopen(path, "rb") };
    if (!a->file) return qgm_fail(err, QGM_INPUT, "%s: cannot open it: %s", path, strerror(errno));
    if (check(a, err) == 0) return 0;
    qgm_archive_close(a);
    return qgm_fail_in(err, "%s", path);
}

void qgm_archive_close(struct qgm_archive *a)
{
    if (a->file) fclose(a->file);
    json_decref(a->header);
    *a = (struct qgm_archive){ 0 };
}

const char *qgm_archive_text(const struct qgm_archive *a, const char *key)
{
    return json_string_value(json_object_get(json_object_get(a->header, "__metadata__"), key));
}

long long qgm_archive_bytes(const struct qgm_archive *a, const char *name)
{
    struct range r;
    return range_of(a, json_object_get(a->header, name), &r) ? (long long)r.bytes : -1;
}

int qgm_archive_read(struct qgm_archive *a, const struct qgm_array *array, void *to, struct qgm_error *err)
{
    struct range r;
    size_t bytes = qgm_array_bytes(array);
    if (!range_of(a, json_object_get(a->header, array->name), &r))
        return qgm_fail(err, QGM_INPUT, "%s: has no array %s", a->path, array->name);
    if (strcmp(r.type, array->type) != 0 || r.bytes != bytes)
        return qgm_fail(err, QGM_INPUT, "%s: array %s: %llu bytes of %s, expected %zu of %s", a->path, array->name,
                        (unsigned long long)r.bytes, r.type, bytes, array->type);
    if (bytes && (fseeko(a->file, (off_t)(a->start + r.from), SEEK_SET) < 0 || fread(to, bytes, 1, a->file) != 1))
        return qgm_fail(err, QGM_INPUT, "%s: cannot read array %s", a->path, array->name);
    return 0;
}
