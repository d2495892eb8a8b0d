/* Wide residual networks (Zagoruyko and Komodakis, BMVC 2016): depth 6N+4, pre-activation blocks.
 * SPDX-License-Identifier: MIT */
#include "layer.h"

static int activated(struct qgm_builder *b, int x, const char *name)
{
    return qgm_norm2d(b, x, (struct qgm_norm2d){ .name = name, .kind = QGM_NORM_BATCH, .relu = true });
}

static int conv(struct qgm_builder *b, int x, const char *name, int out, int kernel, int stride)
{
    return qgm_conv2d(
        b, x, (struct qgm_conv2d){ .name = name, .out = out, .kernel = kernel, .stride = stride, .pad = kernel / 2 });
}

static int block(struct qgm_builder *b, int x, int width, int stride, float drop)
{
    bool same = qgm_shape_of(b, x).c == width;
    int a = activated(b, x, "bn1");
    int skip = same ? x : conv(b, a, "downsample", width, 1, stride);
    x = activated(b, conv(b, a, "conv1", width, 3, stride), "bn2");
    return qgm_add(b, conv(b, qgm_dropout(b, x, drop), "conv2", width, 3, 1), skip);
}

static int build(struct qgm_builder *b, int x)
{
    int depth = qgm_option_int(b, "depth", 10, 1000), widen = qgm_option_int(b, "widen", 1, 64);
    float drop = qgm_option_fraction(b, "dropout");
    if ((depth - 4) % 6) qgm_build_fail(b, QGM_USAGE, "depth=%d: expected 6N+4, as in 16, 28 or 40", depth);
    x = conv(b, x, "conv1", 16, 3, 1);
    for (int stage = 0; stage < 3; stage++)
        for (int i = 0; i < (depth - 4) / 6; i++) {
            qgm_scope(b, "layer%d.%d.", stage + 1, i);
            x = block(b, x, widen * (16 << stage), stage && !i ? 2 : 1, drop);
        }
    qgm_scope(b, "%s", "");
    x = qgm_avgpool(b, activated(b, x, "bn1"), (struct qgm_pool2d){ 0 });
    static const struct qgm_init zero = { QGM_INIT_CONSTANT, 0 };
    return qgm_linear(b, x, (struct qgm_linear){ .name = "fc", .out = b->model->input.classes, .bias_init = &zero });
}

const struct qgm_model_kind qgm_model_wideresnet = {
    .name = "wideresnet",
    .about = "wide residual network for small images (Zagoruyko and Komodakis 2016); depth=28: 6N+4; widen=4, "
             "in the name too: wideresnet16-8; dropout=0: share dropped inside the blocks",
    .option = { { "depth", "28" }, { "widen", "4" }, { "dropout", "0" } },
    .numbers = 2,
    .build = build,
};
