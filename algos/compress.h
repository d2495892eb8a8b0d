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

/* Keep the k largest magnitudes: the threshold is found by bisection over the bits of |z|, which order as numbers do.
 */
static inline uint64_t compress_key_(real z)
{
    union {
        real value;
#ifdef QGM_DOUBLE
        uint64_t bits;
#else
        uint32_t bits;
#endif
    } u = { z };
    return u.bits & ((sizeof(real) == 8 ? UINT64_C(1) << 63 : UINT64_C(1) << 31) - 1);
}

static inline void compress_topk_(real *z, size_t len, size_t k)
{
    uint64_t threshold = 0; /* the largest that at least k keys reach */
    for (int bit = (int)sizeof(real) * 8 - 2; bit >= 0; bit--) {
        uint64_t higher = threshold | UINT64_C(1) << bit;
        size_t count = 0;
        for (size_t i = 0; i < len; i++) count += compress_key_(z[i]) >= higher;
        if (count >= k) threshold = higher;
    }
    size_t above = 0;
    for (size_t i = 0; i < len; i++) above += compress_key_(z[i]) > threshold;
    size_t ties = k > above ? k - above : 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t key = compress_key_(z[i]);
        if (key > threshold) continue;
        if (key == threshold && ties)
            ties--;
        else
            z[i] = 0;
    }
}

/* Selection sampling (Knuth, algorithm S): each coordinate in turn is kept with probability wanted / left. */
static inline void compress_randk_(real *z, size_t len, size_t k, struct qgm_random *r)
{
    for (size_t i = 0; i < len; i++)
        if (qgm_random_below(r, (uint32_t)(len - i)) < k)
            k--;
        else
            z[i] = 0;
}

static inline void compress_sign_(real *z, size_t len)
{
    real sum = 0;
    for (size_t i = 0; i < len; i++) sum += z[i] < 0 ? -z[i] : z[i];
    real scale = sum / (real)len;
    for (size_t i = 0; i < len; i++) z[i] = z[i] < 0 ? -scale : scale;
}

static inline void compress_qsgd_(real *z, size_t len, double levels, struct qgm_random *r)
{
    double square = 0;
    for (size_t i = 0; i < len; i++) square += (double)z[i] * (double)z[i];
    if (!(square > 0)) return;
    double norm = __builtin_sqrt(square), spread = (double)len / (levels * levels);
    double root = __builtin_sqrt((double)len) / levels;
    double scale = norm / levels / (1 + (spread < root ? spread : root));
    for (size_t i = 0; i < len; i++) {
        double size = z[i] < 0 ? -(double)z[i] : (double)z[i];
        double level = (double)(int)(levels * size / norm + qgm_random_double(r));
        z[i] = (real)(z[i] < 0 ? -level * scale : level * scale);
    }
}

/* Compress one message of one block in place; `message` tells several of one step apart. Padding stays zero. */
__attribute__((unused)) static void compress(const struct qgm_step *s, const struct qgm_block *b, real *z, int message)
{
    uint32_t purpose_step = (uint32_t)s->t * QGM_MAX_MESSAGES + (uint32_t)message;
    uint32_t stream = (uint32_t)(b->at / QGM_BLOCK) * 65536u + (uint32_t)b->client;
    struct qgm_random r = qgm_random(s->seed, QGM_RANDOM_COMPRESS, stream, purpose_step);
    switch ((int)s->knob[COMPRESSOR]) {
    case COMPRESS_TOPK:
        compress_topk_(z, b->used, compress_kept_(s, b->used));
        break;
    case COMPRESS_RANDK:
        compress_randk_(z, b->used, compress_kept_(s, b->used), &r);
        break;
    case COMPRESS_SIGN:
        compress_sign_(z, b->used);
        break;
    case COMPRESS_QSGD:
        compress_qsgd_(z, b->used, s->knob[LEVELS], &r);
        break;
    default:
        break;
    }
}

#endif
