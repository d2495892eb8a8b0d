/* A model is a pure function of one flat parameter vector. The architecture (layers, tensor names, shapes, offsets) is
 * immutable and shared by all clients and threads; a client is just rows of floats. SPDX-License-Identifier: MIT */
#ifndef QGM_MODEL_H
#define QGM_MODEL_H
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qgm_model; /* opaque */
struct qgm_kernels;

/* What a model reads: images of h x w x c (N,H,W,C floats), labels in 0..classes-1. Texts are one-hot rows: at most h
 * tokens, w = 1, c the size of the vocabulary. */
struct qgm_input {
    int h, w, c, classes;
    bool texts; /* not images: a model that reads the other is refused */
};

/* One tensor of the flat vector. `shape` is as it lies in memory; `torch_shape` and `axes` give PyTorch's view: torch
 * axis d is memory axis axes[d]. PyTorch counts the axes from torch_dims - 1 on as one: a dense layer behind an image
 * is h, w, c, out here, out, c, h, w through the axes, and out x (c h w) there (dims 4, torch_dims 2). Every tensor
 * starts at a multiple of 16 floats; the gap behind it is zero and stays zero under every algorithm (gradients there
 * are zero). */
struct qgm_tensor {
    const char *name; /* PyTorch state_dict name, "conv1.weight" */
    int dims, torch_dims;
    int shape[4], torch_shape[4], axes[4];
    size_t offset, count; /* floats */
};

/* n examples. x: n * h * w * c floats; labels: n. Texts have tokens instead of x: n * length of them in 0..c-1, of
 * which the first lengths[i] >= 1 of example i count and the others pad; length <= h may differ from batch to batch.
 * seed, client and step choose the dropout masks of qgm_model_grad in models that have dropout; elsewhere they are not
 * read. */
struct qgm_batch {
    int n;
    const float *x;
    const int32_t *labels;
    const int32_t *tokens, *lengths;
    int length;
    uint64_t seed;
    uint32_t client, step;
};

/* Sums over the examples seen: divide by `examples`. Zero it first; evaluations add. */
struct qgm_score {
    long examples, correct; /* correct: the largest logit, the first one on a tie, is the label's */
    double loss;            /* sum of cross-entropies */
};

/* spec: a name and options, "lenet" or "cnn:width=16"; of some models numbers stand in the name, "resnet26" for
 * "resnet:depth=26". Unknown names and options are QGM_USAGE. */
int qgm_model_open(struct qgm_model **model, const char *spec, const struct qgm_input *input, struct qgm_error *err);
void qgm_model_close(struct qgm_model **model); /* NULL-safe, sets NULL */
/* The plain names, NULL-terminated; what a model is, with its options, their defaults and its source, NULL for a name,
 * with numbers or without, that is none. */
const char *const *qgm_model_names(void);
const char *qgm_model_about(const char *name);

size_t qgm_model_size(const struct qgm_model *model);  /* floats of the flat vector, a multiple of 16 */
size_t qgm_model_count(const struct qgm_model *model); /* trainable parameters, gaps not counted */
int qgm_model_tensors(const struct qgm_model *model);
const struct qgm_tensor *qgm_model_tensor(const struct qgm_model *model, int i); /* in definition order */
/* Non-trainable state of a client (running statistics), a second flat vector: its floats, which may be 0, its tensors,
 * their offsets within it. */
size_t qgm_model_buffers(const struct qgm_model *model);
int qgm_model_buffer_tensors(const struct qgm_model *model);
const struct qgm_tensor *qgm_model_buffer_tensor(const struct qgm_model *model, int i);
double qgm_model_flops(const struct qgm_model *model); /* of one example, forward */

/* Initial parameters (gaps zeroed) and buffers (may be NULL when there are none); a function of seed alone. */
void qgm_model_init(const struct qgm_model *model, uint64_t seed, float *params, float *buffers);

/* Bytes of scratch for a batch of at most n. backward: also what qgm_model_grad needs. */
size_t qgm_model_arena(const struct qgm_model *model, int n, bool backward);

/* Mean loss over the batch; grad (size floats) is overwritten with the gradient of the mean loss. Training mode:
 * buffers are updated in place. smoothing: label smoothing epsilon, 0 as in the paper. score may be NULL. The arena's
 * mark is restored. Deterministic: the same bits for any thread, ISA or arena. */
double qgm_model_grad(const struct qgm_model *model, const float *params, float *buffers, const struct qgm_batch *batch,
                      float smoothing, float *grad, struct qgm_score *score, struct qgm_arena *arena);
/* Evaluation mode: adds to score. logits: n * classes floats, or NULL. */
void qgm_model_eval(const struct qgm_model *model, const float *params, const float *buffers,
                    const struct qgm_batch *batch, float *logits, struct qgm_score *score, struct qgm_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
