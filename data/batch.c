/* Batches: augmentation on raw pixels, then normalisation. SPDX-License-Identifier: MIT */
#include "cut.h"
#include "listing.h"

/* What happens to one image: the window starts at (dx, dy) of the image, mirrored or not. */
struct view {
    int dx, dy;
    bool mirror;
};

/* Every position of a batch has four numbers of its own, so an example's view does not depend on the others. */
static struct view draw_view(const struct qgm_augment *a, int position)
{
    struct view v = { 0 };
    if (!a || !(a->flip || a->crop)) return v;
    struct qgm_random r = qgm_random(a->seed, QGM_RANDOM_AUGMENT, a->client, a->step);
    r.next = (uint32_t)position;
    uint32_t coin = qgm_random_u32(&r), x = qgm_random_u32(&r), y = qgm_random_u32(&r);
    uint32_t places = 2 * (uint32_t)a->crop + 1;
    v.mirror = a->flip && coin >> 31;
    v.dx = a->crop ? (int)((uint64_t)x * places >> 32) - a->crop : 0;
    v.dy = a->crop ? (int)((uint64_t)y * places >> 32) - a->crop : 0;
    return v;
}

/* `count` pixels from `pixel` on, `stride` bytes apart. Inlined with constant c, so that the channels unroll. */
static inline __attribute__((always_inline)) float *span(float *x, const uint8_t *pixel, int stride, int count, int c,
                                                         const float (*value)[256])
{
    for (int k = 0; k < count; k++, pixel += stride)
        for (int ch = 0; ch < c; ch++) *x++ = value[ch][pixel[ch]];
    return x;
}

/* Outside the image is black before normalisation. */
static float *black(float *x, int count, int c, const float (*value)[256])
{
    for (int k = 0; k < count; k++)
        for (int ch = 0; ch < c; ch++) *x++ = value[ch][0];
    return x;
}

/* One image through its view. A row is some black, a run of pixels forwards or backwards, some black. */
static inline __attribute__((always_inline)) void fill(float *x, const uint8_t *image, struct view v, int h, int w,
                                                       int c, const float (*value)[256])
{
    int shift = v.mirror ? -v.dx : v.dx; /* of the window against the row as it is read */
    int before = shift < 0 ? -shift : 0, after = shift > 0 ? shift : 0;
    if (before > w) before = w;
    if (after > w) after = w;
    int inside = w - before - after, first = after; /* in reading order */
    if (v.mirror) first = w - 1 - first;
    for (int row = 0; row < h; row++) {
        int sy = row + v.dy;
        if (sy < 0 || sy >= h) {
            x = black(x, w, c, value);
            continue;
        }
        x = black(x, before, c, value);
        if (inside > 0)
            x = span(x, image + ((size_t)sy * (size_t)w + (size_t)first) * (size_t)c, v.mirror ? -c : c, inside, c,
                     value);
        x = black(x, after, c, value);
    }
}

/* An image that is cut to size. Its bytes first lie in the last quarter of its own floats: the floats, written from the
 * front, never reach a byte that is still to be read. */
static void fill_cut(float *x, const struct qgm_examples *from, uint32_t example, int position,
                     const struct qgm_augment *a, const float (*value)[256])
{
    size_t floats = (size_t)from->h * (size_t)from->w * 3;
    uint8_t *bytes = (uint8_t *)(x + floats) - floats;
    struct view v = draw_view(a, position);
    bool resized = a && a->resized;
    struct qgm_random r = { 0 };
    if (resized) {
        r = qgm_random(a->seed, QGM_RANDOM_AUGMENT, a->client, a->step);
        r.next = (1u << 30) + 16 * (uint32_t)position; /* sixteen blocks of four numbers, behind those of the views */
    }
    qgm_cut(from, example, resized ? &r : NULL, bytes);
    qgm_move(bytes, from->h, from->w, v.dy, v.dx, v.mirror);
    span(x, bytes, 3, from->h * from->w, 3, value);
}

void qgm_batch_fill(const struct qgm_dataset *d, const struct qgm_examples *from, const uint32_t *index, int n,
                    const struct qgm_augment *augment, float *x, int32_t *labels)
{
    float value[4][256]; /* a byte's normalised value, a channel */
    int h = from->h, w = from->w, c = from->c;
    size_t pixels = (size_t)h * (size_t)w * (size_t)c;
    for (int ch = 0; ch < c; ch++)
        for (int b = 0; b < 256; b++) value[ch][b] = ((float)b / 255 - d->mean[ch]) / d->std[ch];
    bool cut = from->stored || (augment && augment->resized);
    for (int i = 0; i < n; i++, x += pixels) {
        if (d->pack) qgm_pack_compare(d, &from->labels[index[i]]);
        if (cut) {
            labels[i] = from->labels[index[i]];
            fill_cut(x, from, index[i], i, augment, (const float(*)[256])value);
            continue;
        }
        const uint8_t *image = from->pixels + (size_t)index[i] * pixels;
        struct view v = draw_view(augment, i);
        labels[i] = from->labels[index[i]];
        switch (c) {
        case 1:
            fill(x, image, v, h, w, 1, (const float(*)[256])value);
            break;
        case 3:
            fill(x, image, v, h, w, 3, (const float(*)[256])value);
            break;
        default:
            fill(x, image, v, h, w, c, (const float(*)[256])value);
        }
    }
}
