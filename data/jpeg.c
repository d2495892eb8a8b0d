/* JPEG files through libturbojpeg. SPDX-License-Identifier: MIT */
#include "resample.h"
#ifdef QGM_HAVE_JPEG
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { MOST_SIDE = 20000, MOST_FILE = 1 << 28, MOST_RESIZED = 65535 };

static int read_file(const char *path, unsigned char **bytes, size_t *size, struct qgm_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f) return qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
    long length = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    bool good = length > 0 && length < MOST_FILE && fseek(f, 0, SEEK_SET) == 0;
    *bytes = good ? malloc((size_t)length) : NULL;
    good = *bytes && fread(*bytes, 1, (size_t)length, f) == (size_t)length;
    fclose(f);
    if (!good) {
        free(*bytes);
        return qgm_fail(err, QGM_INPUT, "%s: cannot read its %ld bytes", path, length);
    }
    *size = (size_t)length;
    return 0;
}

/* The smallest of the decoder's own scales (eighths) that leaves the shorter side at least `side`. */
static void scale_down(int *w, int *h, int side)
{
    int count, full_w = *w, full_h = *h;
    const tjscalingfactor *factors = tjGetScalingFactors(&count);
    for (int i = 0; i < count; i++) {
        if (factors[i].num > factors[i].denom) continue;
        int sw = TJSCALED(full_w, factors[i]), sh = TJSCALED(full_h, factors[i]);
        if ((sw < sh ? sw : sh) >= side && sw < *w) *w = sw, *h = sh;
    }
}

/* Cyan, magenta, yellow and black, stored inverted as Adobe does. */
static void from_cmyk(const uint8_t *in, uint8_t *out, size_t pixels)
{
    for (; pixels--; in += 4)
        for (int c = 0; c < 3; c++) *out++ = (uint8_t)((in[c] * in[3] + 127) / 255);
}

/* Are there all segments, up to the end-of-image marker? FF is followed by 00 or a restart's D0 to D7 within a scan, by
 * FF as padding, else by a marker and, but for the end's, two bytes of length, themselves counted. */
static bool is_complete(const unsigned char *bytes, size_t size)
{
    for (size_t at = 2; at + 1 < size; at++) {
        unsigned marker = bytes[at + 1];
        if (bytes[at] != 0xff || marker == 0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd7)) continue;
        if (marker == 0xd9) return true;
        if (size - at < 4) return false;
        at += 1 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    }
    return false;
}

/* What the decoder has to say against the picture, or NULL. Stray bytes between segments are common and harmless; any
 * other complaint is damage. It keeps the first one only: that the file is cut short besides is for us to see. */
static const char *complaint(tjhandle decoder, const unsigned char *bytes, size_t size)
{
    const char *text = tjGetErrorStr2(decoder);
    if (tjGetErrorCode(decoder) != TJERR_WARNING || !strstr(text, "extraneous")) return text;
    return is_complete(bytes, size) ? NULL : "it ends before its end marker: cut short";
}

static int decode(tjhandle decoder, const char *path, const unsigned char *bytes, size_t size, int side,
                  struct qgm_picture *to, struct qgm_error *err)
{
    int subsampling, space;
    const char *what = NULL;
    if (tjDecompressHeader3(decoder, bytes, size, &to->w, &to->h, &subsampling, &space) < 0)
        what = complaint(decoder, bytes, size);
    if (what)
        return qgm_fail(err, QGM_INPUT, "%s: %s: %s", path,
                        tjGetErrorCode(decoder) == TJERR_WARNING ? "damaged" : "cannot be decoded", what);
    if (to->w < 1 || to->h < 1 || to->w > MOST_SIDE || to->h > MOST_SIDE)
        return qgm_fail(err, QGM_INPUT, "%s: %d x %d pixels, expected 1 to %d a side", path, to->w, to->h, MOST_SIDE);
    scale_down(&to->w, &to->h, side);
    bool cmyk = space == TJCS_CMYK || space == TJCS_YCCK;
    size_t pixels = (size_t)to->w * (size_t)to->h;
    to->pixels = malloc(pixels * (cmyk ? 7 : 3));
    if (!to->pixels) return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    uint8_t *raw = cmyk ? to->pixels + 3 * pixels : to->pixels;
    int format = cmyk ? TJPF_CMYK : TJPF_RGB;
    if (tjDecompress2(decoder, bytes, size, raw, to->w, 0, to->h, format, TJFLAG_ACCURATEDCT) < 0)
        what = complaint(decoder, bytes, size);
    if (what) return qgm_fail(err, QGM_INPUT, "%s: damaged: %s", path, what);
    if (cmyk) from_cmyk(raw, to->pixels, pixels);
    return 0;
}

/* To a shorter side of `side`, replacing the pixels. */
static int resize(const char *path, struct qgm_picture *p, int side, struct qgm_error *err)
{
    int shorter = p->w < p->h ? p->w : p->h;
    if (shorter == side) return 0;
    int h = (int)((long)p->h * side / shorter), w = (int)((long)p->w * side / shorter); /* rounded as by torchvision */
    void *scratch = malloc(qgm_resample_scratch(p->h, p->w, h, w));
    uint8_t *to = malloc((size_t)h * (size_t)w * 3);
    bool room = scratch && to;
    if (room) qgm_resample(p->pixels, (size_t)p->w * 3, p->h, p->w, to, h, w, scratch);
    free(scratch);
    if (!room) {
        free(to);
        return qgm_fail(err, QGM_SYSTEM, "%s: out of memory", path);
    }
    free(p->pixels);
    *p = (struct qgm_picture){ .h = h, .w = w, .pixels = to };
    return 0;
}

static void keep_middle(struct qgm_picture *p, int side)
{
    size_t x = (size_t)(p->w - side) / 2, y = (size_t)(p->h - side) / 2, row = (size_t)side * 3;
    for (size_t k = 0; k < (size_t)side; k++)
        memmove(p->pixels + k * row, p->pixels + ((y + k) * (size_t)p->w + x) * 3, row);
    p->h = p->w = side;
}

static int shape(const char *path, struct qgm_picture *p, int size, enum qgm_keep keep, struct qgm_error *err)
{
    int shorter = p->w < p->h ? p->w : p->h, larger = qgm_larger_side(size);
    if (keep == QGM_KEEP_SHAPE) return shorter > larger ? resize(path, p, larger, err) : 0;
    int side = shorter > size ? larger : size;
    long longer = (long)(p->w > p->h ? p->w : p->h) * side / shorter;
    if (longer > MOST_RESIZED) /* a file of a few bytes would take gigabytes */
        return qgm_fail(err, QGM_INPUT,
                        "%s: %d x %d pixels, of which the middle square is tested on: too narrow: enlarged to %d on "
                        "the shorter side it is %ld on the other, expected at most %d",
                        path, p->w, p->h, side, longer, MOST_RESIZED);
    QGM_TRY(resize(path, p, side, err));
    keep_middle(p, size);
    return 0;
}

int qgm_read_jpeg(const char *path, int size, enum qgm_keep keep, struct qgm_picture *to, struct qgm_error *err)
{
    *to = (struct qgm_picture){ 0 };
    unsigned char *bytes = NULL;
    size_t length = 0;
    QGM_TRY(read_file(path, &bytes, &length, err));
    tjhandle decoder = tjInitDecompress();
    int result = decoder ? decode(decoder, path, bytes, length, qgm_larger_side(size), to, err)
                         : qgm_fail(err, QGM_SYSTEM, "%s: no memory for a decoder", path);
    if (decoder) tjDestroy(decoder);
    free(bytes);
    if (result == 0) result = shape(path, to, size, keep, err);
    if (result < 0) {
        free(to->pixels);
        to->pixels = NULL;
    }
    return result;
}

#else

int qgm_read_jpeg(const char *path, int size, enum qgm_keep keep, struct qgm_picture *to, struct qgm_error *err)
{
    (void)size;
    (void)keep;
    *to = (struct qgm_picture){ 0 };
    return qgm_fail(err, QGM_SYSTEM,
                    "%s: this build cannot read JPEG files: install libturbojpeg (Debian: libturbojpeg0-dev, or "
                    "cmake/deps) and build again",
                    path);
}

#endif
