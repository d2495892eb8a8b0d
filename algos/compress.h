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
#include "topk.h"

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

/* Of 32 bits, what so many coordinates of a block cost: kept ones with 10 bits of index, signs and levels with one
 * float. */
__attribute__((unused)) static double compress_words(const struct qgm_step *s, size_t used)
{
    switch ((int)s->knob[COMPRESSOR]) {
    case COMPRESS_TOPK:
        return (double)compress_kept_(s, used) * 42 / 32;
    case COMPRESS_RANDK: /* the receiver draws the same indices */
        return (double)compress_kept_(s, used);
    case COMPRESS_SIGN:
        return (double)used / 32 + 1;
    case COMPRESS_QSGD:
        return (double)used * compress_bits_(s->knob[LEVELS]) / 32 + 1;
    default:
        return (double)used;
    }
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
        topk(b, z, compress_kept_(s, b->used));
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
