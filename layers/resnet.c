/* Residual networks (He et al., CVPR 2016): the small ones for 32 x 32 images, depth 6n+2, and the ImageNet ones with
 * four stages. What differs between bn, gn, evonorm and lin2021 is one row of a table. SPDX-License-Identifier: MIT */
#include "layer.h"

/* Which norm stands behind the inner convolutions of a block, and which behind the last and on the shortcut. */
struct style {
    struct qgm_norm2d inner, outer;
};

static const char *const norm_names[] = { "bn", "gn", "evonorm", "lin2021", NULL };

/* EvoNorm-S0 is a norm and an activation in one. Lin et al. (2021) use it inside the blocks and keep batch norms
 * without running statistics behind them: their predictions depend on the test batch. */
static struct style style_of(struct qgm_builder *b)
{
    static const struct style styles[] = {
        { { .kind = QGM_NORM_BATCH, .relu = true }, { .kind = QGM_NORM_BATCH } },
        { { .kind = QGM_NORM_GROUP, .relu = true }, { .kind = QGM_NORM_GROUP } },
        { { .kind = QGM_NORM_EVO_S0 }, { .kind = QGM_NORM_EVO_S0 } },
        { { .kind = QGM_NORM_EVO_S0 }, { .kind = QGM_NORM_BATCH, .no_running = true } },
    };
    struct style s = styles[qgm_option_choice(b, "norm", norm_names)];
    int groups = qgm_option_int(b, "groups", 1, 1024);
    if (s.inner.kind == QGM_NORM_GROUP)
        s.inner.groups = s.outer.groups = groups;
    else if (qgm_option_given(b, "groups"))
        qgm_build_fail(b, QGM_USAGE, "groups=%d: is of norm=gn, but the norm is %s: leave it out or say norm=gn",
                       groups, qgm_option(b, "norm"));
    return s;
}

static int norm(struct qgm_builder *b, int x, struct qgm_norm2d n, const char *name)
{
    n.name = name;
    return qgm_norm2d(b, x, n);
}

static int conv(struct qgm_builder *b, int x, const char *name, int out, int kernel, int stride)
{
    return qgm_conv2d(
        b, x, (struct qgm_conv2d){ .name = name, .out = out, .kernel = kernel, .stride = stride, .pad = kernel / 2 });
}

/* The identity, or a 1 x 1 convolution where the shape changes. */
static int shortcut(struct qgm_builder *b, int x, const struct style *s, int out, int stride)
{
    if (stride == 1 && qgm_shape_of(b, x).c == out) return x;
    return norm(b, conv(b, x, "downsample.0", out, 1, stride), s->outer, "downsample.1");
}

/* The last norm of a block adds the shortcut and applies the ReLU in the same pass. */
static int join(struct qgm_builder *b, int x, int skip, const struct style *s, const char *name)
{
    struct qgm_norm2d last = s->outer;
    last.add = skip;
    last.relu = true;
    return norm(b, x, last, name);
}

static int basic(struct qgm_builder *b, int x, const struct style *s, int width, int stride)
{
    int skip = shortcut(b, x, s, width, stride);
    x = norm(b, conv(b, x, "conv1", width, 3, stride), s->inner, "bn1");
    return join(b, conv(b, x, "conv2", width, 3, 1), skip, s, "bn2");
}

static int bottleneck(struct qgm_builder *b, int x, const struct style *s, int width, int stride)
{
    int skip = shortcut(b, x, s, 4 * width, stride);
    x = norm(b, conv(b, x, "conv1", width, 1, 1), s->inner, "bn1");
    x = norm(b, conv(b, x, "conv2", width, 3, stride), s->inner, "bn2");
    return join(b, conv(b, x, "conv3", 4 * width, 1, 1), skip, s, "bn3");
}

/* Stages of blocks; the first stage has `width` channels and each further one twice as many at half the resolution. */
struct residual {
    int (*block)(struct qgm_builder *b, int x, const struct style *s, int width, int stride);
    int stages, blocks[4], width;
    bool imagenet; /* 7 x 7 stem with stride 2 and a maximum pool */
};

static int build_stages(struct qgm_builder *b, int x, const struct residual *r, const struct style *s, int width)
{
    for (int stage = 0; stage < r->stages; stage++)
        for (int i = 0; i < r->blocks[stage]; i++) {
            qgm_scope(b, "layer%d.%d.", stage + 1, i);
            x = r->block(b, x, s, width << stage, stage && !i ? 2 : 1);
        }
    qgm_scope(b, "%s", "");
    return x;
}

static int build_residual(struct qgm_builder *b, int x, const struct residual *r)
{
    struct style s = style_of(b);
    int width = r->width * qgm_option_int(b, "width", 1, 64);
    x = r->imagenet ? conv(b, x, "conv1", width, 7, 2) : conv(b, x, "conv1", width, 3, 1);
    x = norm(b, x, s.inner, "bn1");
    if (r->imagenet) x = qgm_maxpool(b, x, (struct qgm_pool2d){ .size = 3, .stride = 2, .pad = 1 });
    x = build_stages(b, x, r, &s, width);
    x = qgm_avgpool(b, x, (struct qgm_pool2d){ 0 });
    return qgm_linear(b, x, (struct qgm_linear){ .name = "fc", .out = b->model->input.classes });
}

static int build(struct qgm_builder *b, int x) { return build_residual(b, x, b->kind->detail); }

/* Depth 6n+2 for small images; from 44 on bottlenecks, as the paper's code has it: n blocks all the same. */
static int build_small(struct qgm_builder *b, int x)
{
    int depth = qgm_option_int(b, "depth", 8, 1202), n = (depth - 2) / 6;
    if ((depth - 2) % 6) qgm_build_fail(b, QGM_USAGE, "depth=%d: expected 6n+2, as in 8, 20 or 56", depth);
    struct residual r = { depth < 44 ? basic : bottleneck, .stages = 3, .blocks = { n, n, n }, .width = 16 };
    return build_residual(b, x, &r);
}

#define STYLE(norm)                                                                                                    \
    { "norm", norm }, { "groups", "2" }, { "width", "1" }
#define STYLE_TEXT                                                                                                     \
    "; norm: bn, gn, evonorm or lin2021 (EvoNorm and batch statistics, at test time too); groups=2: of gn only; "      \
    "width=1: a factor"
#define RESNET(id, text, norm, what, ...)                                                                              \
    const struct qgm_model_kind qgm_model_##id = { .name = text,                                                       \
                                                   .about = what "; norm=" norm STYLE_TEXT,                            \
                                                   .option = { STYLE(norm) },                                          \
                                                   .build = build,                                                     \
                                                   .detail = &(const struct residual){ __VA_ARGS__ } }

#define SMALL "residual network of three stages for small images (He et al. 2016)"
const struct qgm_model_kind qgm_model_resnet = {
    .name = "resnet",
    .about = SMALL "; depth=20: 6n+2, in the name too: resnet8, resnet26, resnet110 (resnet50 and resnet152 are the "
                   "ones for large images); from 44 on of bottlenecks; norm=bn" STYLE_TEXT,
    .option = { { "depth", "20" }, STYLE("bn") },
    .numbers = 1,
    .build = build_small,
};
RESNET(resnet20_evonorm, "resnet20-evonorm", "evonorm", SMALL, .block = basic, .stages = 3, .blocks = { 3, 3, 3 },
       .width = 16);
RESNET(resnet20_evonorm_lin2021, "resnet20-evonorm-lin2021", "lin2021", SMALL, .block = basic, .stages = 3,
       .blocks = { 3, 3, 3 }, .width = 16);
RESNET(resnet18_cifar, "resnet18-cifar", "bn", "ResNet-18 with a 3 x 3 stem for small images", .block = basic,
       .stages = 4, .blocks = { 2, 2, 2, 2 }, .width = 64);

#define IMAGENET(id, norm, form, ...)                                                                                  \
    RESNET(id, #id, norm, "residual network of four stages for large images (He et al. 2016)", .block = form,          \
           .stages = 4, .blocks = { __VA_ARGS__ }, .width = 64, .imagenet = true)
IMAGENET(resnet18, "bn", basic, 2, 2, 2, 2);
IMAGENET(resnet34, "bn", basic, 3, 4, 6, 3);
IMAGENET(resnet50, "bn", bottleneck, 3, 4, 6, 3);
IMAGENET(resnet101, "bn", bottleneck, 3, 4, 23, 3);
IMAGENET(resnet152, "bn", bottleneck, 3, 8, 36, 3);
