/* Guarded buffers and comparisons for the kernel tests. SPDX-License-Identifier: MIT */
#include "check.h"
#ifdef QGM_HAVE_ONEDNN
#include "onednn.h"
#endif
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
enum { SHARE = 8 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SHARE = 8 };
#else
enum { SHARE = 1 };
#endif
#else
enum { SHARE = 1 };
#endif

int check_count(int n) { return (n + SHARE - 1) / SHARE; }
int check_few(int n) { return SHARE == 1 ? n : (n + 31) / 32; }

static struct {
    void *base;
    size_t bytes;
} maps[256];
static size_t used;
static char label[256];

/* Whole pages around `bytes`, with one page more on each side that may not be touched. Returns the first usable byte.
 */
static char *map(size_t bytes, size_t *usable)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *usable = (bytes + page - 1) / page * page;
    size_t whole = *usable + 2 * page;
    char *base = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    assert_true(used < QGM_COUNT(maps));
    maps[used].base = base;
    maps[used++].bytes = whole;
    if (*usable) assert_int_equal(mprotect(base + page, *usable, PROT_READ | PROT_WRITE), 0);
    memset(base + page, 0xff, *usable);
    return base + page;
}

void *check_end(size_t count, size_t size)
{
    size_t usable;
    char *first = map(count * size, &usable);
    return first + usable - count * size;
}

void *check_start(size_t count, size_t size)
{
    size_t usable;
    return map(count * size, &usable);
}

void check_free(void)
{
    while (used) {
        used--;
        munmap(maps[used].base, maps[used].bytes);
    }
}

float *check_floats(struct qgm_random *r, size_t count)
{
    float *x = qgm_random_below(r, 4) ? check_end(count, sizeof *x) : check_start(count, sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = 2 * qgm_random_float(r) - 1;
    return x;
}

void check_poison(struct qgm_random *r, float *x, size_t count, uint32_t every)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, -0.0f };
    for (size_t i = 0; i < count; i++)
        if (!qgm_random_below(r, every)) x[i] = odd[qgm_random_below(r, 4)];
}

int check_extent(struct qgm_random *r, int least, int most)
{
    static const int extents[] = { 0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65 };
    for (;;) {
        int e = extents[qgm_random_below(r, QGM_COUNT(extents))];
        if (e >= least && e <= most) return e;
    }
}

void check_case(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(label, sizeof label, format, args);
    va_end(args);
}

static uint32_t bits(float a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return u;
}
static bool same(float a, float b) { return bits(a) == bits(b) || (isnan(a) && isnan(b)); }

void check_bits(const char *isa, const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!same(got[i], want[i]))
            fail_msg("%s, %s: element %zu is %.9g (%08x), expected %.9g (%08x)", label, isa, i, (double)got[i],
                     bits(got[i]), (double)want[i], bits(want[i]));
}

void check_near(const char *isa, const float *got, const struct check_value *want, size_t count, double terms)
{
    for (size_t i = 0; i < count; i++) {
        const struct check_value *w = want + i;
        bool finite = isfinite(w->exact);
        bool near = finite            ? fabs((double)got[i] - w->exact) <= (terms + 2) * 0x1p-24 * w->size
                    : isnan(w->exact) ? isnan(got[i])
                                      : (double)got[i] == w->exact;
        if (!near)
            fail_msg("%s, %s: element %zu is %.9g, in double %.17g, bound %.3g", label, isa, i, (double)got[i],
                     w->exact, (terms + 2) * 0x1p-24 * w->size);
    }
}

void check_values(const char *isa, const float *got, const struct check_value *want, size_t count, double terms)
{
    for (size_t i = 0; i < count; i++)
        if (!same(got[i], want[i].chain))
            fail_msg("%s, %s: element %zu is %.9g (%08x), its chain gives %.9g (%08x)", label, isa, i, (double)got[i],
                     bits(got[i]), (double)want[i].chain, bits(want[i].chain));
    check_near(isa, got, want, count, terms);
}

const struct qgm_kernels *check_backend(void)
{
#ifdef QGM_HAVE_ONEDNN
    return qgm_onednn(qgm_kernels_named("auto"));
#else
    return NULL;
#endif
}
