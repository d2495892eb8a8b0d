/* Parts of images: random-resized crops (Szegedy et al. 2015, as torchvision draws them) and the middle for evaluation.
 * SPDX-License-Identifier: MIT */
#include "cut.h"
#include "dmath.h"
#include "resample.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* A part of an image. */
struct box {
    int y, x, h, w;
};

/* Area 8 % to 100 %, aspect ratio 3/4 to 4/3, log-uniform; ten attempts, then the largest middle part that fits. */
static struct box draw_box(struct qgm_random *r, int h, int w)
{
    double low = qgm_log(0.75), high = -low, area = (double)h * w;
    for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * (0.08 + 0.92 * qgm_random_double(r));
        double ratio = qgm_exp(low + (high - low) * qgm_random_double(r));
        int bw = (int)(sqrt(target * ratio) + 0.5), bh = (int)(sqrt(target / ratio) + 0.5);
        if (bw > 0 && bw <= w && bh > 0 && bh <= h)
            return (struct box){ .y = (int)qgm_random_below(r, (uint32_t)(h - bh + 1)),
                                 .x = (int)qgm_random_below(r, (uint32_t)(w - bw + 1)),
                                 .h = bh,
                                 .w = bw };
    }
    int bh = 3 * h > 4 * w ? (4 * w + 1) / 3 : h, bw = 3 * w > 4 * h ? (4 * h + 1) / 3 : w;
    return (struct box){ .y = (h - bh) / 2, .x = (w - bw) / 2, .h = bh, .w = bw };
}

/* What qgm_read_jpeg keeps of a test image: 7/8 of the shorter side, or all of one no larger than the size wanted. */
static struct box middle(int h, int w, int size)
{
    int shorter = h < w ? h : w, side = shorter > size ? (int)((long)shorter * size / qgm_larger_side(size)) : shorter;
    if (side < 1) side = 1;
    return (struct box){ .y = (h - side) / 2, .x = (w - side) / 2, .h = side, .w = side };
}

/* Stored images are at most 8/7 of the wanted size, 512 at most, and boxes at most 4/3 as wide as they are high. */
enum { SCRATCH = 32768 };

void qgm_cut(const struct qgm_examples *from, uint32_t i, struct qgm_random *r, uint8_t *to)
{
    _Alignas(float) char scratch[SCRATCH];
    size_t whole = (size_t)from->h * (size_t)from->w * 3;
    struct qgm_stored s = { .at = i * whole, .h = (uint32_t)from->h, .w = (uint32_t)from->w };
    if (from->stored) s = from->stored[i];
    struct box b = r ? draw_box(r, (int)s.h, (int)s.w) : middle((int)s.h, (int)s.w, from->h);
    assert(qgm_resample_scratch(b.h, b.w, from->h, from->w) <= sizeof scratch);
    qgm_resample(from->pixels + s.at + ((size_t)b.y * s.w + (size_t)b.x) * 3, (size_t)s.w * 3, b.h, b.w, to, from->h,
                 from->w, scratch);
}

static void mirror_row(uint8_t *row, int w)
{
    for (int x = 0; x < w / 2; x++)
        for (int c = 0; c < 3; c++) {
            uint8_t *a = &row[3 * x + c], *b = &row[3 * (w - 1 - x) + c], swap = *a;
            *a = *b;
            *b = swap;
        }
}

void qgm_move(uint8_t *image, int h, int w, int dy, int dx, bool mirror)
{
    size_t row = 3 * (size_t)w;
    int before = dx < 0 ? -dx : 0, after = dx > 0 ? dx : 0;
    if (before > w) before = w;
    if (after > w) after = w;
    for (int k = 0; (dx || dy) && k < h; k++) {
        int y = dy < 0 ? h - 1 - k : k; /* the row that moves here is still as it was */
        uint8_t *to = image + (size_t)y * row;
        if (y + dy < 0 || y + dy >= h) {
            memset(to, 0, row);
            continue;
        }
        int kept = w - before - after;
        if (kept > 0) memmove(to + 3 * before, image + (size_t)(y + dy) * row + 3 * after, 3 * (size_t)kept);
        memset(to, 0, 3 * (size_t)before);
        memset(to + row - 3 * (size_t)after, 0, 3 * (size_t)after);
    }
    for (int y = 0; mirror && y < h; y++) mirror_row(image + (size_t)y * row, w);
}
