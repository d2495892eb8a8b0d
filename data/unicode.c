/* The little of Unicode that a BERT tokenizer needs. SPDX-License-Identifier: MIT */
#include "text.h"
#include "unicode_tables.h"

int32_t qgm_utf8_next(const char **at, const char *end)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* shorter forms exist below: refused */
    const uint8_t *b = (const uint8_t *)*at;
    int length = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf8 ? 4 : 0;
    if (!length || end - *at < length) return -1;
    uint32_t c = length == 1 ? b[0] : b[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) return -1;
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return -1;
    *at += length;
    return (int32_t)c;
}

int qgm_utf8_put(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(0xf00u >> length | c);
    return length;
}

/* The entry of a sorted table whose first..last holds c, or -1. All tables start with these two numbers. */
static long find(const void *table, size_t size, size_t count, uint32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct qgm_unicode_range *r = (const void *)((const char *)table + middle * size);
        if (c < r->first)
            high = middle;
        else if (c > r->last)
            low = middle + 1;
        else
            return (long)middle;
    }
    return -1;
}
#define FIND(table, c) find(table, sizeof *(table), QGM_COUNT(table), c)

enum {
    SYLLABLES = 0xac00,
    LEADING = 0x1100,
    VOWELS = 0x1161,
    TRAILING = 0x11a7,
    VOWEL_COUNT = 21,
    TRAILING_COUNT = 28
};

static int fold_syllable(uint32_t c, uint32_t to[4])
{
    uint32_t s = c - SYLLABLES;
    to[0] = LEADING + s / (VOWEL_COUNT * TRAILING_COUNT);
    to[1] = VOWELS + s / TRAILING_COUNT % VOWEL_COUNT;
    to[2] = TRAILING + s % TRAILING_COUNT;
    return to[2] == TRAILING ? 2 : 3;
}

int qgm_unicode_fold(uint32_t c, uint32_t to[4])
{
    to[0] = c;
    if (c < 0x80) {
        if (c - 'A' < 26) to[0] = c + 32;
        return 1;
    }
    if (c >= SYLLABLES && c < SYLLABLES + 11172) return fold_syllable(c, to);
    long i = FIND(qgm_unicode_moves, c);
    if (i >= 0 && (c - qgm_unicode_moves[i].first) % (uint32_t)qgm_unicode_moves[i].step == 0) {
        to[0] = c + (uint32_t)qgm_unicode_moves[i].distance;
        return 1;
    }
    if (FIND(qgm_unicode_dropped, c) >= 0) return 0;
    for (size_t k = 0; k < QGM_COUNT(qgm_unicode_sequences); k++)
        if (qgm_unicode_sequences[k].from == c) {
            int n = 0;
            for (; n < 4 && qgm_unicode_sequences[k].to[n]; n++) to[n] = qgm_unicode_sequences[k].to[n];
            return n;
        }
    i = FIND(qgm_unicode_pieces, c);
    if (i >= 0) to[0] = qgm_unicode_targets[qgm_unicode_pieces[i].at + c - qgm_unicode_pieces[i].first];
    return 1;
}

bool qgm_unicode_is_space(uint32_t c) { return FIND(qgm_unicode_spaces, c) >= 0; }
bool qgm_unicode_is_other(uint32_t c) { return FIND(qgm_unicode_others, c) >= 0; }

bool qgm_unicode_is_punctuation(uint32_t c)
{
    if (c < 0x80) return c > ' ' && c < 0x7f && !(c - '0' < 10 || c - 'A' < 26 || c - 'a' < 26);
    return FIND(qgm_unicode_punctuation, c) >= 0;
}

bool qgm_unicode_is_ideograph(uint32_t c)
{
    static const struct qgm_unicode_range blocks[] = {
        { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xf900, 0xfaff },   { 0x20000, 0x2a6df },
        { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f }, { 0x2b820, 0x2ceaf }, { 0x2f800, 0x2fa1f },
    };
    return FIND(blocks, c) >= 0;
}
