/* Weights of a run in safetensors. SPDX-License-Identifier: MIT */
#include "weights.h"
#include "safetensors.h"
#include <string.h>

int qgm_weights_init(struct qgm_trainer *t, struct qgm_error *err)
{
    float *buffers = qgm_model_buffers(t->model) ? t->average_buffers : NULL;
    if (qgm_safetensors_pretrained(t->options.init, t->model, qgm_engine_params(t->engine, 0), buffers, t->note,
                                   sizeof t->note, err) < 0)
        return qgm_fail_in(err, "--init");
    return 0;
}

static int save(const struct qgm_trainer *t, const char *folder, const char *name, const float *params,
                const float *buffers, struct qgm_error *err)
{
    char path[2 * QGM_TEXT];
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    return qgm_safetensors_save(path, t->model, params, qgm_model_buffers(t->model) ? buffers : NULL, err);
}

int qgm_weights_save(struct qgm_trainer *t, const char *folder, struct qgm_error *err)
{
    if (strcmp(t->options.save, "none") == 0) return 0;
    qgm_trainer_average(t);
    QGM_TRY(save(t, folder, "average", t->average, t->average_buffers, err));
    if (strcmp(t->options.save, "clients") != 0) return 0;
    for (int i = 0; i < t->options.clients; i++) {
        char name[32];
        snprintf(name, sizeof name, "client-%d", i);
        QGM_TRY(save(t, folder, name, qgm_engine_params(t->engine, i),
                     t->buffers + (size_t)i * qgm_model_buffers(t->model), err));
    }
    return 0;
}
