/* The average model and the digest of an engine's parameters. SPDX-License-Identifier: MIT */
#include "algo.h"
#include "engine.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

void qgm_engine_average(struct qgm_engine *engine, float *out)
{
    size_t dim = qgm_engine_dim(engine);
    int clients = qgm_engine_clients(engine);
    for (size_t at = 0; at < dim; at += QGM_BLOCK) {
        size_t len = least(dim - at, QGM_BLOCK);
        double sum[QGM_BLOCK] = { 0 };
        for (int i = 0; i < clients; i++) {
            const float *x = qgm_engine_params(engine, i) + at;
            for (size_t k = 0; k < len; k++) sum[k] += (double)x[k];
        }
        for (size_t k = 0; k < len; k++) out[at + k] = (float)(sum[k] / clients);
    }
}

uint64_t qgm_engine_digest(struct qgm_engine *engine)
{
    size_t dim = qgm_engine_dim(engine);
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (int i = 0; i < qgm_engine_clients(engine); i++)
        for (size_t at = 0; at < dim; at += QGM_BLOCK) {
            size_t len = least(dim - at, QGM_BLOCK);
            uint32_t bits[QGM_BLOCK];
            memcpy(bits, qgm_engine_params(engine, i) + at, len * sizeof *bits);
            for (size_t k = 0; k < len; k++)
                if ((bits[k] & 0x7fffffff) > 0x7f800000) bits[k] = 0x7fc00000; /* any NaN */
            XXH3_64bits_update(&state, bits, len * sizeof *bits);
        }
    return XXH3_64bits_digest(&state);
}
