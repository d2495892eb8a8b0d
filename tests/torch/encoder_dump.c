/* For encoder.py: what this project makes of texts with given weights, as files.
 *   encoder-dump MODEL WEIGHTS CSV VOCAB EXAMPLES FOLDER
 * The weights may lack the head; -: initial ones, off their zeros and ones. weights.safetensors, gradient.safetensors,
 * ids.i32 (examples x length), lengths.i32, labels.i32, logits.f32, loss.txt. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "model.h"
#include "random.h"
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *text)
{
    fprintf(stderr, "encoder-dump: %s\n", text);
    exit(1);
}

static void write_file(const char *folder, const char *name, const void *data, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) die(path);
}

static void save(const char *folder, const char *name, const struct qgm_model *m, const float *p)
{
    char path[512];
    struct qgm_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (qgm_safetensors_save(path, m, p, NULL, &err) < 0) die(err.text);
}

static float *floats(size_t count)
{
    float *p = aligned_alloc(64, (count + 16) / 16 * 64);
    if (!p) die("out of memory");
    return p;
}

/* Off the initial values, so that no zero bias or unit scale hides a mistake. */
static void perturb(const struct qgm_model *m, float *params)
{
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < qgm_model_tensors(m); i++) {
        const struct qgm_tensor *t = qgm_model_tensor(m, i);
        for (size_t j = 0; t->dims == 1 && j < t->count; j++)
            params[t->offset + j] += 0.2f * qgm_random_float(&r) - 0.1f;
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) die("usage: encoder-dump MODEL WEIGHTS CSV VOCAB EXAMPLES FOLDER");
    char spec[2000], note[400];
    struct qgm_error err;
    struct qgm_dataset d;
    struct qgm_model *m;
    const char *folder = argv[6];
    snprintf(spec, sizeof spec, "csv:%s,%s,vocab=%s", argv[3], argv[3], argv[4]);
    if (qgm_dataset_open(&d, spec, NULL, &err) < 0) die(err.text);
    int n = atoi(argv[5]);
    if (n < 1 || n > d.train.n) die("more examples than the file has");
    struct qgm_input in = { d.train.h, 1, d.train.c, d.train.classes, true };
    if (qgm_model_open(&m, argv[1], &in, &err) < 0) die(err.text);
    float *params = floats(qgm_model_size(m)), *grad = floats(qgm_model_size(m));
    qgm_model_init(m, 1, params, NULL);
    if (strcmp(argv[2], "-") == 0)
        perturb(m, params);
    else if (qgm_safetensors_pretrained(argv[2], m, params, NULL, note, sizeof note, &err) < 0)
        die(err.text);

    uint32_t *index = calloc((size_t)n, sizeof *index);
    for (int i = 0; i < n; i++) index[i] = (uint32_t)i;
    int width = qgm_tokens_width(&d.train, index, n);
    int32_t *ids = calloc((size_t)n * (size_t)width, sizeof *ids), *lengths = calloc((size_t)n, sizeof *lengths),
            *labels = calloc((size_t)n, sizeof *labels);
    float *logits = floats((size_t)n * (size_t)in.classes);
    qgm_tokens_fill(&d.train, index, n, width, ids, lengths, labels);
    struct qgm_batch batch = { .n = n, .labels = labels, .tokens = ids, .lengths = lengths, .length = width };
    size_t backward = qgm_model_arena(m, n, true), forward = qgm_model_arena(m, n, false);
    struct qgm_arena arena;
    if (qgm_arena_open(&arena, backward > forward ? backward : forward, &err) < 0) die(err.text);
    qgm_model_eval(m, params, NULL, &batch, logits, NULL, &arena);
    double loss = qgm_model_grad(m, params, NULL, &batch, 0, grad, NULL, &arena);
    save(folder, "weights.safetensors", m, params);
    save(folder, "gradient.safetensors", m, grad);
    write_file(folder, "ids.i32", ids, (size_t)n * (size_t)width * sizeof *ids);
    write_file(folder, "lengths.i32", lengths, (size_t)n * sizeof *lengths);
    write_file(folder, "labels.i32", labels, (size_t)n * sizeof *labels);
    write_file(folder, "logits.f32", logits, (size_t)n * (size_t)in.classes * sizeof *logits);
    char text[64];
    write_file(folder, "loss.txt", text, (size_t)snprintf(text, sizeof text, "%.17g\n", loss));
    qgm_arena_close(&arena);
    qgm_model_close(&m);
    qgm_dataset_close(&d);
    free(params);
    free(grad);
    free(index);
    free(ids);
    free(lengths);
    free(labels);
    free(logits);
    return 0;
}
