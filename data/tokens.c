/* Data sets of texts: AG News, and anyone's own. SPDX-License-Identifier: MIT */
#include "reader.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *about;
} table[] = {
    { "ag-news", "120,000 + 7,600 news in 4 classes (Zhang, Zhao, LeCun 2015): train.csv and test.csv in --data-dir" },
    { "csv", "csv:TRAIN,TEST: your own texts: rows of a class, counted from 1, and columns of text" },
};

const char *const *qgm_text_names(void)
{
    static const char *const names[] = { "ag-news", "csv", NULL };
    _Static_assert(QGM_COUNT(names) == QGM_COUNT(table) + 1, "every data set has a name");
    return names;
}

const char *qgm_text_about(const char *name)
{
    for (size_t i = 0; i < QGM_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0) return table[i].about;
    return "";
}

/* Two passes over the ids would cost more than room for the longest: grown by doubling. */
static int tokenize(struct qgm_tokens *to, const struct qgm_texts *texts, const struct qgm_vocab *vocab, int length,
                    struct qgm_error *err)
{
    uint32_t *start = malloc(((size_t)texts->n + 1) * sizeof *start);
    int32_t *token = NULL;
    size_t used = 0, room = 0;
    for (long i = 0; start && i < texts->n; i++) {
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
        used += (size_t)qgm_wordpiece(vocab, texts->byte + texts->start[i], texts->start[i + 1] - texts->start[i],
                                      token + used, length);
    }
    if (!start) {
        free(token);
        return qgm_fail(err, QGM_SYSTEM, "tokens: out of memory for %ld texts", texts->n);
    }
    start[texts->n] = (uint32_t)used;
    *to = (struct qgm_tokens){ .n = texts->n, .start = start, .token = token };
    return 0;
}

static int read_split(struct qgm_tokens *to, const char *path, int classes, const struct qgm_vocab *vocab, int length,
                      struct qgm_error *err)
{
    struct qgm_texts texts;
    QGM_TRY(qgm_read_csv(path, classes, &texts, err));
    int result = tokenize(to, &texts, vocab, length, err);
    if (result == 0) {
        to->labels = texts.label; /* handed over */
        texts.label = NULL;
        for (long i = 0; i < to->n; i++)
            if (to->labels[i] >= to->classes) to->classes = to->labels[i] + 1;
    }
    qgm_texts_close(&texts);
    return result;
}

static int read_all(struct qgm_text_dataset *d, const char *train, const char *test, const char *vocab, int classes,
                    int length, struct qgm_error *err)
{
    struct qgm_vocab *v;
    QGM_TRY(qgm_vocab_open(&v, vocab, err));
    d->vocabulary = qgm_vocab_size(v);
    int result = read_split(&d->train, train, classes, v, length, err);
    if (result == 0) result = read_split(&d->test, test, d->train.classes, v, length, err);
    d->test.classes = d->train.classes;
    qgm_vocab_close(&v);
    const struct qgm_tokens *all[] = { &d->train, &d->test };
    for (int s = 0; s < 2 && result == 0; s++)
        for (long i = 0; i < all[s]->n; i++) {
            int length_i = (int)(all[s]->start[i + 1] - all[s]->start[i]);
            if (length_i > d->longest) d->longest = length_i;
        }
    return result;
}

/* The vocabulary the user named, or one of the usual names in the folder or beside it. */
static int find_vocab(char path[QGM_PATH], const char *folder, const char *vocab, struct qgm_error *err)
{
    static const char *const usual[] = { "vocab.txt", "bert-base-uncased-vocab.txt", "../vocab/vocab.txt",
                                         "../vocab/bert-base-uncased-vocab.txt" };
    if (vocab) return snprintf(path, QGM_PATH, "%s", vocab), 0;
    for (size_t i = 0; i < QGM_COUNT(usual); i++) {
        int n = snprintf(path, QGM_PATH, "%s/%s", folder, usual[i]);
        if (n > 0 && n < QGM_PATH && access(path, F_OK) == 0) return 0;
    }
    return qgm_fail(err, QGM_INPUT,
                    "there is no vocab.txt in %s: a WordPiece vocabulary is needed, that of bert-base-uncased for "
                    "instance (./data/get-data vocab); name it with --vocab",
                    folder);
}

static int open_ag_news(struct qgm_text_dataset *d, const char *dir, const char *vocab, int length,
                        struct qgm_error *err)
{
    static const char *const classes[] = { "World", "Sports", "Business", "Sci/Tech" };
    static const struct qgm_place place = {
        .name = "ag-news",
        .subfolder = "ag_news",
        .probe = "train.csv",
        .how = "get train.csv and test.csv of the AG News data set of X. Zhang (./data/get-data ag-news), and name "
               "their folder with --data-dir",
    };
    char folder[QGM_PATH], train[QGM_PATH], test[QGM_PATH], tokens[QGM_PATH];
    d->name = place.name;
    d->class_names = classes;
    QGM_TRY(qgm_find_folder(folder, &place, dir, err));
    QGM_TRY(qgm_find_file(train, folder, "train.csv", &place, err));
    QGM_TRY(qgm_find_file(test, folder, "test.csv", &place, err));
    QGM_TRY(find_vocab(tokens, folder, vocab, err));
    return read_all(d, train, test, tokens, (int)QGM_COUNT(classes), length, err);
}

static int open_csv(struct qgm_text_dataset *d, const char *files, const char *dir, const char *vocab, int length,
                    struct qgm_error *err)
{
    char path[2][QGM_PATH], tokens[QGM_PATH];
    size_t first = strcspn(files, ",");
    d->name = "csv";
    if (!first || !files[first] || !files[first + 1] || first >= QGM_PATH / 2)
        return qgm_fail(err, QGM_USAGE, "--dataset csv:%s: expected csv:TRAIN,TEST", files);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? files + first + 1 : files;
        int n =
            snprintf(path[i], QGM_PATH, "%s%s%.*s", dir ? dir : "", dir ? "/" : "", i ? QGM_PATH : (int)first, name);
        if (n < 0 || n >= QGM_PATH) return qgm_fail(err, QGM_USAGE, "--dataset csv:%s: a path is too long", files);
    }
    QGM_TRY(find_vocab(tokens, dir ? dir : ".", vocab, err));
    return read_all(d, path[0], path[1], tokens, 0, length, err);
}

int qgm_text_open(struct qgm_text_dataset *d, const char *spec, const char *dir, const char *vocab, int length,
                  struct qgm_error *err)
{
    memset(d, 0, sizeof *d);
    if (length < 3 || length > 512) return qgm_fail(err, QGM_USAGE, "%d tokens an example: expected 3 to 512", length);
    int result;
    if (strcmp(spec, "ag-news") == 0)
        result = open_ag_news(d, dir, vocab, length, err);
    else if (strncmp(spec, "csv:", 4) == 0)
        result = open_csv(d, spec + 4, dir, vocab, length, err);
    else {
        const char *near = qgm_nearest(spec, qgm_text_names());
        result = qgm_fail(err, QGM_USAGE, "--dataset %s: unknown text data set: did you mean '%s'?", spec,
                          near ? near : "csv:TRAIN,TEST");
    }
    if (result < 0) qgm_text_close(d);
    return result;
}

void qgm_text_close(struct qgm_text_dataset *d)
{
    const struct qgm_tokens *all[] = { &d->train, &d->test };
    for (int i = 0; i < 2; i++) {
        free((void *)all[i]->start);
        free((void *)all[i]->token);
        free((void *)all[i]->labels);
    }
    memset(d, 0, sizeof *d);
}

int qgm_tokens_width(const struct qgm_tokens *from, const uint32_t *index, int n)
{
    uint32_t most = 0;
    for (int i = 0; i < n; i++) {
        uint32_t length = from->start[index[i] + 1] - from->start[index[i]];
        if (length > most) most = length;
    }
    return (int)most;
}

void qgm_tokens_fill(const struct qgm_tokens *from, const uint32_t *index, int n, int width, int32_t *ids,
                     int32_t *lengths, int32_t *labels)
{
    for (int i = 0; i < n; i++, ids += width) {
        uint32_t start = from->start[index[i]], length = from->start[index[i] + 1] - start;
        memcpy(ids, from->token + start, length * sizeof *ids);
        memset(ids + length, 0, ((size_t)width - length) * sizeof *ids);
        lengths[i] = (int32_t)length;
        labels[i] = from->labels[index[i]];
    }
}
