/* The k largest magnitudes of a block: all others become 0, of equal ones the later. For files compiled per ISA.
 *
 * A threshold that exactly k reach picks them, whichever it is. The first guess is where rather more would reach it if
 * magnitudes were distributed as those of normal numbers; those that do are set aside, a sixth of the block or so, and
 * the search goes on among them alone: along the line through the last two thresholds, and halving every fourth time,
 * it finds one after about six counts on the usual distributions. Where there is none, or it is hidden, bits of
 * non-negative floats order as the floats do, so that halving ends at the k-th magnitude. NaN counts as large:
 * divergence must show.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_TOPK_H
#define QGM_TOPK_H
#include "block.h"

#ifdef QGM_DOUBLE
typedef uint64_t topk_bits;
#else
typedef uint32_t topk_bits;
#endif
union topk_pun {
    real value;
    topk_bits bits;
};
static inline real topk_real_(topk_bits bits) { return (union topk_pun){ .bits = bits }.value; }
static inline topk_bits topk_magnitude_(real z) { return (union topk_pun){ .value = z }.bits << 1 >> 1; }

/* Apart from the magnitudes set aside, so that it stays in registers. */
struct topk {
    topk_bits low, high;    /* thresholds: at least k reach the one, fewer than k the other */
    size_t at_low, at_high; /* how many do */
    real last;              /* the one that was tried last, and how many reach it */
    size_t at_last;         /* 0: none */
};

/* ---- Passes over vectors ---- */

/* The largest magnitude but for NaN, and the sum of all: not finite where there is NaN or infinity. Four of each: one
 * alone would wait for itself. */
static inline void topk_survey_(const real *z, size_t len, real *most, real *total)
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

/* How many are not below the threshold. */
static inline size_t topk_reach_(const real *z, size_t len, real threshold)
{
    vf t = vf_set1(threshold);
    size_t count = len;
    for (size_t k = 0; k < len; k += VF) count -= (size_t)vf_count(vf_gt(t, vf_abs(vf_load(z + k))));
    return count;
}

/* Set their magnitudes aside, zeros up to a multiple of 16 behind them: how many there are. */
static inline size_t topk_gather_(const real *z, size_t len, real threshold, real *size)
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

/* Zero what is below the threshold. */
static inline void topk_drop_(real *z, size_t len, real threshold)
{
    vf t = vf_set1(threshold);
    for (size_t k = 0; k < len; k += VF) {
        vf v = vf_load(z + k);
        vf_store(z + k, vf_select(vf_gt(t, vf_abs(v)), vf_zero(), v));
    }
}

/* Zero what is below `size`, and all of that size but the first so many. */
static inline void topk_drop_ties_(real *z, size_t len, topk_bits size, size_t ties)
{
    real same = topk_real_(size), more = topk_real_(size + 1);
    for (size_t k = 0; k < len; k += VF) {
        size_t equal = topk_reach_(z + k, VF, same) - topk_reach_(z + k, VF, more), kept = 0;
        topk_drop_(z + k, VF, ties ? same : more);
        for (size_t i = k; ties && ties < equal && i < k + VF; i++) /* they run out in here */
            if (topk_magnitude_(z[i]) == size && kept++ >= ties) z[i] = 0;
        ties -= equal < ties ? equal : ties;
    }
}

/* ---- The search ---- */

/* For the k largest of len normal numbers, the threshold over their mean magnitude, near enough for a first guess: 1.7
 * for a tenth (exactly 2.06), 3.3 (3.23) for a hundredth, 4.8 (4.12) for a thousandth. */
static inline real topk_guess_(size_t len, size_t k)
{
    double folds = 0, part = (double)len / (double)k;
    for (; part > 2; part /= 2) folds++;
    return (real)(0.25 + 0.46 * (folds + part - 1));
}

/* Find a threshold that at least k reach, and set those aside that do: false where fewer than k are not 0. */
enum { TOPK_GUESSES = 16 };
static inline bool topk_set_aside_(struct topk *s, const struct qgm_block *b, const real *z, size_t k, real guess,
                                   real *size)
{
    for (int round = 0; s->high > 1; round++) {
        topk_bits middle = round < TOPK_GUESSES ? topk_magnitude_(guess) : 1;
        if (middle < 1 || middle >= s->high) middle = 1;
        if (round == 1 && topk_reach_(z, b->len, topk_real_(1)) < k) return false;
        size_t count = topk_gather_(z, b->len, topk_real_(middle), size);
        meanwhile(b);
        if (count >= k) {
            s->low = middle, s->at_low = count;
            return true;
        }
        s->high = middle, s->at_high = count;
        guess /= 2;
    }
    return false;
}

/* Where to look next. On the line through the last two thresholds, if it leads between the two nearest; after the first
 * so much higher as costs a few of many normal numbers. At last, and every fourth time, in the middle. */
static inline topk_bits topk_next_(const struct topk *s, real tried, size_t count, size_t k, int round)
{
    real step = (real)count - (real)k, fallen = (real)s->at_last - (real)count;
    step *= s->at_last ? (tried - s->last) / fallen : tried * (real)0.57 / (real)(count + k);
    topk_bits next = tried + step > 0 ? topk_magnitude_(tried + step) : 0;
    bool lost = round % 4 == 3 || round >= TOPK_GUESSES || !(next > s->low && next < s->high);
    return lost ? s->low + (s->high - s->low) / 2 : next;
}

/* Search among those set aside, until k reach `low`, or all between are equal. */
static inline void topk_search_(struct topk *s, const struct qgm_block *b, size_t k, const real *size)
{
    real tried = topk_real_(s->low);
    size_t count = s->at_low, few = (count + VF - 1) / VF * VF;
    for (int round = 0; s->at_low > k && s->high - s->low > 1; round++) {
        topk_bits next = topk_next_(s, tried, count, k, round);
        s->last = tried, s->at_last = count;
        tried = topk_real_(next), count = topk_reach_(size, few, tried);
        meanwhile(b);
        if (count >= k)
            s->low = next, s->at_low = count;
        else
            s->high = next, s->at_high = count;
    }
}

static inline void topk(const struct qgm_block *b, real *z, size_t k)
{
    real size[QGM_BLOCK + VF];
    size_t len = b->len;
    real most, total;
    topk_survey_(z, len, &most, &total);
    meanwhile(b);
    struct topk s = { .high = topk_magnitude_(most) + 1 };
    /* NaN and infinities among them: where more than k reach `high`, there is nothing to choose. */
    if (total - total != 0 && (s.at_high = topk_reach_(z, len, topk_real_(s.high))) >= k) return;
    real mean = (total - total == 0 ? total : most) / (real)b->used;
    if (!topk_set_aside_(&s, b, z, k, mean * topk_guess_(len, k), size)) return;
    topk_search_(&s, b, k, size);
    if (s.at_low == k)
        topk_drop_(z, len, topk_real_(s.low));
    else
        topk_drop_ties_(z, len, s.low, k - s.at_high);
}

#endif
