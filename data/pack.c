/* The packed cache of an image folder: header, index, sums, labels, names, pixels, names. SPDX-License-Identifier: MIT
 */
#include "listing.h"
#include "ordered.h"
#include "reader.h"
#include "resample.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* Everything in the byte order of the machine: a cache is not made to travel. The offsets are from the file's start. */
struct header {
    char magic[8];
    uint64_t key, bytes;
    uint64_t n, train, classes, size, skipped;
    uint64_t sums_at, labels_at, names_at, pixels_at; /* struct qgm_stored begin behind the header */
    uint64_t skipped_at;                              /* the names of files that were left out, up to the end */
    uint64_t skipped_sum, index_sum; /* XXH3 of these, and of all before pixels_at; an image's is at sums_at */
};
static const char magic[8] = "QGMpack2";

/* Opening reads the index, not the pixels, which of ImageNet would take minutes: an image is compared with its sum when
 * it is first read. */
struct qgm_pack {
    const struct header *map;
    char *path;
    const char **names; /* of classes, NULL, of files that were left out, NULL */
    char *known;        /* [image]: compared, by whichever thread came first */
    long damaged;       /* an image that is not as it was written, from 1; 0: none was met */
};

/* ---- Reading ---- */

/* Nothing in a file is believed: sums find accidents, the comparisons keep a wrong number from leading outside. */
static bool is_whole(const struct header *h, size_t bytes, uint64_t key)
{
    if (bytes < sizeof *h || memcmp(h->magic, magic, sizeof magic) || h->key != key || h->bytes != bytes) return false;
    uint64_t index = sizeof *h + h->n * sizeof(struct qgm_stored);
    bool fits = h->n < UINT32_MAX && h->train <= h->n && h->train && h->train < h->n && h->classes <= UINT32_MAX &&
                h->size && h->size <= 4096 && index <= h->sums_at && h->sums_at % sizeof(uint64_t) == 0 &&
                h->sums_at + h->n * sizeof(uint64_t) <= h->labels_at && h->labels_at % sizeof(int32_t) == 0 &&
                h->labels_at + h->n * sizeof(int32_t) <= h->names_at && h->names_at <= h->pixels_at &&
                h->sums_at <= bytes && h->labels_at <= bytes && h->pixels_at <= h->skipped_at && h->skipped_at <= bytes;
    if (!fits) return false;
    const char *start = (const char *)h;
    struct header blank = *h;
    blank.index_sum = 0;
    uint64_t seed = XXH3_64bits(&blank, sizeof blank);
    return XXH3_64bits(start + h->skipped_at, bytes - h->skipped_at) == h->skipped_sum &&
           XXH3_64bits_withSeed(start + sizeof *h, h->pixels_at - sizeof *h, seed) == h->index_sum;
}

static uint64_t count_names(const struct header *h, uint64_t from, uint64_t to)
{
    uint64_t names = 0;
    for (; from < to; from++) names += !((const char *)h)[from];
    return names;
}

static bool examples_fit(const struct header *h)
{
    const struct qgm_stored *stored = (const void *)(h + 1);
    const int32_t *label = (const void *)((const char *)h + h->labels_at);
    uint64_t room = h->skipped_at - h->pixels_at, used = 0;
    for (uint64_t i = 0; i < h->n; i++) {
        if (stored[i].h < 1 || stored[i].w < 1 || stored[i].h > 65535 || stored[i].w > 65535) return false;
        uint64_t size = (uint64_t)stored[i].h * stored[i].w * 3;
        if (stored[i].at != used || size > room - used || label[i] < 0 || (uint64_t)label[i] >= h->classes)
            return false;
        if (i >= h->train && (stored[i].h != h->size || stored[i].w != h->size)) return false;
        used += size;
    }
    return count_names(h, h->names_at, h->pixels_at) == h->classes &&
           count_names(h, h->skipped_at, h->bytes) == h->skipped;
}

/* Training images that are all of the size wanted need no index. */
static bool all_square(const struct header *h, const struct qgm_stored *stored)
{
    for (uint64_t i = 0; i < h->train; i++)
        if (stored[i].h != h->size || stored[i].w != h->size) return false;
    return true;
}

static void use(struct qgm_dataset *d, const struct header *h)
{
    const char *start = (const char *)h, *at = start + h->names_at;
    const struct qgm_stored *stored = (const void *)(h + 1);
    const uint8_t *pixels = (const uint8_t *)start + h->pixels_at;
    const char **names = d->pack->names;
    for (uint64_t c = 0; c < h->classes; c++, at += strlen(at) + 1) names[c] = at;
    d->class_names = names;
    at = start + h->skipped_at;
    for (uint64_t i = 0; i < h->skipped; i++, at += strlen(at) + 1) names[h->classes + 1 + i] = at;
    if (h->skipped) d->skipped_names = names + h->classes + 1;
    d->skipped = (long)h->skipped;
    struct qgm_examples all = { .n = (long)h->train,
                                .h = (int)h->size,
                                .w = (int)h->size,
                                .c = 3,
                                .classes = (int)h->classes,
                                .labels = (const void *)(start + h->labels_at),
                                .pixels = pixels,
                                .stored = all_square(h, stored) ? NULL : stored };
    d->train = all;
    d->test = all;
    d->test.n = (long)(h->n - h->train);
    d->test.labels += h->train;
    d->test.pixels += stored[h->train].at;
    d->test.stored = NULL;
}

static int open_pack(struct qgm_pack **pack, const char *path, const struct header *h, struct qgm_error *err)
{
    struct qgm_pack *p = *pack = calloc(1, sizeof *p);
    if (p) {
        p->map = h;
        p->path = strdup(path);
        p->names = calloc((size_t)h->classes + (size_t)h->skipped + 2, sizeof *p->names);
        p->known = calloc((size_t)h->n, 1);
    }
    return p && p->path && p->names && p->known ? 0 : qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
}

/* 1: mapped; 0: not there, damaged or of something else; -1: error. */
static int map(struct qgm_dataset *d, const char *path, uint64_t key, struct qgm_error *err)
{
    struct stat s;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    size_t bytes = fstat(file, &s) == 0 ? (size_t)s.st_size : 0;
    void *at = bytes ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    close(file);
    if (at == MAP_FAILED) return 0;
    if (!is_whole(at, bytes, key) || !examples_fit(at)) {
        munmap(at, bytes);
        return 0;
    }
    if (open_pack(&d->pack, path, at, err) < 0) {
        if (!d->pack) munmap(at, bytes); /* else closing does */
        return -1;
    }
    use(d, at);
    return 1;
}

/* Relaxed: two threads that meet one image both compare it, and find the same. */
void qgm_pack_compare(const struct qgm_dataset *d, const int32_t *label)
{
    struct qgm_pack *p = d->pack;
    const char *start = (const char *)p->map;
    long i = label - (const int32_t *)(const void *)(start + p->map->labels_at);
    if (__atomic_load_n(&p->known[i], __ATOMIC_RELAXED)) return;
    struct qgm_stored s = ((const struct qgm_stored *)(const void *)(p->map + 1))[i];
    uint64_t sum = ((const uint64_t *)(const void *)(start + p->map->sums_at))[i];
    if (XXH3_64bits(start + p->map->pixels_at + s.at, (size_t)s.h * s.w * 3) == sum)
        __atomic_store_n(&p->known[i], 1, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&p->damaged, i + 1, __ATOMIC_RELAXED);
}

long qgm_dataset_damaged(const struct qgm_dataset *d)
{
    return d->pack ? __atomic_load_n(&d->pack->damaged, __ATOMIC_RELAXED) : 0;
}

int qgm_dataset_fail_damaged(const struct qgm_dataset *d, long example, struct qgm_error *err)
{
    long i = example - 1;
    bool train = i < d->train.n;
    const struct qgm_examples *from = train ? &d->train : &d->test;
    long at = train ? i : i - d->train.n;
    return qgm_fail(err, QGM_INPUT,
                    "%s: the pixels of %s image %ld of %ld (class '%s') are not those that were written: the disk or "
                    "something else has damaged the file: delete it, and the next run packs the images anew",
                    d->pack->path, train ? "training" : "test", at + 1, from->n, d->class_names[from->labels[at]]);
}

void qgm_pack_close(struct qgm_dataset *d)
{
    if (!d->pack) return;
    munmap((void *)d->pack->map, d->pack->map->bytes);
    free(d->pack->path);
    free(d->pack->names);
    free(d->pack->known);
    free(d->pack);
    d->pack = NULL;
    d->train = d->test = (struct qgm_examples){ 0 };
    d->class_names = d->skipped_names = NULL;
}

/* ---- Writing ---- */

struct builder {
    const struct qgm_listing *listing;
    const struct qgm_pack_config *config;
    const char *path;
    FILE *file;
    struct header head;
    char *index; /* what is between the header and the pixels */
    FILE *names; /* of the files that are left out, */
    char *skipped;
    size_t skipped_size;
    uint64_t at; /* of the next pixels, behind pixels_at */
};
struct slot {
    struct qgm_picture picture;
    struct qgm_error err;
    bool failed;
};

static void decode(void *user, long i, void *to)
{
    struct builder *b = user;
    struct slot *s = to;
    const char *path = b->listing->text + b->listing->file[i].path;
    enum qgm_keep keep = i < b->listing->train ? QGM_KEEP_SHAPE : QGM_KEEP_MIDDLE;
    s->failed = qgm_read_jpeg(path, b->config->size, keep, &s->picture, &s->err) < 0;
}

static void drop(void *user, void *from)
{
    (void)user;
    free(((struct slot *)from)->picture.pixels);
}

static int write_failed(const struct builder *b, struct qgm_error *err)
{
    return qgm_fail(err, QGM_SYSTEM, "cannot write the cache %s: %s (cache=DIR names another folder)", b->path,
                    strerror(errno));
}

static int skip(struct builder *b, long i, struct qgm_error *err)
{
    const char *name = b->listing->text + b->listing->file[i].path + strlen(b->config->root);
    name += strspn(name, "/");
    b->head.skipped++;
    return fwrite(name, strlen(name) + 1, 1, b->names) == 1 ? 0
                                                            : qgm_fail(err, QGM_SYSTEM, "%s: out of memory", b->path);
}

/* An entry of the next image, in the table that begins at `table`. */
static void put(struct builder *b, uint64_t table, const void *entry, size_t size)
{
    memcpy(b->index + (table - sizeof b->head) + b->head.n * size, entry, size);
}

static int append(void *user, long i, void *from, struct qgm_error *err)
{
    struct builder *b = user;
    struct slot *s = from;
    if (s->failed && s->err.kind == QGM_INPUT && b->config->skip) return skip(b, i, err);
    if (s->failed) {
        *err = s->err;
        return err->kind == QGM_INPUT && strstr(err->text, "skip=1") == NULL
                   ? qgm_fail_in(err, "to leave out damaged files, say skip=1")
                   : -1;
    }
    size_t bytes = (size_t)s->picture.h * (size_t)s->picture.w * 3;
    bool good = fwrite(s->picture.pixels, 1, bytes, b->file) == bytes;
    struct qgm_stored stored = { .at = b->at, .h = (uint32_t)s->picture.h, .w = (uint32_t)s->picture.w };
    uint64_t sum = XXH3_64bits(s->picture.pixels, bytes);
    drop(b, s);
    if (!good) return write_failed(b, err);
    b->at += bytes;
    put(b, sizeof b->head, &stored, sizeof stored);
    put(b, b->head.sums_at, &sum, sizeof sum);
    put(b, b->head.labels_at, &b->listing->file[i].label, sizeof(int32_t));
    b->head.n++;
    b->head.train += i < b->listing->train;
    return 0;
}

/* Index, sums and labels have room for every file of the listing; after skipping, some of it stays empty. */
static int plan(struct builder *b, uint64_t key, struct qgm_error *err)
{
    const struct qgm_listing *l = b->listing;
    struct header *h = &b->head;
    uint64_t files = (uint64_t)l->n, names = 0;
    for (int c = 0; c < l->classes; c++) names += strlen(l->text + l->class_name[c]) + 1;
    memcpy(h->magic, magic, sizeof magic);
    h->key = key;
    h->classes = (uint64_t)l->classes;
    h->size = (uint64_t)b->config->size;
    h->sums_at = sizeof *h + files * sizeof(struct qgm_stored);
    h->labels_at = h->sums_at + files * sizeof(uint64_t);
    h->names_at = h->labels_at + files * sizeof(int32_t);
    h->pixels_at = h->names_at + names;
    b->index = calloc(h->pixels_at - sizeof *h, 1);
    b->names = open_memstream(&b->skipped, &b->skipped_size);
    if (!b->index || !b->names) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", b->path);
    char *at = b->index + (h->names_at - sizeof *h);
    for (int c = 0; c < l->classes; c++) at = stpcpy(at, l->text + l->class_name[c]) + 1;
    return 0;
}

static int fill(struct builder *b, struct qgm_error *err)
{
    struct header *h = &b->head;
    struct qgm_ordered work = { .n = b->listing->n,
                                .workers = b->config->workers,
                                .slot_size = sizeof(struct slot),
                                .user = b,
                                .work = decode,
                                .take = append,
                                .drop = drop };
    if (fseeko(b->file, (off_t)h->pixels_at, SEEK_SET) < 0) return write_failed(b, err);
    QGM_TRY(qgm_ordered_run(&work, err));
    if (!h->train || h->train == h->n)
        return qgm_fail(err, QGM_INPUT, "%s: every image of %s is damaged", b->config->root,
                        h->train ? "val" : "train");
    if (fflush(b->names) != 0) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", b->path);
    h->skipped_at = h->pixels_at + b->at;
    h->skipped_sum = XXH3_64bits(b->skipped, b->skipped_size);
    h->bytes = h->skipped_at + b->skipped_size;
    h->index_sum = XXH3_64bits_withSeed(b->index, h->pixels_at - sizeof *h, XXH3_64bits(h, sizeof *h));
    bool good = fwrite(b->skipped, 1, b->skipped_size, b->file) == b->skipped_size &&
                fseeko(b->file, 0, SEEK_SET) == 0 && fwrite(h, sizeof *h, 1, b->file) == 1 &&
                fwrite(b->index, h->pixels_at - sizeof *h, 1, b->file) == 1 && fflush(b->file) == 0 &&
                fsync(fileno(b->file)) == 0;
    return good ? 0 : write_failed(b, err);
}

static void wait_for(int file)
{
    while (flock(file, LOCK_EX) < 0 && errno == EINTR) continue;
}

/* What is built has a name of its own, whoever builds the same cache at the same time, on whatever machine, and is
 * locked while its builder lives; the machine is in the name, since the locks of some shared folders end at it. */
static void name_machine(char machine[65])
{
    if (gethostname(machine, 65) < 0) *machine = 0;
    machine[64] = 0;
}

/* Locked before somebody has taken it for an orphan, and removed it. part ends in XXXXXX. */
static int create_part(char *part)
{
    struct stat s = { .st_nlink = 1 };
    int file = -1;
    do {
        if (file >= 0) close(file);
        memset(part + strlen(part) - 6, 'X', 6);
        file = mkostemp(part, O_CLOEXEC);
        if (file >= 0) wait_for(file);
    } while (file >= 0 && fstat(file, &s) == 0 && s.st_nlink == 0);
    return file;
}

/* Readable for whom a file of fopen would be. */
static FILE *open_part(char *part)
{
    mode_t mask = umask(0);
    umask(mask);
    int file = create_part(part);
    if (file < 0) return NULL;
    FILE *f = fchmod(file, 0666 & ~mask) == 0 ? fdopen(file, "wb") : NULL;
    if (f) return f;
    int reason = errno;
    close(file);
    unlink(part);
    errno = reason;
    return NULL;
}

/* Parts of this and other caches in the folder, whose builders were killed here: a lock goes with its process. */
static void remove_orphans(const char *path, const char *machine)
{
    char folder[QGM_PATH], middle[80];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(middle, sizeof middle, ".pack.%s.", machine);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *ending = strstr(e->d_name, middle);
        if (!ending || strlen(ending) != strlen(middle) + 6) continue;
        int file = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (file < 0) continue;
        if (flock(file, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(dir), e->d_name, 0);
        close(file);
    }
    if (dir) closedir(dir);
}

static int build(const char *path, const struct qgm_listing *listing, const struct qgm_pack_config *config,
                 uint64_t key, struct qgm_error *err)
{
    char machine[65], part[QGM_PATH + 80];
    name_machine(machine);
    snprintf(part, sizeof part, "%s.%s.XXXXXX", path, machine);
    remove_orphans(path, machine);
    struct builder b = { .listing = listing, .config = config, .path = path };
    int result = plan(&b, key, err);
    if (result == 0 && !(b.file = open_part(part))) result = write_failed(&b, err);
    if (result == 0) result = fill(&b, err);
    if (b.file && fclose(b.file) != 0 && result == 0) result = write_failed(&b, err);
    if (result == 0 && rename(part, path) < 0) result = write_failed(&b, err);
    if (result < 0 && b.file) unlink(part);
    if (b.names) fclose(b.names);
    free(b.skipped);
    free(b.index);
    return result;
}

/* ---- Where it is ---- */

static int make_folder(const char *path, struct qgm_error *err)
{
    char part[QGM_PATH];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1;; slash++) {
        slash += strcspn(slash, "/");
        char end = *slash;
        *slash = 0;
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return qgm_fail(err, QGM_SYSTEM, "cannot make the folder of caches %s: %s (cache=DIR names another)", part,
                            strerror(errno));
        if (!(*slash = end)) return 0;
    }
}

static int cache_path(char path[QGM_PATH], const struct qgm_pack_config *config, uint64_t key, struct qgm_error *err)
{
    static const struct {
        const char *variable, *below;
    } places[] = { { "QGM_CACHE", "" }, { "XDG_CACHE_HOME", "/qgm" }, { "HOME", "/.cache/qgm" } };
    char folder[QGM_PATH] = "";
    if (*config->cache) snprintf(folder, sizeof folder, "%s", config->cache);
    for (size_t i = 0; i < QGM_COUNT(places) && !*folder; i++) {
        const char *value = getenv(places[i].variable);
        if (value && *value) snprintf(folder, sizeof folder, "%s%s", value, places[i].below);
    }
    if (!*folder) return qgm_fail(err, QGM_USAGE, "no place for a cache of decoded images: name one with cache=DIR");
    QGM_TRY(make_folder(folder, err));
    char *root = realpath(config->root, NULL); /* "." would be no name */
    if (!root) return qgm_fail(err, QGM_INPUT, "%s: %s", config->root, strerror(errno));
    int n = snprintf(path, QGM_PATH, "%s/%s-%d-%016" PRIx64 ".pack", folder, strrchr(root, '/') + 1, config->size, key);
    free(root);
    return n < QGM_PATH ? 0 : qgm_fail(err, QGM_USAGE, "cache=%.100s...: the path is too long", folder);
}

/* One process builds while others wait for its file: a lock that the system gives back when its holder dies, on a file
 * beside the cache. Returns its descriptor; -1: error. Where locks do not work several may build, each its own part. */
static int lock(const char *name, struct qgm_error *err)
{
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        return qgm_fail(err, QGM_SYSTEM, "cannot write the cache: %s: %s (cache=DIR names another folder)", name,
                        strerror(errno));
    wait_for(file);
    return file;
}

/* What another one has built meanwhile, or what we build; returns as map() does. */
static int build_once(struct qgm_dataset *d, const char *path, const struct qgm_listing *listing,
                      const struct qgm_pack_config *config, uint64_t key, struct qgm_error *err)
{
    char name[QGM_PATH + 8];
    snprintf(name, sizeof name, "%s.lock", path);
    int file = lock(name, err);
    if (file < 0) return -1;
    int there = map(d, path, key, err);
    if (there == 0) there = build(path, listing, config, key, err) < 0 ? -1 : map(d, path, key, err);
    unlink(name); /* those who wait have it open; they find the cache */
    close(file);
    return there;
}

int qgm_pack_open(struct qgm_dataset *d, const struct qgm_listing *listing, const struct qgm_pack_config *config,
                  struct qgm_error *err)
{
    uint64_t facts[] = { listing->digest, (uint64_t)config->size, config->skip };
    uint64_t key = XXH3_64bits(facts, sizeof facts);
    char path[QGM_PATH];
    QGM_TRY(cache_path(path, config, key, err));
    int there = map(d, path, key, err);
    if (there == 0) there = build_once(d, path, listing, config, key, err);
    return there > 0 ? 0 : there < 0 ? -1 : qgm_fail(err, QGM_SYSTEM, "%s: cannot map what was written", path);
}
