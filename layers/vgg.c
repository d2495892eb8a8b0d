/* VGG (Simonyan and Zisserman, ICLR 2015) for 32 x 32 images, plain and scaled in width as in the code of Lin et al.
 * (2021), which builds VGG-11 whatever depth its name says; here the name counts. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdio.h>

/* Convolutions a stage; every stage ends in a maximum pool. */
struct vgg {
    int convs[5];
};

/* PyTorch numbers the pieces of its Sequential, activations and pools included. */
static int features(struct qgm_builder *b, int x, const int *widths, const int *convs, bool norm)
{
    char name[16];
    int next = 0;
    qgm_scope(b, "features.");
    for (int stage = 0; stage < 5; stage++, next++) {
        for (int i = 0; i < convs[stage]; i++) {
            snprintf(name, sizeof name, "%d", next);
            x = qgm_conv2d(
                b, x,
                (struct qgm_conv2d){
                    .name = name, .out = widths[stage], .kernel = 3, .pad = 1, .bias = true, .relu = !norm });
            snprintf(name, sizeof name, "%d", next + 1);
            if (norm) x = qgm_norm2d(b, x, (struct qgm_norm2d){ .name = name, .kind = QGM_NORM_BATCH, .relu = true });
            next += norm ? 3 : 2;
        }
        x = qgm_maxpool(b, x, (struct qgm_pool2d){ .size = 2, .stride = 2 });
    }
    qgm_scope(b, "%s", "");
    return x;
}

static int build(struct qgm_builder *b, int x)
{
    static const char *const norms[] = { "none", "bn", NULL };
    static const int plain[] = { 64, 128, 256, 512, 512 }, unit[] = { 4, 8, 16, 32, 32 };
    const struct vgg *v = b->kind->detail;
    int scale = qgm_option_int(b, "scale", 0, 256), classes = b->model->input.classes, widths[5];
    float drop = qgm_option_fraction(b, "dropout");
    bool norm = qgm_option_choice(b, "norm", norms) == 1;
    for (int i = 0; i < 5; i++) widths[i] = scale ? scale * unit[i] : plain[i];
    x = features(b, x, widths, v->convs, norm);
    x = qgm_dropout(b, x, drop);
    if (scale) return qgm_linear(b, x, (struct qgm_linear){ .name = "classifier", .out = classes });
    x = qgm_linear(b, x, (struct qgm_linear){ .name = "classifier.1", .out = 512, .relu = true });
    x = qgm_dropout(b, x, drop);
    x = qgm_linear(b, x, (struct qgm_linear){ .name = "classifier.4", .out = 512, .relu = true });
    return qgm_linear(b, x, (struct qgm_linear){ .name = "classifier.6", .out = classes });
}

#define VGG(id, ...)                                                                                                   \
    const struct qgm_model_kind qgm_model_##id = {                                                                     \
        .name = #id,                                                                                                   \
        .about =                                                                                                       \
            "VGG for 32 x 32 images (Simonyan and Zisserman 2015); norm=none or bn; scale=0: plain, S: widths 4S "     \
            "to 32S and one dense layer (vgg11:scale=8 is the half-width one of Lin et al. 2021); dropout=0: "         \
            "share dropped before the dense layers",                                                                   \
        .option = { { "norm", "none" }, { "scale", "0" }, { "dropout", "0" } },                                        \
        .build = build,                                                                                                \
        .detail = &(const struct vgg){ { __VA_ARGS__ } },                                                              \
    }
VGG(vgg11, 1, 1, 2, 2, 2);
VGG(vgg13, 2, 2, 2, 2, 2);
VGG(vgg16, 2, 2, 3, 3, 3);
VGG(vgg19, 2, 2, 4, 4, 4);
