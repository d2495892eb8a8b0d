/* Parameters in files that PyTorch and Hugging Face read and write: 8 bytes of header length (little endian), a JSON
 * header {"name": {"dtype", "shape", "data_offsets"}}, and the tensors, PyTorch's names, shapes and order of elements.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_SAFETENSORS_H
#define QGM_SAFETENSORS_H
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Write params, and buffers unless NULL, as float32. The file appears whole or not at all: it is written beside its
 * place, synchronised and renamed. QGM_SYSTEM errors name the file. */
int qgm_safetensors_save(const char *path, const struct qgm_model *model, const float *params, const float *buffers,
                         struct qgm_error *err);

/* Read what save or PyTorch wrote for the same model into params (gaps zeroed) and, unless NULL, buffers. QGM_INPUT
 * errors name the file and the tensor: damaged header, ranges that overlap, leave the file or leave holes, a type other
 * than F32, a wrong shape, a missing tensor, a tensor the model does not have. PyTorch's counter num_batches_tracked is
 * skipped. params and buffers are written only when all is well with the header. */
int qgm_safetensors_load(const char *path, const struct qgm_model *model, float *params, float *buffers,
                         struct qgm_error *err);

/* Read weights that were learnt in another task into params (and buffers) that are initialised. As load, but names may
 * lack "bert." or "distilbert." in front and end in LayerNorm.gamma and .beta; heads (classifier, pre_classifier,
 * pooler, fc) that the file has not, or of another shape, keep their initial values; the heads of pretraining and
 * position_ids are left out. note: size >= 1 bytes for a list of both, "fresh classifier.weight, left out
 * embeddings.position_ids", cut where it does not fit. */
int qgm_safetensors_pretrained(const char *path, const struct qgm_model *model, float *params, float *buffers,
                               char *note, size_t size, struct qgm_error *err);

#ifdef __cplusplus
}
#endif
#endif
