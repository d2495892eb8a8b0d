/* Batches: augmentation on raw pixels, then normalisation. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "random.h"

/* What happens to one image: the window starts at (dy - crop, dx - crop) of the image, mirrored or not. */
struct view {
    int dx, dy;
    bool mirror;
};

/* A draw is keyed by the position in the batch too: four numbers of its own for each example. */
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

void qgm_batch_fill(const struct qgm_dataset *d, const struct qgm_images *from, const uint32_t *index, int n,
                    const struct qgm_augment *augment, float *x, int32_t *labels)
{
    float value[4][256]; /* a byte's normalised value, a channel: (b/255 - mean) / std */
    int h = from->h, w = from->w, c = from->c;
    for (int ch = 0; ch < c; ch++)
        for (int b = 0; b < 256; b++) value[ch][b] = ((float)b / 255 - d->mean[ch]) / d->std[ch];
    for (int i = 0; i < n; i++) {
        const uint8_t *image = from->pixels + (size_t)index[i] * (size_t)(h * w * c);
        struct view v = draw_view(augment, i);
        labels[i] = from->labels[index[i]];
        for (int row = 0; row < h; row++)
            for (int col = 0; col < w; col++) {
                int sy = row + v.dy, sx = (v.mirror ? w - 1 - col : col) + v.dx;
                bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w; /* outside: black, before normalisation */
                const uint8_t *pixel = image + (sy * w + sx) * c;
                for (int ch = 0; ch < c; ch++) *x++ = value[ch][inside ? pixel[ch] : 0];
            }
    }
}
