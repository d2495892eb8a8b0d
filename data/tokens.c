/* Data sets of texts: AG News, and anyone's own. SPDX-License-Identifier: MIT */
#include "reader.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t length_of(const struct qgm_examples *from, uint32_t i) { return from->start[i + 1] - from->start[i]; }

/* Two passes over the ids would cost more than room for the longest: grown by doubling. */
static int tokenize(struct qgm_examples *to, const struct qgm_texts *texts, const uint32_t *row, long n,
                    const struct qgm_vocab *vocab, int length, struct qgm_error *err)
{
    uint32_t *start = malloc(((size_t)n + 1) * sizeof *start);
    int32_t *token = NULL;
    size_t used = 0, room = 0;
    for (long i = 0; start && i < n; i++) {
        const size_t *at = &texts->start[row[i]];
        start[i] = (uint32_t)used;
        if (room - used < (size_t)length) {
            room = 2 * room + (1 << 16);
            int32_t *more = room < UINT32_MAX ? realloc(token, room * sizeof *token) : NULL;
            if (!more) {
                free(start);
                start = NULL;
                break;
            }
            token = more;
        }
        used += (size_t)qgm_wordpiece(vocab, texts->byte + at[0], at[1] - at[0], token + used, length);
    }
    if (!start) {
        free(token);
        return qgm_fail(err, QGM_SYSTEM, "tokens: out of memory for %ld texts", n);
    }
    start[n] = (uint32_t)used;
    *to = (struct qgm_examples){ .n = n, .start = start, .token = token };
    return 0;
}

/* most: rows to keep, 0 for all. names: those of classes, where they were found by name; handed over. */
static int read_split(struct qgm_examples *to, const char *path, long most, struct qgm_labels labels,
                      const struct qgm_vocab *vocab, int length, const char *const **names, struct qgm_error *err)
{
    struct qgm_texts texts;
    QGM_TRY(qgm_read_csv(path, labels, &texts, err));
    long n;
    uint32_t *row = qgm_subset(texts.n, most, &n);
    int result =
        row ? tokenize(to, &texts, row, n, vocab, length, err) : qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    if (result == 0) {
        for (long i = 0; i < texts.n; i++)
            if (texts.label[i] >= to->classes) to->classes = texts.label[i] + 1;
        for (long i = 0; i < n; i++) texts.label[i] = texts.label[row[i]]; /* row[i] >= i */
        to->labels = texts.label;                                          /* handed over */
        texts.label = NULL;
        *names = texts.names; /* NULL of a test set */
        texts.names = NULL;
    }
    free(row);
    qgm_texts_close(&texts);
    return result;
}

/* What the spec says, and where the files are. */
struct source {
    char train[QGM_PATH], test[QGM_PATH], vocab[QGM_PATH];
    int classes, length;
    long trains, tests; /* rows to keep */
};

static int read_all(struct qgm_dataset *d, const struct source *from, struct qgm_error *err)
{
    struct qgm_vocab *v;
    QGM_TRY(qgm_vocab_open(&v, from->vocab, err));
    int vocabulary = qgm_vocab_size(v);
    struct qgm_labels labels = { .classes = from->classes };
    const char *const *names = NULL;
    int result = read_split(&d->train, from->train, from->trains, labels, v, from->length, &names, err);
    if (names) {
        d->class_names = d->own_names = names;
        for (d->train.classes = 0; names[d->train.classes];) d->train.classes++; /* of all rows, kept or not */
    }
    if (result == 0 && d->train.classes < 2) /* of which every model would be right */
        result = qgm_fail(err, QGM_INPUT, "%s: found one class, '%s', in all rows, expected two or more", from->train,
                          names ? names[0] : "1");
    labels = (struct qgm_labels){ .classes = d->train.classes, .names = names };
    if (result == 0) result = read_split(&d->test, from->test, from->tests, labels, v, from->length, &names, err);
    qgm_vocab_close(&v);
    if (result < 0) return -1;
    struct qgm_examples *all[] = { &d->train, &d->test };
    int longest = 0;
    for (int s = 0; s < 2; s++)
        for (long i = 0; i < all[s]->n; i++) {
            int length = (int)length_of(all[s], (uint32_t)i);
            if (length > longest) longest = length;
        }
    for (int s = 0; s < 2; s++) {
        all[s]->h = longest;
        all[s]->w = 1;
        all[s]->c = vocabulary;
        all[s]->classes = d->train.classes;
    }
    return 0;
}

/* The vocabulary the user named, or one of the usual names in the folder or beside it. */
static int find_vocab(char path[QGM_PATH], const char *folder, struct qgm_error *err)
{
    static const char *const usual[] = { "vocab.txt", "bert-base-uncased-vocab.txt", "../vocab/vocab.txt",
                                         "../vocab/bert-base-uncased-vocab.txt" };
    if (*path) return 0;
    for (size_t i = 0; i < QGM_COUNT(usual); i++) {
        int n = snprintf(path, QGM_PATH, "%s/%s", folder, usual[i]);
        if (n > 0 && n < QGM_PATH && access(path, F_OK) == 0) return 0;
    }
    return qgm_fail(err, QGM_INPUT,
                    "there is no vocab.txt in %s: a WordPiece vocabulary is needed, that of bert-base-uncased for "
                    "instance (./data/get-data vocab); put it there, or name it: --dataset ...:vocab=FILE",
                    folder);
}

enum { LENGTH, TRAIN, TEST, VOCAB, OPTIONS };

/* The options of both data sets, behind the first `words` that have no key. */
static int read_spec(struct source *from, const char *spec, int words, struct qgm_error *err)
{
    struct qgm_option options[2 + OPTIONS] = { { .text = from->train }, { .text = from->test } }, *o = options + words;
    o[LENGTH] = (struct qgm_option){ .key = "length", .low = 3, .high = 512, .value = 128 };
    o[TRAIN] = (struct qgm_option){ .key = "train", .high = 1000000000 };
    o[TEST] = (struct qgm_option){ .key = "test", .high = 1000000000 };
    o[VOCAB] = (struct qgm_option){ .key = "vocab", .text = from->vocab };
    QGM_TRY(qgm_read_options(spec, options, words + OPTIONS, err));
    from->length = (int)o[LENGTH].value;
    from->trains = o[TRAIN].value;
    from->tests = o[TEST].value;
    return 0;
}

int qgm_open_ag_news(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    static const char *const classes[] = { "World", "Sports", "Business", "Sci/Tech" };
    static const struct qgm_place place = {
        .name = "ag-news",
        .subfolder = "ag_news",
        .probe = "train.csv",
        .how = "get train.csv and test.csv of the AG News data set of X. Zhang (./data/get-data ag-news), and name "
               "their folder with --data-dir",
    };
    struct source from = { .classes = (int)QGM_COUNT(classes) };
    char folder[QGM_PATH];
    QGM_TRY(read_spec(&from, spec, 0, err));
    d->name = place.name;
    d->class_names = classes;
    QGM_TRY(qgm_find_folder(folder, &place, dir, err));
    QGM_TRY(qgm_find_file(from.train, folder, "train.csv", &place, err));
    QGM_TRY(qgm_find_file(from.test, folder, "test.csv", &place, err));
    QGM_TRY(find_vocab(from.vocab, folder, err));
    return read_all(d, &from, err);
}

/* A file name that is not absolute starts from the data folder. */
static int in_folder(char path[QGM_PATH], const char *dir, struct qgm_error *err)
{
    char name[QGM_PATH];
    if (!dir || !*path || *path == '/') return 0;
    snprintf(name, sizeof name, "%s", path);
    int n = snprintf(path, QGM_PATH, "%s/%s", dir, name);
    return n < QGM_PATH ? 0 : qgm_fail(err, QGM_USAGE, "--data-dir: the path of %.100s is too long", name);
}

int qgm_open_csv(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    struct source from = { .classes = 0 };
    QGM_TRY(read_spec(&from, spec, 2, err));
    d->name = "csv";
    if (!*from.test) return qgm_fail(err, QGM_USAGE, "--dataset %s: expected csv:TRAIN,TEST", spec);
    QGM_TRY(in_folder(from.train, dir, err));
    QGM_TRY(in_folder(from.test, dir, err));
    QGM_TRY(in_folder(from.vocab, dir, err));
    QGM_TRY(find_vocab(from.vocab, dir ? dir : ".", err));
    return read_all(d, &from, err);
}

int qgm_tokens_width(const struct qgm_examples *from, const uint32_t *index, int n)
{
    uint32_t most = 0;
    for (int i = 0; i < n; i++) {
        uint32_t length = length_of(from, index[i]);
        if (length > most) most = length;
    }
    return (int)most;
}

static int by_length(const void *a, const void *b, void *user)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b, m = length_of(user, x), n = length_of(user, y);
    return m != n ? (m > n) - (m < n) : (x > y) - (x < y);
}

void qgm_tokens_sort(const struct qgm_examples *from, uint32_t *index, long n)
{
    qsort_r(index, (size_t)n, sizeof *index, by_length, (void *)from);
}

void qgm_tokens_fill(const struct qgm_examples *from, const uint32_t *index, int n, int width, int32_t *ids,
                     int32_t *lengths, int32_t *labels)
{
    for (int i = 0; i < n; i++, ids += width) {
        uint32_t start = from->start[index[i]], length = length_of(from, index[i]);
        memcpy(ids, from->token + start, length * sizeof *ids);
        memset(ids + length, 0, ((size_t)width - length) * sizeof *ids);
        lengths[i] = (int32_t)length;
        labels[i] = from->labels[index[i]];
    }
}
