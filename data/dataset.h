/* Data sets in memory, partitions over clients, samplers and batches. SPDX-License-Identifier: MIT */
#ifndef QGM_DATASET_H
#define QGM_DATASET_H
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Data sets: labelled examples, which are images as bytes (n,h,w,c) or texts as tokens ---- */
struct qgm_stored {
    uint64_t at; /* of the first pixel, in bytes; three channels */
    uint32_t h, w;
};
struct qgm_examples {
    long n;
    /* Of a text: the tokens of the longest, 1, the size of the vocabulary, as struct qgm_input counts them. */
    int h, w, c, classes;
    const int32_t *labels;           /* n, each in 0..classes-1 */
    const uint8_t *pixels;           /* images: n * h * w * c, or as stored says */
    const struct qgm_stored *stored; /* n images of their own shapes, to be cut to h x w; NULL: all are h x w */
    const uint32_t *start; /* texts: n + 1; example i is token[start[i]] .. token[start[i + 1] - 1]. NULL: images */
    const int32_t *token;  /* [CLS] ... [SEP], without padding */
};
enum { QGM_NOTES = 1500 };
struct qgm_dataset {
    const char *name;
    struct qgm_examples train, test;
    float mean[4], std[4];            /* of images: of x / 255, a channel */
    bool crop, flip, resized;         /* what the reference's training transform does: see struct qgm_augment */
    const char *const *class_names;   /* NULL, or one a class */
    const char *const *own_names;     /* the same where closing frees them */
    long skipped;                     /* damaged files that were left out, as asked, */
    const char *const *skipped_names; /* and what they are called, from the folder on; NULL: none */
    char notes[QGM_NOTES]; /* what its user should know, a line each: files that are not read, for instance */
    struct qgm_pack *pack; /* the file that examples are mapped from, or NULL */
};
/* A hash of labels, and of texts or pixels; of photos of their own shapes, of where they lie: those may be too many to
 * be read. */
uint64_t qgm_examples_fingerprint(const struct qgm_examples *examples);
/* Load a data set. spec: a name, for some with files and options: "synthetic:classes=4", "ag-news:length=64",
 * "csv:train.csv,test.csv". dir NULL: the places where it is usually found ($QGM_DATA, the Debian package's folder,
 * ./data). A file that is missing, truncated, too long or has a wrong magic number is an error that names the file, the
 * offset or line, what was found and expected, and how to get the data.
 *
 * All but the synthetic take train=N and test=N: no more examples than that, chosen at random, always the same.
 *
 * "csv:TRAIN,TEST": UTF-8, a row a text: its class, then one or more fields, as many in every row, which are joined
 * by spaces; no heading line. Classes are whole numbers from 1 in all rows, or names of at most 100 bytes in all rows,
 * numbered in the order of their bytes; two or more, and those of TEST among them. Quotes as in RFC 4180; a backslash
 * is read as a line break, as AG News writes it.
 *
 * "folder:PATH": train/<class>/ and val/<class>/ of JPEG files (grey and CMYK too), .jpg or .jpeg in any case, also in
 * folders below these. Classes are those of train, two or more: one that val has besides is refused, one that val lacks
 * is noted. What begins with a dot is left out; so are images of other formats, which are noted, and a class that has
 * no others is refused. Photos are read as they are stored, whatever their EXIF data say of up and down.
 *
 * Options: size=224: pixels a side that a model sees; hold=20: where there is no val, percent of each class's images to
 * test on, chosen at random, always the same, and PATH may hold the folders of classes itself; skip=1: leave out
 * damaged files, and note the first of them; cache=DIR; workers=N.
 *
 * The first time, all files are decoded (scaled down to a shorter side of 8/7 size, 256 for 224) into one packed file
 * in cache, $QGM_CACHE, $XDG_CACHE_HOME/qgm or ~/.cache/qgm, which later runs map into memory; it is 3 bytes a pixel
 * and does not depend on the number of workers or on how PATH is spelt. One whose index is damaged is written anew; an
 * image of it is checked when it is first read (qgm_dataset_damaged). What a killed process leaves of one, the next
 * that writes one removes. Evaluation reads the middle size x size; an image no larger than `size` is taken whole.
 *
 * Down-sampled ImageNet (Chrabaszcz et al. 2017: pickled batches of {"data": n x 3072 bytes, planes; "labels": n, from
 * 1}) is not read as it comes: write it out as such a folder, as JPEG of quality 100 without subsampling of colours.
 * Sizes up to 64 take its transform, larger ones that of ImageNet. */
int qgm_dataset_open(struct qgm_dataset *dataset, const char *spec, const char *dir, struct qgm_error *err);
void qgm_dataset_close(struct qgm_dataset *dataset); /* safe on a zeroed struct */
/* Of the examples that qgm_batch_fill has read since opening, one that was damaged in its packed file: from 1, the
 * training examples first; 0: none. Ask after a batch, and use nothing that was made of it. */
long qgm_dataset_damaged(const struct qgm_dataset *dataset);
/* Says of that example (QGM_INPUT) which it is of which file, and what to do. Always returns -1. */
int qgm_dataset_fail_damaged(const struct qgm_dataset *dataset, long example, struct qgm_error *err);
const char *const *qgm_dataset_names(void);
const char *qgm_dataset_about(const char *name);

/* ---- Partitions: which training examples each client owns, for the whole run ---- */
struct qgm_partition {
    int clients;
    uint32_t *start; /* clients + 1: client i owns index[start[i]] .. index[start[i+1]-1] */
    uint32_t *index;
};
/* spec: "iid", "lin2021", "shards:2", "file:PATH" ... alpha: Dirichlet concentration, used by those that say so.
 * labels: n class labels in 0..classes-1. A pure function of its arguments. Every client gets at least one example, no
 * example is given twice; rules of equal sizes drop the n mod clients examples that remain. Refuses (QGM_USAGE) unknown
 * names, alpha outside 1e-6..1e6, more clients than examples, and draws that do not succeed in a bounded number of
 * attempts. */
int qgm_partition_open(struct qgm_partition *partition, const char *spec, double alpha, int clients,
                       const int32_t *labels, long n, int classes, uint64_t seed, struct qgm_error *err);
void qgm_partition_close(struct qgm_partition *partition);
/* Write a partition for "file:PATH": appears whole or not at all. */
int qgm_partition_save(const struct qgm_partition *partition, const char *path, struct qgm_error *err);
const char *const *qgm_partition_names(void);
const char *qgm_partition_about(const char *name);
bool qgm_partition_uses_alpha(const char *name);

/* How heterogeneous a partition is. Distributions are of class labels; "mean" and "max" over clients. */
struct qgm_heterogeneity {
    double tv_mean, tv_max;           /* total variation distance to the distribution over all clients, 0..1 */
    double entropy_mean, entropy_min; /* nats */
    double emd_mean;                  /* L1 distance (the "earth mover's distance" of Zhao et al. 2018) */
    double largest_class_mean;        /* fraction of the most frequent class */
    long size_min, size_max;
    uint64_t fingerprint; /* xxHash of start and index */
};
/* counts: clients * classes numbers, or NULL. */
void qgm_partition_measure(const struct qgm_partition *partition, const int32_t *labels, int classes,
                           struct qgm_heterogeneity *out, long *counts);

/* ---- Sampling: every epoch a fresh permutation of a client's examples; the last short batch is kept ----
 * With `starts`, batches are of examples of like lengths, so that little padding is computed: the permutation is sorted
 * by length within windows of QGM_WINDOW batches, and a window's full batches are shuffled. */
enum { QGM_WINDOW = 32 };
struct qgm_sampler {
    const struct qgm_partition *partition; /* borrowed */
    uint64_t seed;
    int batch;
    bool shared_order;      /* all clients permute alike, as the code of Lin et al. (2021) does */
    const uint32_t *starts; /* NULL, or the start of texts, set after opening */
    uint32_t *order;        /* concatenated permutations of local positions */
    uint32_t *spare;        /* behind them, as much room to sort in */
    long *epoch;            /* of which epoch a client's permutation is */
};
int qgm_sampler_open(struct qgm_sampler *sampler, const struct qgm_partition *partition, int batch, bool shared_order,
                     uint64_t seed, struct qgm_error *err);
void qgm_sampler_close(struct qgm_sampler *sampler);
/* Batches of an epoch of a client: ceil(size / batch). */
long qgm_sampler_batches(const struct qgm_sampler *sampler, int client);
/* The examples (data set indices) of batch number `step` of a client, counted from the start of the run: a pure
 * function of (seed, client, step). index: batch entries; returns how many. Different clients may call at once. */
int qgm_sampler_next(struct qgm_sampler *sampler, int client, long step, uint32_t *index);

/* ---- Batches of images ---- */
struct qgm_augment {
    bool flip;    /* horizontally, probability 1/2 */
    int crop;     /* zero-pad the raw pixels by this many on each side and cut a random window back out; 0: none */
    bool resized; /* a random part, area 8 % to 100 %, ratio 3/4 to 4/3, resized to h x w (Szegedy et al. 2015, as in
                     torchvision); three channels */
    uint64_t seed;
    uint32_t client, step;
};
/* x: n * h * w * c normalised floats ((byte/255 - mean) / std); labels: n. augment NULL: none (evaluation). */
void qgm_batch_fill(const struct qgm_dataset *dataset, const struct qgm_examples *from, const uint32_t *index, int n,
                    const struct qgm_augment *augment, float *x, int32_t *labels);

/* ---- Batches of texts ---- */
/* Tokens of the examples, each padded with 0 to `width` (as qgm_tokens_width says, or wider): n * width ids. lengths:
 * n, the tokens that are not padding. */
void qgm_tokens_fill(const struct qgm_examples *from, const uint32_t *index, int n, int width, int32_t *ids,
                     int32_t *lengths, int32_t *labels);
int qgm_tokens_width(const struct qgm_examples *from, const uint32_t *index, int n); /* the longest of the batch */
/* Sort by length, the shortest first and equal ones by index, so that neighbours need little padding. */
void qgm_tokens_sort(const struct qgm_examples *from, uint32_t *index, long n);

/* WordPiece as in uncased BERT (Devlin et al. 2019): decomposed, without accents, lower case; split at spaces,
 * punctuation and ideographs; then the longest matching pieces. */
struct qgm_vocab; /* opaque */
int qgm_vocab_open(struct qgm_vocab **vocab, const char *path, struct qgm_error *err);
void qgm_vocab_close(struct qgm_vocab **vocab);
int qgm_vocab_size(const struct qgm_vocab *vocab);
int qgm_vocab_id(const struct qgm_vocab *vocab, const char *token); /* -1: not there */
/* ids of the text (UTF-8; other bytes are skipped) between [CLS] and [SEP]: at most `most` >= 2; returns how many. */
int qgm_wordpiece(const struct qgm_vocab *vocab, const char *text, size_t size, int32_t *ids, int most);

#ifdef __cplusplus
}
#endif
#endif
