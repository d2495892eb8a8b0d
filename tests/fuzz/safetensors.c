/* builds with: layers/safetensors.c; libs jansson */
/* Any bytes as weights of a model of two tensors and a statistic. SPDX-License-Identifier: MIT */
#include "safetensors.h"
#include "input.h"

static const struct qgm_tensor tensors[] = {
    { "embeddings.word_embeddings.weight", 2, 2, { 2, 3 }, { 2, 3 }, { 0, 1 }, 0, 6 },
    { "classifier.bias", 1, 1, { 2 }, { 2 }, { 0 }, 16, 2 },
};
static const struct qgm_tensor statistic = { "bn.running_mean", 1, 1, { 2 }, { 2 }, { 0 }, 0, 2 };

int qgm_model_tensors(const struct qgm_model *m) { return (void)m, 2; }
const struct qgm_tensor *qgm_model_tensor(const struct qgm_model *m, int i) { return (void)m, &tensors[i]; }
int qgm_model_buffer_tensors(const struct qgm_model *m) { return (void)m, 1; }
const struct qgm_tensor *qgm_model_buffer_tensor(const struct qgm_model *m, int i)
{
    return (void)m, (void)i, &statistic;
}
size_t qgm_model_size(const struct qgm_model *m) { return (void)m, 32; }

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    float params[32] = { 0 }, buffers[16] = { 0 };
    char note[40];
    struct qgm_error err;
    const char *path = input_path(bytes, size);
    (void)qgm_safetensors_load(path, NULL, params, buffers, &err);
    (void)qgm_safetensors_load(path, NULL, params, NULL, &err);
    (void)qgm_safetensors_pretrained(path, NULL, params, buffers, note, sizeof note, &err);
    return 0;
}
