/* Arenas: one allocation, many aligned pieces. SPDX-License-Identifier: MIT */
#include "base.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define QGM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QGM_ASAN 1
#endif
#endif
#ifdef QGM_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define RED_ZONE       64 /* between pieces, so that an overrun is caught at the first byte */
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE       0
#endif

size_t qgm_piece(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > QGM_MOST_BYTES - 2 * QGM_ALIGN) return QGM_MOST_BYTES;
    return (bytes + QGM_ALIGN - 1) / QGM_ALIGN * QGM_ALIGN + RED_ZONE;
}

/* Large arenas on huge pages, where the system has them: rows of many clients side by side need a page each. Returns
 * the size, rounded up. */
static size_t allocate(void **base, size_t size)
{
    const size_t huge = (size_t)2 << 20;
    bool large = size >= 2 * huge;
    if (large) size = (size + huge - 1) / huge * huge;
    *base = aligned_alloc(large ? huge : QGM_ALIGN, size);
#ifdef MADV_HUGEPAGE
    if (*base && large) madvise(*base, size, MADV_HUGEPAGE); /* advice: it may fail */
#endif
    return size;
}

int qgm_arena_open(struct qgm_arena *arena, size_t bytes, struct qgm_error *err)
{
    *arena = (struct qgm_arena){ 0 };
    size_t size = qgm_piece(bytes, 1);
    void *base = NULL;
    if (size < QGM_MOST_BYTES) size = allocate(&base, size);
    if (!base)
        return qgm_fail(err, QGM_SYSTEM,
                        "cannot allocate %.1f MiB of memory: use fewer clients, a smaller model or a smaller batch",
                        (double)bytes / (1 << 20));
    POISON(base, size);
    *arena = (struct qgm_arena){ .base = base, .size = size };
    return 0;
}

void qgm_arena_close(struct qgm_arena *arena)
{
    if (arena->base) UNPOISON(arena->base, arena->size);
    free(arena->base);
    *arena = (struct qgm_arena){ 0 };
}

void *qgm_take(struct qgm_arena *arena, size_t count, size_t size)
{
    size_t bytes = qgm_piece(count, size), at = arena->used;
    assert(bytes <= arena->size - at && "an arena is sized by the matching ..._arena() query");
    arena->used = at + bytes;
    UNPOISON(arena->base + at, bytes - RED_ZONE);
#ifdef QGM_CHECKS
    memset(arena->base + at, 0xff, bytes - RED_ZONE); /* NaN: reading what nobody wrote shows */
#endif
    return arena->base + at;
}

size_t qgm_mark(const struct qgm_arena *arena) { return arena->used; }

void qgm_release(struct qgm_arena *arena, size_t mark)
{
    assert(mark <= arena->used);
    POISON(arena->base + mark, arena->used - mark);
    arena->used = mark;
}
