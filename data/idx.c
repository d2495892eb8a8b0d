/* The idx format of the MNIST family, plain or gzip-compressed (zlib reads both). SPDX-License-Identifier: MIT */
#include "reader.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MOST_DIMS = 4 };

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Read exactly `size` bytes; `at` is where in the uncompressed stream, for the message. */
static int take(gzFile f, const char *path, size_t at, void *to, size_t size, struct qgm_error *err)
{
    size_t got = 0;
    while (got < size) {
        size_t piece = size - got < 1u << 30 ? size - got : 1u << 30;
        int n = gzread(f, (char *)to + got, (unsigned)piece);
        int code;
        const char *why = n < 0 ? gzerror(f, &code) : "";
        if (n < 0) return qgm_fail(err, QGM_INPUT, "%s: damaged after byte %zu: %s", path, at + got, why);
        if (n == 0)
            return qgm_fail(err, QGM_INPUT, "%s: ends at byte %zu, expected %zu: truncated", path, at + got, at + size);
        got += (size_t)n;
    }
    return 0;
}

/* Asking for one byte more also makes zlib verify the checksum behind the data. */
static int end_here(gzFile f, const char *path, size_t at, struct qgm_error *err)
{
    uint8_t extra;
    int code, n = gzread(f, &extra, 1);
    const char *why = gzerror(f, &code);
    if (n > 0) return qgm_fail(err, QGM_INPUT, "%s: goes on after byte %zu, where it should end", path, at);
    if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
        return qgm_fail(err, QGM_INPUT, "%s: damaged after byte %zu: %s", path, at, why);
    return 0;
}

static int read_body(gzFile f, const char *path, int dims, uint32_t *shape, uint8_t **bytes, struct qgm_error *err)
{
    uint8_t head[4 * (1 + MOST_DIMS)];
    size_t header = 4 * (1 + (size_t)dims), size = 1;
    QGM_TRY(take(f, path, 0, head, header, err));
    uint32_t magic = big_endian(head), wanted = 0x0800u + (uint32_t)dims; /* unsigned bytes, dims dimensions */
    if (magic != wanted)
        return qgm_fail(err, QGM_INPUT,
                        "%s: byte 0: magic number 0x%08x, expected 0x%08x (unsigned bytes in %d dimensions)", path,
                        magic, wanted, dims);
    for (int d = 0; d < dims; d++) {
        shape[d] = big_endian(head + 4 * (d + 1));
        if (shape[d] < 1 || shape[d] > 1u << 28 || __builtin_mul_overflow(size, (size_t)shape[d], &size) ||
            size > 1ull << 31)
            return qgm_fail(err, QGM_INPUT, "%s: byte %d: dimension %d is %u: not a plausible size", path, 4 * (d + 1),
                            d, shape[d]);
    }
    /* Grown as bytes arrive: a header that lies about its size cannot make us allocate what is not there. */
    size_t room = size < 1 << 20 ? size : 1 << 20, have = 0;
    *bytes = malloc(room);
    while (*bytes && have < size) {
        QGM_TRY(take(f, path, header + have, *bytes + have, room - have, err));
        have = room;
        room = size < 2 * room ? size : 2 * room;
        uint8_t *more = have < size ? realloc(*bytes, room) : *bytes;
        if (!more) break;
        *bytes = more;
    }
    if (have < size) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    return end_here(f, path, header + size, err);
}

int qgm_read_idx(const char *path, int dims, uint32_t *shape, uint8_t **bytes, struct qgm_error *err)
{
    *bytes = NULL;
    errno = 0;
    gzFile f = gzopen(path, "rb");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno ? errno : ENOMEM));
    int result = read_body(f, path, dims, shape, bytes, err);
    gzclose(f);
    if (result < 0) {
        free(*bytes);
        *bytes = NULL;
    }
    return result;
}
