/* Private to data/: which image files a folder holds, and the cache they are packed in. SPDX-License-Identifier: MIT */
#ifndef QGM_LISTING_H
#define QGM_LISTING_H
#include "dataset.h"

enum { QGM_FOREIGN = 11 }; /* kinds of image files that are not read */
/* The files of <root>/train/<class>/ and <root>/val/<class>/ and the folders below these by name, case apart, .jpg or
 * .jpeg; classes and files in the order of their bytes, the training files first. */
struct qgm_listing {
    char *text; /* NUL-terminated names, one behind another */
    size_t used, room;
    struct qgm_listed {
        size_t path; /* of the whole name, in text */
        int32_t label;
    } * file;
    long n, train, most; /* files, those of them for training, room */
    size_t *class_name;  /* in text */
    int classes;
    long foreign[QGM_FOREIGN]; /* such files; in how many folders, and in which first */
    int foreign_folders;
    size_t foreign_folder; /* in text */
    char notes[QGM_NOTES]; /* as of struct qgm_dataset */
    uint64_t digest;       /* of the root's absolute path, names, sizes and dates of the files, and of what was kept */
};
/* Empty classes, less than two of them, classes of val that train lacks, and folders without either are QGM_INPUT;
 * classes of train that val lacks are noted. hold: percent of each class's images that are for testing, chosen at
 * random, always the same, where there is no val: then <root>/<class>/ will do, too; 0: none. */
int qgm_list_images(struct qgm_listing *listing, const char *root, int hold, struct qgm_error *err);
/* Keep at most so many files of each split, as qgm_subset chooses them; 0: all. */
int qgm_listing_thin(struct qgm_listing *listing, long train, long test, struct qgm_error *err);
void qgm_listing_close(struct qgm_listing *listing);

/* ---- The packed cache: decoded once, mapped into memory ever after ---- */
struct qgm_pack; /* opaque */
struct qgm_pack_config {
    const char *root, *cache; /* folder of images; folder of caches, "" for the usual one */
    int size;                 /* of the images that a model will see */
    int workers;              /* threads that decode; 0: one a core. Any number gives the same file */
    bool skip;                /* leave out damaged files, and count them */
};
/* The cache of these files: mapped if it is there and its header and index are whole, else written first, by one
 * process while others wait. Sets train, test, class_names, skipped and pack of the data set. */
int qgm_pack_open(struct qgm_dataset *dataset, const struct qgm_listing *listing, const struct qgm_pack_config *config,
                  struct qgm_error *err);
/* The example whose label this is, of train or test, is about to be read: compare its pixels with what was written,
 * unless that has been done; qgm_dataset_damaged() tells. Several threads may call at once. */
void qgm_pack_compare(const struct qgm_dataset *dataset, const int32_t *label);
/* Unmaps; clears the pointers of dataset that led into it. */
void qgm_pack_close(struct qgm_dataset *dataset);

#endif
