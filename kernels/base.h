/* The floor every folder stands on: errors, arenas. SPDX-License-Identifier: MIT */
#ifndef QGM_BASE_H
#define QGM_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QGM_COUNT(array) (sizeof(array) / sizeof *(array))
#define QGM_ALIGN        64 /* bytes: a cache line, and the widest vector register */

/* ---- Errors ------------------------------------------------------------------------------------------------------
 * Everything that touches the outside returns 0, or -1 with a sentence in a struct the caller owns. The sentence names
 * the file, line, offset or flag, what was found and what was expected. The library never prints and never exits. */
enum qgm_error_kind {
    QGM_OK,
    QGM_USAGE,  /* the user's command cannot be carried out as written: programs exit 2 */
    QGM_INPUT,  /* a file is damaged or does not fit: programs exit 1 */
    QGM_SYSTEM, /* the operating system refused: programs exit 1 */
};
struct qgm_error {
    enum qgm_error_kind kind;
    char text[600];
};

/* Write the sentence. Always returns -1, so that `return qgm_fail(...)` reads well. err may be NULL. */
int qgm_fail(struct qgm_error *err, enum qgm_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "prefix: " in front of an error on its way up. Always returns -1. */
int qgm_fail_in(struct qgm_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define QGM_TRY(call)                                                                                                  \
    do {                                                                                                               \
        if ((call) < 0) return -1;                                                                                     \
    } while (0)

/* The entry of a NULL-terminated list of names that is nearest to `name` (edit distance), or NULL if none is near.
 * Used for "unknown algorithm 'qg-dgsdm': did you mean 'qg-dsgdm'?". */
const char *qgm_nearest(const char *name, const char *const *names);

/* ---- Arenas ------------------------------------------------------------------------------------------------------
 * A run allocates once and then only takes from arenas. Sizes come from the matching ..._arena() query, so running out
 * is a bug (assert), not a condition. Pieces are 64-byte aligned, and their sizes are rounded up to 64 bytes, so a
 * vector kernel may read and write up to the next multiple of 16 floats. Built with QGM_CHECKS, a piece starts as NaN
 * and the gaps between pieces are poisoned for AddressSanitizer. */
struct qgm_arena {
    char *base;
    size_t size, used;
};
/* Bytes a piece of `count` items of `size` bytes costs, to add up before opening. Saturates at QGM_MOST_BYTES: more
 * than a process can address, so opening is refused, and so little that sums of 65535 pieces do not wrap around. */
#define QGM_MOST_BYTES (SIZE_MAX / (sizeof(size_t) > 4 ? 65536 : 8)) /* 256 TiB with 64 bits */
size_t qgm_piece(size_t count, size_t size);
/* Allocate. 0, or -1 (QGM_SYSTEM) when the machine has not that much memory. */
int qgm_arena_open(struct qgm_arena *arena, size_t bytes, struct qgm_error *err);
void qgm_arena_close(struct qgm_arena *arena); /* safe on a zeroed struct */
void *qgm_take(struct qgm_arena *arena, size_t count, size_t size);
size_t qgm_mark(const struct qgm_arena *arena);
void qgm_release(struct qgm_arena *arena, size_t mark); /* give back all that was taken since mark */

static inline size_t qgm_pad16(size_t count) { return (count + 15) / 16 * 16; }

#ifdef __cplusplus
}
#endif
#endif
