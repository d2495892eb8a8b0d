/* Image files of a folder, in an order that no file system can change. SPDX-License-Identifier: MIT */
#include "listing.h"
#include "reader.h"
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { MOST_CLASSES = 1 << 20 };

/* Names in a folder, sorted. */
struct names {
    char **name;
    int n, most;
};

static void free_names(struct names *names)
{
    for (int i = 0; i < names->n; i++) free(names->name[i]);
    free(names->name);
}

static bool is_image(const char *name)
{
    const char *ending = strrchr(name, '.');
    return ending && (strcasecmp(ending, ".jpeg") == 0 || strcasecmp(ending, ".jpg") == 0);
}

/* Images too, but not for us: whoever has put them there wants to know that they are not trained on. */
static const char *const foreign[QGM_FOREIGN] = { ".png",  ".gif",  ".bmp",  ".webp", ".tif", ".tiff",
                                                  ".heic", ".heif", ".avif", ".jfif", ".ppm" };

static int foreign_kind(const char *name)
{
    const char *ending = strrchr(name, '.');
    for (int i = 0; ending && i < QGM_FOREIGN; i++)
        if (strcasecmp(ending, foreign[i]) == 0) return i;
    return -1;
}

/* "10 .png, 2 .gif" */
static void list_foreign(char *text, size_t room, const long count[QGM_FOREIGN])
{
    size_t used = 0;
    *text = 0;
    for (int i = 0; i < QGM_FOREIGN && used < room; i++)
        if (count[i])
            used += (size_t)snprintf(text + used, room - used, "%s%ld %s", used ? ", " : "", count[i], foreign[i]);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool add_name(struct names *names, const char *name)
{
    if (names->n == names->most) {
        int most = 2 * names->most + 64;
        char **more = realloc(names->name, (size_t)most * sizeof *more);
        if (!more) return false;
        names->name = more;
        names->most = most;
    }
    return (names->name[names->n] = strdup(name)) && ++names->n;
}

/* The folders in `path`; images beside them belong to no class. What begins with a dot is nobody's. */
static int read_folders(struct names *names, const char *path, long *loose, struct qgm_error *err)
{
    *names = (struct names){ 0 };
    *loose = 0;
    DIR *dir = opendir(path);
    if (!dir) return qgm_fail(err, QGM_INPUT, "cannot read the folder %s: %s", path, strerror(errno));
    bool room = true;
    for (struct dirent *e; room && (e = readdir(dir));) {
        if (*e->d_name == '.') continue;
        struct stat s;
        if (fstatat(dirfd(dir), e->d_name, &s, 0) < 0) continue;
        if (S_ISDIR(s.st_mode)) room = add_name(names, e->d_name);
        *loose += S_ISREG(s.st_mode) && (is_image(e->d_name) || foreign_kind(e->d_name) >= 0);
    }
    closedir(dir);
    if (!room) {
        free_names(names);
        return qgm_fail(err, QGM_SYSTEM, "%s: out of memory for its names", path);
    }
    if (names->n) qsort(names->name, (size_t)names->n, sizeof *names->name, compare);
    return 0;
}

/* Returns where the text is, or SIZE_MAX. */
static size_t add_text(struct qgm_listing *l, const char *text)
{
    size_t size = strlen(text) + 1, at = l->used;
    if (l->room - l->used < size) {
        size_t room = 2 * l->room + size + 65536;
        char *more = realloc(l->text, room);
        if (!more) return SIZE_MAX;
        l->text = more;
        l->room = room;
    }
    memcpy(l->text + at, text, size);
    l->used += size;
    return at;
}

/* inside: the path below the root, which is told to the digest once. */
static int add_file(struct qgm_listing *l, const char *path, const char *inside, const struct stat *s, int label,
                    XXH3_state_t *digest, struct qgm_error *err)
{
    if (l->n == l->most) {
        long most = 2 * l->most + 1024;
        struct qgm_listed *more = realloc(l->file, (size_t)most * sizeof *more);
        if (!more) return qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files");
        l->file = more;
        l->most = most;
    }
    int64_t facts[] = { s->st_size, s->st_mtim.tv_sec, s->st_mtim.tv_nsec, label };
    XXH3_64bits_update(digest, inside, strlen(inside) + 1);
    XXH3_64bits_update(digest, facts, sizeof facts);
    l->file[l->n] = (struct qgm_listed){ .path = add_text(l, path), .label = label };
    if (l->file[l->n++].path == SIZE_MAX) return qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files");
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

/* A file or folder in a class's folder. A link that leads nowhere is a file that cannot be read: damaged. */
static int visit(struct qgm_listing *l, FTS *tree, FTSENT *e, size_t root, int label, long count[QGM_FOREIGN],
                 XXH3_state_t *digest, struct qgm_error *err)
{
    int kind = foreign_kind(e->fts_name);
    if (e->fts_level > 0 && *e->fts_name == '.') return fts_set(tree, e, FTS_SKIP);
    switch (e->fts_info) {
    case FTS_F:
    case FTS_SLNONE:
        if (is_image(e->fts_name))
            return add_file(l, e->fts_path, e->fts_path + root, e->fts_statp, label, digest, err);
        if (kind >= 0) count[kind]++;
        return 0;
    case FTS_DC:
        return qgm_fail(err, QGM_INPUT, "%s: a link to a folder that it is in", e->fts_path);
    case FTS_DNR:
    case FTS_NS:
    case FTS_ERR:
        return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", e->fts_path, strerror(e->fts_errno));
    default:
        return 0;
    }
}

static int no_image(const char *folder, const long count[QGM_FOREIGN], struct qgm_error *err)
{
    char kinds[200];
    list_foreign(kinds, sizeof kinds, count);
    if (!*kinds) return qgm_fail(err, QGM_INPUT, "%s: a class without any .JPEG or .jpg file", folder);
    return qgm_fail(err, QGM_INPUT,
                    "%s: a class without any .JPEG or .jpg file: it has %s, which are not read: convert them (with "
                    "ImageMagick: mogrify -format jpg %s/*%.*s)",
                    folder, kinds, folder, (int)strcspn(strchr(kinds, '.'), ","), strchr(kinds, '.'));
}

/* The images of a class: in its folder and those below it. folder: `root` bytes of the root's name, then where it is
 * inside. */
static int add_class(struct qgm_listing *l, const char *folder, size_t root, int label, XXH3_state_t *digest,
                     struct qgm_error *err)
{
    char *const paths[] = { (char *)folder, NULL };
    long before = l->n, count[QGM_FOREIGN] = { 0 }, others = 0;
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree) return qgm_fail(err, QGM_SYSTEM, "%s: %s", folder, strerror(errno));
    int result = 0;
    for (FTSENT *e; result == 0 && (e = fts_read(tree));) result = visit(l, tree, e, root, label, count, digest, err);
    if (result == 0 && errno) result = qgm_fail(err, QGM_SYSTEM, "%s: %s", folder, strerror(errno));
    fts_close(tree);
    if (result == 0 && l->n == before) result = no_image(folder, count, err);
    for (int i = 0; i < QGM_FOREIGN; i++) {
        others += count[i];
        l->foreign[i] += count[i];
    }
    if (others && result == 0 && !l->foreign_folders++) l->foreign_folder = add_text(l, folder);
    return result == 0 && l->foreign_folders && l->foreign_folder == SIZE_MAX
               ? qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files")
               : result;
}

/* After all classes: what was left out. */
static void note_foreign(struct qgm_listing *l)
{
    char kinds[200], more[60] = "";
    list_foreign(kinds, sizeof kinds, l->foreign);
    if (!*kinds) return;
    if (l->foreign_folders > 1)
        snprintf(more, sizeof more, " and %d other folder%s", l->foreign_folders - 1,
                 l->foreign_folders > 2 ? "s" : "");
    qgm_note(
        l->notes,
        "%s%s: left out %s: only .jpg and .jpeg are read; convert them to have them too (with ImageMagick: mogrify "
        "-format jpg FILE...)",
        l->text + l->foreign_folder, more, kinds);
}

/* Legal, but seldom meant: such a class is never tested. Labels ascend in a split. */
static void note_untested(struct qgm_listing *l, const char *root, int hold)
{
    char names[200] = "";
    size_t used = 0;
    int missing = 0;
    for (long c = 0, i = l->train; c < l->classes; c++) {
        const char *name = l->text + l->class_name[c];
        bool tested = i < l->n && l->file[i].label == c;
        while (i < l->n && l->file[i].label == c) i++;
        if (tested || missing++ >= 3) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.40s'", used ? ", " : "", name);
    }
    const char *more = missing > 3 ? " ..." : "";
    if (missing && hold)
        qgm_note(l->notes, "%s: %d of the %d classes have one image, and are never tested: %s%s", root, missing,
                 l->classes, names, more);
    else if (missing)
        qgm_note(l->notes, "%s/val: lacks %d of the %d classes of train, which are never tested: %s%s", root, missing,
                 l->classes, names, more);
}

/* A class of training is new; one of evaluation is one of those. */
static int label_of(struct qgm_listing *l, const char *name, bool train, const char *folder, struct qgm_error *err)
{
    if (train) {
        if (l->classes == MOST_CLASSES)
            return qgm_fail(err, QGM_INPUT, "%s: more than %d folders, expected one a class", folder, MOST_CLASSES);
        size_t *more = realloc(l->class_name, ((size_t)l->classes + 1) * sizeof *more);
        if (!more) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", folder);
        l->class_name = more;
        l->class_name[l->classes] = add_text(l, name);
        if (l->class_name[l->classes] == SIZE_MAX) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", folder);
        return l->classes++;
    }
    int low = 0, high = l->classes;
    while (low < high) { /* sorted, as read_folders gave them */
        int middle = (low + high) / 2, order = strcmp(l->text + l->class_name[middle], name);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return qgm_fail(err, QGM_INPUT, "%s: training has no class '%s': every class of val must be one of train", folder,
                    name);
}

/* The classes in the folder `split`. */
static int add_split(struct qgm_listing *l, const char *split, size_t root, bool train, XXH3_state_t *digest,
                     struct qgm_error *err)
{
    struct names names;
    long loose;
    QGM_TRY(read_folders(&names, split, &loose, err));
    int result = names.n ? 0 : qgm_fail(err, QGM_INPUT, "%s: expected a folder a class", split);
    for (int i = 0; i < names.n && result == 0; i++) {
        char folder[QGM_PATH + 300];
        snprintf(folder, sizeof folder, "%s/%s", split, names.name[i]);
        int label = label_of(l, names.name[i], train, split, err);
        result = label < 0 ? -1 : add_class(l, folder, root, label, digest, err);
    }
    if (loose)
        qgm_note(l->notes, "%s: left out %ld image%s beside the folders of classes", split, loose,
                 loose > 1 ? "s" : "");
    free_names(&names);
    return result;
}

/* Behind the others, some images of each class to test on; of a class of one, none. */
static int hold_out(struct qgm_listing *l, const char *root, int percent, struct qgm_error *err)
{
    struct qgm_listed *file = malloc((size_t)l->n * sizeof *file), *held = malloc((size_t)l->n * sizeof *file);
    long kept = 0, out = 0, room = file && held ? 0 : -1;
    for (long first = 0, n; room == 0 && first < l->n; first += n) {
        for (n = 1; first + n < l->n && l->file[first + n].label == l->file[first].label;) n++;
        long most = (n * percent + 50) / 100, count = 0;
        most = most < n - 1 ? most : n - 1;
        if (most < 1 && n > 1) most = 1;
        uint32_t *index = most ? qgm_subset(n, most, &count) : NULL;
        if (most && !index) room = -1;
        for (long i = 0, k = 0; room == 0 && i < n; i++)
            if (k < count && index[k] == i)
                held[out++] = l->file[first + i], k++;
            else
                file[kept++] = l->file[first + i];
        free(index);
    }
    if (room == 0) {
        memcpy(l->file, file, (size_t)kept * sizeof *file);
        memcpy(l->file + kept, held, (size_t)out * sizeof *file);
        l->train = kept;
        qgm_note(l->notes, "%s: held out %ld of %ld images, %d %% of each class, to test on", root, out, l->n, percent);
    }
    free(file);
    free(held);
    return room < 0 ? qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files")
           : out    ? 0
                    : qgm_fail(err, QGM_INPUT, "%s: hold=%d: no class has two images or more", root, percent);
}

/* What is there of the folders train and val, and what is to be done when it is not all. */
static int add_all(struct qgm_listing *l, const char *root, int hold, XXH3_state_t *digest, struct qgm_error *err)
{
    char train[QGM_PATH + 8], val[QGM_PATH + 8], test[QGM_PATH + 8];
    snprintf(train, sizeof train, "%s/train", root);
    snprintf(val, sizeof val, "%s/val", root);
    snprintf(test, sizeof test, "%s/test", root);
    bool tests = access(val, F_OK) == 0;
    if (tests && hold)
        return qgm_fail(err, QGM_USAGE, "hold=%d: %s is there, and is what to test on: leave hold out", hold, val);
    if (!tests && !hold)
        return qgm_fail(
            err, QGM_INPUT,
            "%s: has no val folder, of images to test on: expected val/<class>/*.jpg beside train%s; hold=20 "
            "tests on 20 %% of each class's images instead",
            root, access(test, F_OK) == 0 ? ", or is it called test? then rename it" : "");
    QGM_TRY(add_split(l, access(train, F_OK) == 0 ? train : root, strlen(root), true, digest, err));
    l->train = l->n;
    if (l->classes < 2) /* of which every model would be right */
        return qgm_fail(err, QGM_INPUT,
                        "%s: found one class, '%s', expected two or more: a class has all that is in the folders below "
                        "its own: name the folder that holds those of the classes",
                        root, l->text + l->class_name[0]);
    return hold ? hold_out(l, root, hold, err) : add_split(l, val, strlen(root), false, digest, err);
}

int qgm_list_images(struct qgm_listing *l, const char *root, int hold, struct qgm_error *err)
{
    *l = (struct qgm_listing){ 0 };
    char *where = realpath(root, NULL); /* one folder has one digest, however it is spelt */
    if (!where) return qgm_fail(err, QGM_INPUT, "%s: %s", root, strerror(errno));
    XXH3_state_t *digest = XXH3_createState();
    if (digest) XXH3_64bits_reset(digest), XXH3_64bits_update(digest, where, strlen(where) + 1);
    free(where);
    if (!digest) return qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files");
    int result = add_all(l, root, hold, digest, err);
    if (hold) XXH3_64bits_update(digest, &hold, sizeof hold);
    l->digest = XXH3_64bits_digest(digest);
    XXH3_freeState(digest);
    if (result == 0) {
        note_foreign(l);
        note_untested(l, root, hold);
    } else {
        qgm_listing_close(l);
    }
    return result;
}

int qgm_listing_thin(struct qgm_listing *l, long train, long test, struct qgm_error *err)
{
    long split[] = { l->train, l->n - l->train }, most[] = { train, test }, first = 0;
    int64_t facts[] = { (int64_t)l->digest, train, test };
    if (!train && !test) return 0;
    l->n = 0;
    for (int s = 0; s < 2; s++) {
        long kept;
        uint32_t *index = qgm_subset(split[s], most[s], &kept);
        if (!index) return qgm_fail(err, QGM_SYSTEM, "out of memory for a list of files");
        for (long i = 0; i < kept; i++) l->file[l->n++] = l->file[first + index[i]];
        free(index);
        first += split[s];
        if (s == 0) l->train = l->n;
    }
    l->digest = XXH3_64bits(facts, sizeof facts);
    return 0;
}

void qgm_listing_close(struct qgm_listing *l)
{
    free(l->text);
    free(l->file);
    free(l->class_name);
    memset(l, 0, sizeof *l);
}
