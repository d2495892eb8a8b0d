/* Compression of messages, block by block: each block of QGM_BLOCK coordinates on its own, which keeps the guarantee of
 * the whole-vector form, E || C(z) - z ||^2 <= (1 - delta) || z ||^2 with the same delta, and needs no barrier.
 *
 *   topk   the ratio with the largest |z|; ties: the lower index
 *   randk  the ratio drawn uniformly, not rescaled (contractive, biased)
 *   sign   sign(z) times the mean |z|
 *   qsgd   || z || sign(z) floor(s |z| / || z || + u) / s, u uniform, divided by 1 + min(len/s^2, sqrt(len)/s)
 *   none   z
 *
 * Random numbers depend on (seed, client, step, block) alone. SPDX-License-Identifier: MIT */
#ifndef QGM_COMPRESS_H
#define QGM_COMPRESS_H
#include "block.h"
#include "random.h"

enum { COMPRESS_NONE, COMPRESS_TOPK, COMPRESS_RANDK, COMPRESS_SIGN, COMPRESS_QSGD };
enum { COMPRESSOR, RATIO, LEVELS, COMPRESS_OWN_KNOBS }; /* knobs; an algorithm's own follow */
__attribute__((unused)) static const char *const compressors[] = { "none", "topk", "randk", "sign", "qsgd", NULL };
#define COMPRESS_KNOBS                                                                                                 \
    { "compressor", "of messages", COMPRESS_TOPK, .choices = compressors },                                            \
        { "ratio", "of coordinates kept (topk, randk)", 0.1, 1e-6, 1 },                                                \
    {                                                                                                                  \
        "levels", "of qsgd: 2^bits - 1", 15, 1, 32767, true                                                            \
    }

static inline size_t compress_kept_(const struct qgm_step *s, size_t len)
{
    size_t k = (size_t)((double)len * s->knob[RATIO] + 0.5);
    return k < 1 ? 1 : k;
}

static inline int compress_bits_(double levels) /* of sign and level */
{
    int bits = 1;
    for (double top = 1; top <= levels; top *= 2) bits++;
    return bits;
}

/* Of 32 bits, what a coordinate costs: kept ones with 10 bits of index, signs and levels with one float a block. */
__attribute__((unused)) static double compress_fraction(const struct qgm_step *s)
{
    double block = QGM_BLOCK;
    switch ((int)s->knob[COMPRESSOR]) {
    case COMPRESS_TOPK:
        return (double)compress_kept_(s, QGM_BLOCK) / block * 42 / 32;
    case COMPRESS_RANDK: /* the receiver draws the same indices */
        return (double)compress_kept_(s, QGM_BLOCK) / block;
    case COMPRESS_SIGN:
        return (1 + 32 / block) / 32;
    case COMPRESS_QSGD:
        return (compress_bits_(s->knob[LEVELS]) + 32 / block) / 32;
    default:
        return 1;
    }
}

/* ---- The k largest magnitudes ----
 * A threshold that exactly k reach picks them, whichever it is. The first guess is where it would be if magnitudes were
 * distributed as those of normal numbers. Those that reach a guess, when they are enough, are set aside, and the search
 * goes on among them alone, a tenth of the block or so: along the line through the last two thresholds, and
 * halving every fourth time, it finds one after about five more counts on the usual distributions. Where there is none,
 * or it is hidden, bits of non-negative floats order as the floats do, so that halving ends at the k-th magnitude after
 * at most as many counts as there are bits. NaN counts as large: divergence must show. */

#ifdef QGM_DOUBLE
typedef uint64_t compress_bits;
#else
typedef uint32_t compress_bits;
#endif
union compress_pun {
    real value;
    compress_bits bits;
};
static inline real compress_real_(compress_bits bits) { return (union compress_pun){ .bits = bits }.value; }
static inline compress_bits compress_magnitude_(real z) { return (union compress_pun){ .value = z }.bits << 1 >> 1; }

/* How many of len magnitudes (a multiple of 16) are not below the threshold. */
static inline size_t compress_reach_(const real *size, size_t len, real threshold)
{
    vf t = vf_set1(threshold);
    size_t count = len;
    for (size_t k = 0; k < len; k += VF) count -= (size_t)vf_count(vf_gt(t, vf_load(size + k)));
    return count;
}

/* Set them aside, zeros up to a multiple of 16 behind them: how many there are. */
static inline size_t compress_gather_(const real *z, size_t len, real threshold, real *size)
{
    vf t = vf_set1(threshold);
    size_t count = 0;
    for (size_t k = 0; k < len; k += VF) {
        vf v = vf_abs(vf_load(z + k));
        count += (size_t)vf_pack_unless(size + count, v, vf_gt(t, v));
    }
    vf_store(size + count, vf_zero());
    return count;
}

/* The largest magnitude, and the sum of all: not finite where there is NaN or infinity. Four of each: one alone would
 * wait for itself. */
static inline void compress_survey_(const real *z, size_t len, real *most, real *total)
{
    vf largest[4] = { vf_zero(), vf_zero(), vf_zero(), vf_zero() },
       sum[4] = { vf_zero(), vf_zero(), vf_zero(), vf_zero() };
    size_t k = 0;
    for (; k + 4 * VF <= len; k += 4 * VF) UNROLL
    for (int i = 0; i < 4; i++) {
        vf size = vf_abs(vf_load(z + k + (size_t)i * VF));
        largest[i] = vf_max(size, largest[i]);
        sum[i] = vf_add(sum[i], size);
    }
    for (; k < len; k += VF) {
        vf size = vf_abs(vf_load(z + k));
        largest[0] = vf_max(size, largest[0]);
        sum[0] = vf_add(sum[0], size);
    }
    *most = vf_most(vf_max(vf_max(largest[0], largest[1]), vf_max(largest[2], largest[3])));
    *total = vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

/* For the k largest of len normal numbers, the threshold over their mean magnitude, near enough for a first guess, and
 * rather too low: 1.9 for a tenth (exactly 2.06), 3.5 (3.23) for a hundredth, 4.9 (4.12) for a thousandth. */
static inline real compress_guess_(size_t len, size_t k)
{
    double folds = 0, part = (double)len / (double)k;
    for (; part > 2; part /= 2) folds++;
    return (real)(0.25 + 0.46 * (folds + part - 1));
}

/* Zero what is below the threshold. */
static inline void compress_drop_(real *z, size_t len, real threshold)
{
    vf t = vf_set1(threshold);
    for (size_t k = 0; k < len; k += VF) {
        vf v = vf_load(z + k);
        vf_store(z + k, vf_select(vf_gt(t, vf_abs(v)), vf_zero(), v));
    }
}

/* Zero what is below `size`, and all of that size but the first so many. */
static inline void compress_drop_ties_(real *z, size_t len, compress_bits size, size_t ties)
{
    for (size_t i = 0; i < len; i++) {
        compress_bits mine = compress_magnitude_(z[i]);
        if (mine > size) continue;
        if (mine == size && ties)
            ties--;
        else
            z[i] = 0;
    }
}

/* Bits of two thresholds, the lower of which at least k reach, and the higher `below`, fewer than k; and the
 * last one that was tried, with how many reach it. */
struct compress_search {
    compress_bits low, high;
    size_t below;
    real last;
    size_t reached;
};

/* Where to look next, having tried `middle`, which `count` reach. On the line through the last two that were tried, if
 * it leads between the two nearest; after the first try so much higher as costs a few of many normal numbers. At last,
 * and every fourth time, in the middle. */
enum { COMPRESS_GUESSES = 16 };
static inline compress_bits compress_next_(struct compress_search *at, real middle, size_t count, size_t k, int round)
{
    real step = (real)count - (real)k, fallen = (real)at->reached - (real)count;
    step *= round ? (middle - at->last) / fallen : middle * (real)0.57 / (real)(count + k);
    at->last = middle, at->reached = count;
    compress_bits guess = middle + step > 0 ? compress_magnitude_(middle + step) : 0;
    bool lost = round % 4 == 3 || round >= COMPRESS_GUESSES || !(guess > at->low && guess < at->high);
    return lost ? at->low + (at->high - at->low) / 2 : guess;
}

static inline void compress_topk_(const struct qgm_block *b, real *z, size_t k)
{
    size_t len = b->len, few = 0; /* few: of size, a multiple of 16; 0: none is set aside yet */
    real most, total, size[QGM_BLOCK + VF];
    compress_survey_(z, len, &most, &total);
    meanwhile(b);
    struct compress_search at = { 0, compress_magnitude_(most) + 1, 0, 0, 0 };
    /* NaN and infinities among them: where more than k reach `high`, there is nothing to choose. */
    if (total - total != 0 && (at.below = compress_gather_(z, len, compress_real_(at.high), size)) >= k) return;
    compress_bits middle = compress_magnitude_(total / (real)b->used * compress_guess_(len, k));
    if (middle <= at.low || middle >= at.high) middle = at.low + (at.high - at.low) / 2;
    for (int round = 0; at.high - at.low > 1; round++) {
        real threshold = compress_real_(middle);
        bool all = few == 0;
        size_t count = all ? compress_gather_(z, len, threshold, size) : compress_reach_(size, few, threshold);
        meanwhile(b);
        if (count == k) {
            compress_drop_(z, len, threshold);
            return;
        }
        if (count > k)
            at.low = middle;
        else
            at.high = middle, at.below = count;
        if (all && count > k) few = (count + VF - 1) / VF * VF;
        middle = compress_next_(&at, threshold, count, k, round);
    }
    compress_drop_ties_(z, len, at.low, k - at.below);
}

/* k of len coordinates, every choice as likely (Floyd's algorithm): a draw for each that is kept. */
static inline void compress_randk_(real *z, size_t len, size_t k, struct qgm_random *r)
{
    uint64_t kept[QGM_BLOCK / 64] = { 0 };
    for (size_t top = len - k; top < len; top++) {
        size_t i = qgm_random_below(r, (uint32_t)top + 1);
        if (kept[i / 64] >> i % 64 & 1) i = top;
        kept[i / 64] |= UINT64_C(1) << i % 64;
    }
    for (size_t i = 0; i < len; i++) z[i] = kept[i / 64] >> i % 64 & 1 ? z[i] : 0;
}

static inline void compress_sign_(real *z, size_t len, size_t used)
{
    vf sum = vf_zero();
    for (size_t k = 0; k < len; k += VF) sum = vf_add(sum, vf_abs(vf_load(z + k)));
    vf scale = vf_set1(vf_sum(sum) / (real)used), minus = vf_neg(scale);
    for (size_t k = 0; k < used; k += VF) {
        vf v = vf_load(z + k), positive = vf_select(vf_gt(v, vf_zero()), scale, vf_zero()); /* gaps of a model stay 0 */
        vf signs = vf_select(vf_gt(vf_zero(), v), minus, positive);
        vf_store_n(z + k, signs, used - k < VF ? (int)(used - k) : VF);
    }
}

/* Rounding s |z| / || z || + u - 1/2 to the nearest is taking the floor of s |z| / || z || + u. */
static inline void compress_qsgd_(real *z, size_t len, size_t used, double levels, struct qgm_random *r)
{
    vf square = vf_zero();
    for (size_t k = 0; k < len; k += VF) square = vf_fma(vf_load(z + k), vf_load(z + k), square);
    double norm = __builtin_sqrt((double)vf_sum(square)), spread = (double)used / (levels * levels);
    if (!(norm > 0)) return;
    double root = __builtin_sqrt((double)used) / levels, scale = norm / levels / (1 + (spread < root ? spread : root));
    vf up = vf_set1((real)(levels / norm)), down = vf_set1((real)scale);
    for (size_t k = 0; k < len; k += VF) {
        real u[VF];
        for (int i = 0; i < VF; i++) u[i] = (real)qgm_random_float(r) - (real)0.5;
        vf v = vf_load(z + k), size = vf_mul(vf_round(vf_fma(up, vf_abs(v), vf_load(u))), down);
        vf_store(z + k, vf_select(vf_gt(vf_zero(), v), vf_neg(size), size));
    }
}

/* Compress one message of one block in place; `message` tells several of one step apart. Padding stays zero. */
__attribute__((unused)) static void compress(const struct qgm_step *s, const struct qgm_block *b, real *z, int message)
{
    uint32_t purpose_step = (uint32_t)s->t * QGM_MAX_MESSAGES + (uint32_t)message;
    size_t number = b->at / QGM_BLOCK;
    uint32_t stream = (uint32_t)number * 65536u + (uint32_t)b->client; /* clients are fewer than 65536 */
    struct qgm_random r = qgm_random(s->seed, QGM_RANDOM_COMPRESS, stream, purpose_step);
    r.stream[0] += (uint32_t)(number >> 16) << 8; /* of large models; purposes are below 256 */
    switch ((int)s->knob[COMPRESSOR]) {
    case COMPRESS_TOPK:
        compress_topk_(b, z, compress_kept_(s, b->used));
        break;
    case COMPRESS_RANDK:
        compress_randk_(z, b->used, compress_kept_(s, b->used), &r);
        break;
    case COMPRESS_SIGN:
        compress_sign_(z, b->len, b->used);
        break;
    case COMPRESS_QSGD:
        compress_qsgd_(z, b->len, b->used, s->knob[LEVELS], &r);
        break;
    default:
        break;
    }
}

#endif
