/* What the kernel tests share: buffers that end at a guard page, comparisons that name the case, random fillings.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_CHECK_H
#define QGM_CHECK_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "base.h"
#include "kernels.h"
#include "random.h"
#include <cmocka.h>

/* How many of n cases to run: all, or an eighth under a sanitizer. */
int check_count(int n);
int check_few(int n); /* the same for large shapes: fewer still under a sanitizer */

/* A buffer of `count` items of `size` bytes, filled with 0xff bytes (NaN), whose last byte is followed (end) or whose
 * first byte is preceded (start) by a page that may not be touched. Odd counts give pointers aligned to 4 bytes only.
 * check_free() releases every one. */
void *check_end(size_t count, size_t size);
void *check_start(size_t count, size_t size);
void check_free(void);

/* A buffer of floats from (-1, 1), at the end or start of its pages by turns. */
float *check_floats(struct qgm_random *r, size_t count);
/* Replace one element in `every` by NaN, infinity, minus infinity or minus zero. */
void check_poison(struct qgm_random *r, float *x, size_t count, uint32_t every);
/* A whole number from {0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65} that is <= most. */
int check_extent(struct qgm_random *r, int least, int most);

/* The name of the case at hand, printed by failures. */
void check_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same bits; a NaN equals any NaN, since its payload depends on the machine. */
void check_bits(const char *isa, const float *got, const float *want, size_t count);

/* What an output should be: the naive float chain in the order the contract states, the sum in double, and the sum of
 * absolute values that the forward-error bound scales with. */
struct check_value {
    float chain;
    double exact, size;
};
/* got is the chain bit for bit, and within (terms + 2) 2^-24 size of the exact sum. */
void check_values(const char *isa, const float *got, const struct check_value *want, size_t count, double terms);

/* Only the second of these. */
void check_near(const char *isa, const float *got, const struct check_value *want, size_t count, double terms);

/* The table of the oneDNN backend, or NULL in a build without it. It promises values, not bits. */
const struct qgm_kernels *check_backend(void);

/* For every table this CPU runs. */
#define CHECK_EACH_ISA(table)                                                                                          \
    for (const char *const *isa_ = qgm_isas_usable(); *isa_; isa_++)                                                   \
        for (const struct qgm_kernels *table = qgm_kernels_named(*isa_); table; table = NULL)

#endif
