/* A small convolutional network for small images: strides instead of pools, 1.4 MFLOP forward for 28 x 28 greys.
 * SPDX-License-Identifier: MIT */
#include "layer.h"

static int build(struct qgm_builder *b, int x)
{
    int width = qgm_option_int(b, "width", 1, 1024);
    struct qgm_conv2d conv = { .kernel = 3, .stride = 2, .pad = 1, .bias = true, .relu = true };
    conv.name = "conv1";
    conv.out = width;
    x = qgm_conv2d(b, x, conv);
    conv.name = "conv2";
    conv.out = 2 * width;
    x = qgm_conv2d(b, x, conv);
    conv.name = "conv3";
    conv.stride = 1;
    x = qgm_conv2d(b, x, conv);
    return qgm_linear(b, x, (struct qgm_linear){ .name = "fc", .out = b->model->input.classes });
}

const struct qgm_model_kind qgm_model_cnn = {
    .name = "cnn",
    .about = "three 3 x 3 convolutions (strides 2, 2, 1) and a dense layer; width=16: filters of the first",
    .option = { { "width", "16" } },
    .build = build,
};
