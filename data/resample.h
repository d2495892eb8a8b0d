/* Private to data/: decode and resize colour images. Plain float arithmetic: the same bits everywhere.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_RESAMPLE_H
#define QGM_RESAMPLE_H
#include "dataset.h"

/* src: h rows of w red-green-blue pixels, `stride` bytes apart; dst: oh * ow pixels, which must not overlap. Triangle
 * filter whose support grows with the reduction (as Pillow's BILINEAR), borders clamped. scratch: as many bytes as
 * qgm_resample_scratch says, aligned for float. */
void qgm_resample(const uint8_t *src, size_t stride, int h, int w, uint8_t *dst, int oh, int ow, void *scratch);
size_t qgm_resample_scratch(int h, int w, int oh, int ow);

/* A colour image; pixels malloc'ed. */
struct qgm_picture {
    int h, w;
    uint8_t *pixels; /* h * w * 3 */
};
/* What a data set keeps of a picture. For training: its own shape, scaled down to a shorter side of 8/7 size, smaller
 * ones as they are. For evaluation: the middle, size x size, of the picture scaled to a shorter side of 8/7 size (256
 * for 224), or to `size` if it is no larger than that. */
enum qgm_keep { QGM_KEEP_SHAPE, QGM_KEEP_MIDDLE };
static inline int qgm_larger_side(int size) { return (8 * size + 3) / 7; }
/* Read a JPEG file: grey, YCbCr or CMYK. Errors name it: QGM_INPUT when it is damaged, no JPEG, too
 * large, or for the middle too narrow. */
int qgm_read_jpeg(const char *path, int size, enum qgm_keep keep, struct qgm_picture *to, struct qgm_error *err);

#endif
