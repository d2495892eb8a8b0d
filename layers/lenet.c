/* LeNet as the paper's code has it: ReLU and maximum pools instead of the tanh and averages of LeCun et al. (1998), and
 * a border of two pixels when images are smaller than 32 x 32. SPDX-License-Identifier: MIT */
#include "layer.h"

static int build(struct qgm_builder *b, int x)
{
    struct qgm_pool2d half = { .size = 2, .stride = 2 };
    int pad = b->model->input.h < 32 ? 2 : 0;
    x = qgm_conv2d(
        b, x,
        (struct qgm_conv2d){
            .name = "conv1", .out = 6, .kernel = 5, .pad = pad, .bias = true, .relu = true, .torch_init = true });
    x = qgm_maxpool(b, x, half);
    x = qgm_conv2d(
        b, x,
        (struct qgm_conv2d){ .name = "conv2", .out = 16, .kernel = 5, .bias = true, .relu = true, .torch_init = true });
    x = qgm_maxpool(b, x, half);
    x = qgm_linear(b, x, (struct qgm_linear){ .name = "fc1", .out = 120, .relu = true });
    x = qgm_linear(b, x, (struct qgm_linear){ .name = "fc2", .out = 84, .relu = true });
    return qgm_linear(b, x, (struct qgm_linear){ .name = "fc3", .out = b->model->input.classes });
}

const struct qgm_model_kind qgm_model_lenet = {
    .name = "lenet",
    .about = "LeNet with ReLU and max-pools: two 5 x 5 convolutions, three dense layers (Lin et al. 2021)",
    .build = build,
};
