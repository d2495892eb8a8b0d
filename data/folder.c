/* Images in folders, as ImageNet is distributed. SPDX-License-Identifier: MIT */
#include "listing.h"
#include "reader.h"
#include "resample.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Deng et al. 2009; the down-sampled sets of Chrabaszcz et al. 2017 are normalised by 0.5, as in the code of Lin et al.
 * 2021. */
enum { DOWN_SAMPLED = 64, LEAST_SIZE = 8, MOST_SIZE = 512 };

static bool is_root(const char *path)
{
    char train[QGM_PATH + 8];
    snprintf(train, sizeof train, "%s/train", path);
    return access(train, F_OK) == 0;
}

/* A folder of classes, without train, is what many people have: with hold=N it will do. */
static int take_flat(char root[QGM_PATH], const char *flat, long hold, struct qgm_error *err)
{
    snprintf(root, QGM_PATH, "%s", flat);
    return hold ? 0
                : qgm_fail(err, QGM_INPUT,
                           "%s: has no train folder: expected train/<class>/*.jpg and val/<class>/*.jpg in it; if it "
                           "holds the folders of classes itself, say hold=20, to test on 20 %% of each class's images",
                           flat);
}

/* As it is named, or below --data-dir, $QGM_DATA or ./data. */
static int find_root(char root[QGM_PATH], const char *name, const char *dir, long hold, struct qgm_error *err)
{
    char flat[QGM_PATH] = "";
    const char *places[] = { dir, dir ? NULL : "", dir ? NULL : getenv("QGM_DATA"), dir ? NULL : "data" };
    for (size_t i = 0; i < QGM_COUNT(places); i++) {
        if (!places[i]) continue;
        bool whole = !*places[i] || *name == '/';
        int n = whole ? snprintf(root, QGM_PATH, "%s", *name ? name : ".")
                      : snprintf(root, QGM_PATH, *name ? "%s/%s" : "%s", places[i], name);
        if (n < QGM_PATH && is_root(root)) return 0;
        if (n < QGM_PATH && *name && !*flat && access(root, F_OK) == 0) memcpy(flat, root, sizeof flat);
    }
    if (*flat) return take_flat(root, flat, hold, err);
    return qgm_fail(err, QGM_INPUT,
                    "--dataset folder:%s: found no %s%strain in %s: expected train/<class>/*.JPEG and "
                    "val/<class>/*.JPEG; ImageNet is to be had from image-net.org, subsets of it from their makers",
                    name, name, *name ? "/" : "", dir ? dir : "the current folder, $QGM_DATA or ./data");
}

enum { NAMED = 5 };
static void note_skipped(struct qgm_dataset *d, const char *root)
{
    char names[1000] = "";
    size_t used = 0;
    for (long i = 0; i < d->skipped && i < NAMED && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", d->skipped_names[i]);
    if (d->skipped)
        qgm_note(d->notes, "%s: %ld damaged file%s left out: %s%s", root, d->skipped, d->skipped > 1 ? "s" : "", names,
                 d->skipped > NAMED ? " ... (run.jsonl of --out names all)" : "");
}

int qgm_open_folder(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    char name[QGM_PATH] = "", cache[QGM_PATH] = "", root[QGM_PATH];
    struct qgm_option options[] = {
        { .text = name },
        { .key = "size", .low = LEAST_SIZE, .high = MOST_SIZE, .value = 224 },
        { .key = "train", .high = 1000000000 },
        { .key = "test", .high = 1000000000 },
        { .key = "hold", .low = 0, .high = 90, .value = 0 },
        { .key = "skip", .low = 0, .high = 1, .value = 0 },
        { .key = "workers", .low = 0, .high = 256, .value = 0 },
        { .key = "cache", .text = cache },
    };
    enum { NAME, SIZE, TRAIN, TEST, HOLD, SKIP, WORKERS };
    QGM_TRY(qgm_read_options(spec, options, QGM_COUNT(options), err));
    QGM_TRY(find_root(root, name, dir, options[HOLD].value, err));
    struct qgm_listing listing;
    struct qgm_pack_config config = { .root = root,
                                      .cache = cache,
                                      .size = (int)options[SIZE].value,
                                      .workers = (int)options[WORKERS].value,
                                      .skip = options[SKIP].value };
    QGM_TRY(qgm_list_images(&listing, root, (int)options[HOLD].value, err));
    int result = qgm_listing_thin(&listing, options[TRAIN].value, options[TEST].value, err);
    if (result == 0) result = qgm_pack_open(d, &listing, &config, err);
    memcpy(d->notes, listing.notes, sizeof d->notes);
    if (result == 0) note_skipped(d, root);
    qgm_listing_close(&listing);
    static const float mean[3] = { .485f, .456f, .406f }, std[3] = { .229f, .224f, .225f };
    bool small = config.size <= DOWN_SAMPLED;
    for (int c = 0; c < 3; c++) {
        d->mean[c] = small ? .5f : mean[c];
        d->std[c] = small ? .5f : std[c];
    }
    d->name = "folder";
    d->flip = true;
    d->crop = small;
    d->resized = !small;
    return result;
}
