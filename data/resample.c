/* Resize with a triangle filter. SPDX-License-Identifier: MIT */
#include "resample.h"
#include <assert.h>
#include <string.h>

/* The inputs of one output: count weights, which sum to 1, for inputs from `first` on. */
struct span {
    int first, count;
};

/* Inputs that an output reads at most: the triangle is 2 max(in / out, 1) wide. */
static int most_taps(int in, int out) { return in > out ? 2 * ((in + out - 1) / out) + 1 : 3; }

static struct span triangle(int in, int out, int k, float *weight)
{
    double scale = (double)in / out, wide = scale > 1 ? scale : 1, centre = (k + 0.5) * scale, sum = 0;
    int first = centre - wide + 0.5 < 0 ? 0 : (int)(centre - wide + 0.5), end = (int)(centre + wide + 0.5);
    struct span s = { first, (end < in ? end : in) - first };
    assert(s.count > 0 && s.count <= most_taps(in, out));
    for (int pass = 0; pass < 2; pass++)
        for (int t = 0; t < s.count; t++) {
            double distance = (first + t + 0.5 - centre) / wide;
            double value = distance < 0 ? 1 + distance : 1 - distance;
            if (value < 0) value = 0;
            if (pass == 0)
                sum += value;
            else
                weight[t] = (float)(value / sum);
        }
    return s;
}

static uint8_t to_byte(float v)
{
    v += 0.5f;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

size_t qgm_resample_scratch(int h, int w, int oh, int ow)
{
    size_t across = (size_t)most_taps(w, ow), down = (size_t)most_taps(h, oh), row = 3 * (size_t)w;
    return (size_t)ow * (sizeof(struct span) + across * sizeof(float)) + (row + down) * sizeof(float);
}

/* row = weighted sum of `count` rows of n bytes. */
static void add_rows(const uint8_t *in, size_t stride, const float *weight, int count, int n, float *row)
{
    for (int i = 0; i < n; i++) row[i] = weight[0] * (float)in[i];
    for (int t = 1; t < count; t++) {
        in += stride;
        for (int i = 0; i < n; i++) row[i] += weight[t] * (float)in[i];
    }
}

void qgm_resample(const uint8_t *src, size_t stride, int h, int w, uint8_t *dst, int oh, int ow, void *scratch)
{
    if (h == oh && w == ow) { /* the filter would give the same */
        for (int y = 0; y < h; y++) memcpy(dst + (size_t)y * (size_t)w * 3, src + (size_t)y * stride, (size_t)w * 3);
        return;
    }
    int across = most_taps(w, ow);
    struct span *span = scratch;
    float *weight = (float *)(span + ow), *row = weight + ow * across, *down = row + 3 * w;
    for (int x = 0; x < ow; x++) span[x] = triangle(w, ow, x, weight + x * across);
    for (int y = 0; y < oh; y++) {
        struct span rows = triangle(h, oh, y, down);
        add_rows(src + (size_t)rows.first * stride, stride, down, rows.count, 3 * w, row);
        for (int x = 0; x < ow; x++) {
            const float *by = weight + x * across, *at = row + 3 * span[x].first;
            float red = 0, green = 0, blue = 0;
            for (int t = 0; t < span[x].count; t++, at += 3) {
                red += by[t] * at[0];
                green += by[t] * at[1];
                blue += by[t] * at[2];
            }
            *dst++ = to_byte(red);
            *dst++ = to_byte(green);
            *dst++ = to_byte(blue);
        }
    }
}
