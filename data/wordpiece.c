/* WordPiece, as uncased BERT cuts texts. SPDX-License-Identifier: MIT */
#include "text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    MOST_TOKENS = 1 << 20,
    LONGEST_WORD = 100, /* characters: longer words are [UNK], as in the released tokenizer */
    LONGEST_TOKEN = 400,
};

struct qgm_vocab {
    char *bytes;   /* the file: tokens, each ended by 0 */
    char **token;  /* count */
    int32_t *slot; /* hash table: ids, -1 where empty */
    uint32_t mask; /* slots - 1 */
    int count, unknown, cls, sep;
};

static int find(const struct qgm_vocab *v, const char *text, size_t size)
{
    for (uint32_t at = (uint32_t)XXH3_64bits(text, size);; at++) {
        int32_t id = v->slot[at & v->mask];
        if (id < 0 || (strncmp(v->token[id], text, size) == 0 && !v->token[id][size])) return id;
    }
}

/* Cut the file into lines and fill the table, which is at most half full. */
static int index_lines(struct qgm_vocab *v, const char *path, size_t size, struct qgm_error *err)
{
    int lines = 0;
    for (size_t k = 0; k < size; k++) lines += v->bytes[k] == '\n';
    lines += size > 0 && v->bytes[size - 1] != '\n';
    if (lines < 1 || lines > MOST_TOKENS)
        return qgm_fail(err, QGM_INPUT, "%s: %d lines, expected a vocabulary of 1 to %d tokens, one a line", path,
                        lines, MOST_TOKENS);
    for (v->mask = 1; v->mask < 2 * (uint32_t)lines; v->mask *= 2) {
    }
    v->token = malloc((size_t)lines * sizeof *v->token);
    v->slot = malloc((size_t)v->mask * sizeof *v->slot);
    if (!v->token || !v->slot) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    memset(v->slot, 0xff, v->mask-- * sizeof *v->slot);
    char *at = v->bytes;
    for (v->count = 0; v->count < lines; v->count++) {
        size_t length = strcspn(at, "\r\n");
        char *next = at + length + (at[length] == '\r');
        if (length > LONGEST_TOKEN || (next < v->bytes + size && *next != '\n'))
            return qgm_fail(err, QGM_INPUT, "%s: line %d: not a token of at most %d bytes", path, v->count + 1,
                            LONGEST_TOKEN);
        bool more = *next == '\n';
        at[length] = 0;
        v->token[v->count] = at;
        if (find(v, at, length) < 0) { /* the first of equal lines counts */
            uint32_t slot = (uint32_t)XXH3_64bits(at, length);
            while (v->slot[slot & v->mask] >= 0) slot++;
            v->slot[slot & v->mask] = v->count;
        }
        at = next + more;
    }
    return 0;
}

static int read_vocab(struct qgm_vocab *v, const char *path, struct qgm_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
    size_t room = (size_t)MOST_TOKENS * 16;
    v->bytes = malloc(room);
    size_t size = v->bytes ? fread(v->bytes, 1, room - 1, f) : 0;
    bool failed = ferror(f), longer = size == room - 1;
    fclose(f);
    if (!v->bytes) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    if (failed) return qgm_fail(err, QGM_SYSTEM, "cannot read %s: %s", path, strerror(errno));
    if (longer) return qgm_fail(err, QGM_INPUT, "%s: longer than %zu bytes: not a vocabulary", path, room - 1);
    v->bytes[size] = 0;
    QGM_TRY(index_lines(v, path, size, err));
    const struct {
        const char *token;
        int *id;
    } special[] = { { "[UNK]", &v->unknown }, { "[CLS]", &v->cls }, { "[SEP]", &v->sep } };
    for (size_t i = 0; i < QGM_COUNT(special); i++)
        if ((*special[i].id = qgm_vocab_id(v, special[i].token)) < 0)
            return qgm_fail(err, QGM_INPUT, "%s: has no line %s: expected a BERT vocabulary", path, special[i].token);
    return 0;
}

int qgm_vocab_open(struct qgm_vocab **vocab, const char *path, struct qgm_error *err)
{
    struct qgm_vocab *v = *vocab = calloc(1, sizeof *v);
    if (!v) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    if (read_vocab(v, path, err) == 0) return 0;
    qgm_vocab_close(vocab);
    return -1;
}

void qgm_vocab_close(struct qgm_vocab **vocab)
{
    if (!*vocab) return;
    free((*vocab)->bytes);
    free((*vocab)->token);
    free((*vocab)->slot);
    free(*vocab);
    *vocab = NULL;
}

int qgm_vocab_size(const struct qgm_vocab *v) { return v->count; }
int qgm_vocab_id(const struct qgm_vocab *v, const char *token) { return find(v, token, strlen(token)); }

/* The word being collected, and where its ids go. */
struct cutter {
    const struct qgm_vocab *vocab;
    int32_t *ids;
    int count, most; /* most: [SEP] not counted */
    int characters;
    size_t size;
    char word[2 + 4 * LONGEST_WORD]; /* two bytes of room in front for "##" */
};

static void put(struct cutter *c, int id)
{
    if (c->count < c->most) c->ids[c->count++] = id;
}

/* Greedy longest match first; a word with a piece that is not in the vocabulary is unknown as a whole. */
static void end_word(struct cutter *c)
{
    int32_t pieces[LONGEST_WORD];
    int n = 0;
    char *word = c->word + 2, *from = word, *end = word + c->size;
    bool known = c->characters <= LONGEST_WORD;
    while (known && from < end) {
        char *start = from, *to = end, kept[2] = { 0 };
        if (from > word) { /* pieces inside a word are written with ## */
            start -= 2;
            memcpy(kept, start, 2);
            memcpy(start, "##", 2);
        }
        int id = find(c->vocab, start, (size_t)(to - start));
        while (id < 0 && --to > from)
            if (((unsigned char)*to & 0xc0) != 0x80) id = find(c->vocab, start, (size_t)(to - start));
        if (from > word) memcpy(start, kept, 2);
        known = id >= 0;
        if (known) pieces[n++] = id;
        from = to;
    }
    if (c->characters && !known) put(c, c->vocab->unknown);
    for (int k = 0; k < n && known; k++) put(c, pieces[k]);
    c->characters = 0;
    c->size = 0;
}

/* A character that was folded already. Punctuation and ideographs are words of their own. */
static void add(struct cutter *c, uint32_t character, bool alone)
{
    if (alone) end_word(c);
    if (c->characters < LONGEST_WORD) c->size += (size_t)qgm_utf8_put(character, c->word + 2 + c->size);
    c->characters++;
    if (alone) end_word(c);
}

int qgm_wordpiece(const struct qgm_vocab *v, const char *text, size_t size, int32_t *ids, int most)
{
    struct cutter c = { .vocab = v, .ids = ids, .most = most - 1 };
    put(&c, v->cls);
    for (const char *at = text, *end = text + size; at < end && c.count < c.most;) {
        int32_t code = qgm_utf8_next(&at, end);
        uint32_t character = (uint32_t)code, folded[4];
        if (code < 0) at++;
        if (code <= 0 || code == 0xfffd) continue;
        if (qgm_unicode_is_other(character)) continue; /* a form feed too, which is both: nothing, as in BERT */
        if (qgm_unicode_is_space(character))
            end_word(&c);
        else {
            int n = qgm_unicode_fold(character, folded);
            for (int k = 0; k < n; k++)
                add(&c, folded[k], qgm_unicode_is_ideograph(character) || qgm_unicode_is_punctuation(folded[k]));
        }
    }
    end_word(&c);
    ids[c.count++] = v->sep;
    return c.count;
}
