/* For compare.py: weights, a batch, and what this project makes of them, as files.
 *   dump SPEC HEIGHT CHANNELS CLASSES EXAMPLES SEED FOLDER
 * weights.safetensors, gradient.safetensors (the same names), after.safetensors (running statistics after the step),
 * x.f32 (N,C,H,W), labels.i32, logits.f32 (evaluation), loss.txt. SPDX-License-Identifier: MIT */
#include "model.h"
#include "random.h"
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *text)
{
    fprintf(stderr, "dump: %s\n", text);
    exit(1);
}

static void write_file(const char *folder, const char *name, const void *data, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) die(path);
}

static void save(const char *folder, const char *name, const struct qgm_model *m, const float *p, const float *b)
{
    char path[512];
    struct qgm_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (qgm_safetensors_save(path, m, p, b, &err) < 0) die(err.text);
}

static float *floats(size_t count)
{
    float *p = aligned_alloc(64, (count + 16) / 16 * 64);
    if (!p) die("out of memory");
    memset(p, 0, (count + 16) / 16 * 64);
    return p;
}

/* Images of noise: N,H,W,C for us, N,C,H,W for PyTorch. */
static void make_batch(const struct qgm_input *in, int n, uint32_t seed, float *ours, float *theirs, int32_t *labels)
{
    struct qgm_random r = qgm_random(seed, QGM_RANDOM_TEST, 0, 0);
    for (int i = 0; i < n; i++) {
        labels[i] = (int32_t)qgm_random_below(&r, (uint32_t)in->classes);
        for (int y = 0; y < in->h; y++)
            for (int x = 0; x < in->w; x++)
                for (int c = 0; c < in->c; c++) {
                    float v = (float)qgm_random_normal(&r);
                    *ours++ = v;
                    theirs[((i * in->c + c) * in->h + y) * in->w + x] = v;
                }
    }
}

/* Off the initial values, so that no zero bias or unit scale hides a mistake. */
static void perturb(const struct qgm_tensor *t, float *at, int index)
{
    struct qgm_random r = qgm_random(2, QGM_RANDOM_TEST, 0, (uint32_t)index);
    if (t->dims == 1)
        for (size_t j = 0; j < t->count; j++) at[t->offset + j] += 0.1f * (float)(2 * qgm_random_double(&r) - 1);
}

int main(int argc, char **argv)
{
    if (argc != 8) die("usage: dump SPEC HEIGHT CHANNELS CLASSES EXAMPLES SEED FOLDER");
    int side = atoi(argv[2]), n = atoi(argv[5]);
    struct qgm_input in = { side, side, atoi(argv[3]), atoi(argv[4]) };
    const char *folder = argv[7];
    struct qgm_error err;
    struct qgm_model *m;
    if (qgm_model_open(&m, argv[1], &in, &err) < 0) die(err.text);
    size_t size = qgm_model_size(m), image = (size_t)in.h * (size_t)in.w * (size_t)in.c * (size_t)n;
    float *params = floats(size), *grad = floats(size), *buffers = floats(qgm_model_buffers(m));
    float *x = floats(image), *theirs = floats(image), *logits = floats((size_t)n * (size_t)in.classes);
    int32_t *labels = calloc((size_t)n, sizeof *labels);
    make_batch(&in, n, (uint32_t)atoi(argv[6]), x, theirs, labels);
    qgm_model_init(m, 1, params, buffers);
    for (int i = 0; i < qgm_model_tensors(m); i++) perturb(qgm_model_tensor(m, i), params, i);
    for (int i = 0; i < qgm_model_buffer_tensors(m); i++) perturb(qgm_model_buffer_tensor(m, i), buffers, 1000 + i);

    size_t backward = qgm_model_arena(m, n, true), forward = qgm_model_arena(m, n, false);
    struct qgm_arena arena;
    if (qgm_arena_open(&arena, backward > forward ? backward : forward, &err) < 0) die(err.text);
    struct qgm_batch batch = { .n = n, .x = x, .labels = labels };
    save(folder, "weights.safetensors", m, params, buffers);
    qgm_model_eval(m, params, buffers, &batch, logits, NULL, &arena);
    double loss = qgm_model_grad(m, params, buffers, &batch, 0, grad, NULL, &arena);
    save(folder, "gradient.safetensors", m, grad, NULL);
    save(folder, "after.safetensors", m, params, buffers);
    write_file(folder, "x.f32", theirs, image * sizeof *theirs);
    write_file(folder, "labels.i32", labels, (size_t)n * sizeof *labels);
    write_file(folder, "logits.f32", logits, (size_t)n * (size_t)in.classes * sizeof *logits);
    char text[64];
    write_file(folder, "loss.txt", text, (size_t)snprintf(text, sizeof text, "%.17g\n", loss));
    qgm_arena_close(&arena);
    qgm_model_close(&m);
    free(params);
    free(grad);
    free(buffers);
    free(x);
    free(theirs);
    free(logits);
    free(labels);
    return 0;
}
