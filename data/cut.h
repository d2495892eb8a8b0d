/* Private to data/: parts of images, moved and mirrored, as bytes. SPDX-License-Identifier: MIT */
#ifndef QGM_CUT_H
#define QGM_CUT_H
#include "dataset.h"
#include "random.h"

/* Example i of three channels as from->h x from->w pixels: a random part of it, or, with r NULL, its middle as in
 * evaluation. `to` overlaps nothing. */
void qgm_cut(const struct qgm_examples *from, uint32_t i, struct qgm_random *r, uint8_t *to);
/* In place: out(y, x) = in(y + dy, x + dx), black where there is none; then mirrored left to right if asked. */
void qgm_move(uint8_t *image, int h, int w, int dy, int dx, bool mirror);

#endif
