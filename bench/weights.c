/* Weights of a run in safetensors. SPDX-License-Identifier: MIT */
#include "weights.h"
#include "safetensors.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As it is named, or below --data-dir or $QGM_DATA, so that a study need not know where somebody keeps such files. */
static int find_file(char path[PATH_MAX], const char *name, const char *data_dir, struct qgm_error *err)
{
    const char *data = *data_dir ? data_dir : getenv("QGM_DATA");
    snprintf(path, PATH_MAX, "%s", name);
    if (access(path, F_OK) == 0) return 0;
    if (data && *name != '/' && snprintf(path, PATH_MAX, "%s/%s", data, name) < PATH_MAX && access(path, F_OK) == 0)
        return 0;
    return qgm_fail(err, QGM_INPUT,
                    "--init %s: there is no such file, nor one in --data-dir or $QGM_DATA (%s): expected weights in "
                    "safetensors, as "
                    "model.safetensors of the model's page on Hugging Face",
                    name, data ? data : "not set");
}

/* The file over initialised params and buffers. */
static int read_file(struct qgm_trainer *t, float *params, float *buffers, struct qgm_error *err)
{
    char path[PATH_MAX];
    QGM_TRY(find_file(path, t->options.init, t->options.data_dir, err));
    if (qgm_safetensors_pretrained(path, t->model, params, qgm_model_buffers(t->model) ? buffers : NULL, t->note,
                                   sizeof t->note, err) < 0)
        return qgm_fail_in(err, "--init");
    bool finite = true;
    for (size_t k = 0; k < qgm_model_size(t->model); k++) finite = finite && isfinite(params[k]);
    for (size_t k = 0; k < qgm_model_buffers(t->model); k++) finite = finite && isfinite(buffers[k]);
    return finite ? 0 : qgm_fail(err, QGM_INPUT, "--init: %s: holds a weight or statistic that is not finite", path);
}

int qgm_weights_init(struct qgm_trainer *t, struct qgm_error *err)
{
    return read_file(t, qgm_engine_params(t->engine, t->first), t->average_buffers, err);
}

int qgm_weights_check(struct qgm_trainer *t, struct qgm_error *err)
{
    size_t size = qgm_model_size(t->model);
    float *params = calloc(size + qgm_model_buffers(t->model), sizeof *params);
    if (!params) return qgm_fail(err, QGM_SYSTEM, "--init %s: out of memory", t->options.init);
    int result = read_file(t, params, params + size, err);
    free(params);
    return result;
}

static int save(const struct qgm_trainer *t, const char *folder, const char *name, const float *params,
                const float *buffers, struct qgm_error *err)
{
    char path[2 * QGM_TEXT];
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    return qgm_safetensors_save(path, t->model, params, qgm_model_buffers(t->model) ? buffers : NULL, err);
}

/* By process 0; others hand it their clients, whatever happens to the files. */
static int save_clients(struct qgm_trainer *t, const char *folder, const char *suffix, struct qgm_error *err)
{
    size_t size = qgm_model_size(t->model), buffers = qgm_model_buffers(t->model);
    float *guest = malloc((size + buffers + 1) * sizeof *guest);
    if (!guest) return qgm_fail(err, QGM_SYSTEM, "out of memory");
    int result = 0;
    for (int i = 0; i < t->options.clients; i++) {
        char name[64];
        int owner = qgm_group_owner(t->group, (int)t->options.clients, i);
        bool mine = owner == t->group->rank;
        const float *x = mine ? qgm_engine_params(t->engine, i) : NULL, *b = mine ? qgm_trainer_buffers(t, i) : NULL;
        x = qgm_group_fetch(t->group, owner, x, guest, size * sizeof *x);
        b = qgm_group_fetch(t->group, owner, b, guest + size, buffers * sizeof *b);
        snprintf(name, sizeof name, "client-%d%s", i, suffix);
        if (t->group->rank == 0 && result == 0) result = save(t, folder, name, x, b, err);
    }
    free(guest);
    return result;
}

int qgm_weights_save(struct qgm_trainer *t, const char *folder, bool on_the_way, struct qgm_error *err)
{
    char suffix[32] = "", name[64];
    if (strcmp(t->options.save, "none") == 0) return 0;
    if (on_the_way) snprintf(suffix, sizeof suffix, "-step-%ld", qgm_engine_steps(t->engine));
    qgm_trainer_average(t);
    snprintf(name, sizeof name, "average%s", suffix);
    int result = t->group->rank ? 0 : save(t, folder, name, t->average, t->average_buffers, err);
    if (strcmp(t->options.save, "clients") != 0) return result;
    return save_clients(t, folder, suffix, result < 0 ? NULL : err) < 0 ? -1 : result;
}
