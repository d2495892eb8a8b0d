/* Dense networks: logistic regression and the multi-layer perceptron. SPDX-License-Identifier: MIT */
#include "layer.h"
#include <stdio.h>
#include <stdlib.h>

static int build_logreg(struct qgm_builder *b, int x)
{
    return qgm_linear(b, x, (struct qgm_linear){ .name = "fc", .out = b->model->input.classes });
}

const struct qgm_model_kind qgm_model_logreg = {
    .name = "logreg",
    .about = "logistic regression: one dense layer",
    .build = build_logreg,
};

static int build_mlp(struct qgm_builder *b, int x)
{
    const char *text = qgm_option(b, "hidden");
    char name[24];
    int layer = 1;
    for (const char *at = text; at; layer++) {
        char *end;
        long width = strtol(at, &end, 10);
        if (end == at || (*end && *end != '-') || width < 1 || width > 1 << 20) {
            qgm_build_fail(b, QGM_USAGE, "hidden=%s: expected widths like 256 or 256-128", text);
            return 0;
        }
        snprintf(name, sizeof name, "fc%d", layer);
        x = qgm_linear(b, x, (struct qgm_linear){ .name = name, .out = (int)width, .relu = true });
        at = *end ? end + 1 : NULL;
    }
    snprintf(name, sizeof name, "fc%d", layer);
    return qgm_linear(b, x, (struct qgm_linear){ .name = name, .out = b->model->input.classes });
}

const struct qgm_model_kind qgm_model_mlp = {
    .name = "mlp",
    .about = "dense layers with ReLU; hidden=256-128: widths of the hidden layers",
    .option = { { "hidden", "256-128" } },
    .build = build_mlp,
};
