/* What the files of this folder share: a model is a list of nodes in the order of computation, each a layer with its
 * description, its inputs and its place in the flat vector. SPDX-License-Identifier: MIT */
#ifndef QGM_LAYER_H
#define QGM_LAYER_H
#include "kernels.h"
#include "model.h"

enum { QGM_INPUTS = 3, QGM_PASSES_NONE = -1 };
struct qgm_node;

/* One example's output: h x w x c floats. */
struct qgm_shape {
    int h, w, c;
};
static inline size_t qgm_floats(struct qgm_shape s) { return (size_t)s.h * (size_t)s.w * (size_t)s.c; }

/* One layer's work on n examples. grad: gradients are added to it. */
struct qgm_pass {
    const struct qgm_kernels *k;
    int n;
    bool training;
    uint64_t seed; /* of dropout masks, with client and step */
    uint32_t client, step;
    int first;                       /* where in the batch these examples begin */
    const int32_t *tokens, *lengths; /* of texts */
    int length;                      /* tokens an example */
    bool opens;                      /* to gather: these examples are the first */
    const float *params;
    float *buffers; /* only written when training */
    float *grad;
    void *scratch;
};

/* What meets at one node. backward may overwrite dy, and writes each dx that is not NULL; where node->passes says so,
 * that dx is dy itself. saved: node->saved bytes an example, kept from forward to backward; NULL in evaluation.
 * joint: node->joint bytes that stay from the first gather of a walk to its end; NULL in walks that do not gather. */
struct qgm_flow {
    const float *x[QGM_INPUTS];
    float *y;
    float *dy;
    float *dx[QGM_INPUTS];
    void *saved, *joint;
};

struct qgm_layer_ops {
    const char *name;
    double (*flops)(const struct qgm_node *node);                         /* of one example, forward; NULL: none */
    size_t (*scratch)(const struct qgm_node *node, int n, bool training); /* bytes; NULL: none */
    void (*forward)(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f);
    void (*backward)(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f);
    /* Of a layer joint over the batch. Before forward: gather reads x[0] of some examples after another, then settle,
     * once, with n = all of them, turns into joint what forward needs. Before backward (back): gather reads x[0], y and
     * dy and leaves what it passes on in dy. */
    void (*gather)(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f, bool back);
    void (*settle)(const struct qgm_node *node, const struct qgm_pass *p, const struct qgm_flow *f, bool back);
};

/* What an example's output depends on: itself; in training the whole batch; always the whole batch. */
enum qgm_joint { QGM_SINGLE, QGM_JOINT_TRAINING, QGM_JOINT };

struct qgm_node {
    const struct qgm_layer_ops *op; /* NULL: node 0, the batch itself */
    const void *spec;               /* the layer's own description; the model owns it */
    int inputs, in[QGM_INPUTS];     /* nodes before this one */
    struct qgm_shape shape;
    size_t saved;            /* bytes an example */
    bool keep_x[QGM_INPUTS]; /* backward reads x[i] */
    bool keep_y;             /* backward reads y */
    enum qgm_joint depends;
    size_t joint;  /* bytes a walk, where it gathers */
    bool sequence; /* h is the longest text: a batch has n * length rows of c */
    bool again;    /* forward is cheap and reads x[0] alone: y may be computed anew on the way back */
    int passes;    /* the input whose gradient is left in dy, or QGM_PASSES_NONE; not 0 where joint */
    size_t params; /* floats of its tensors; qgm_append counts them */
};

/* Rows of c values that a node has in a walk, and values. */
static inline size_t qgm_rows(const struct qgm_node *node, const struct qgm_pass *p)
{
    size_t each = node->sequence ? (size_t)p->length : (size_t)node->shape.h * (size_t)node->shape.w;
    return (size_t)p->n * each;
}
static inline size_t qgm_values(const struct qgm_node *node, const struct qgm_pass *p)
{
    return qgm_rows(node, p) * (size_t)node->shape.c;
}

/* ---- Order of a walk ----------------------------------------------------------------------------------------------
 * A walk's steps, in segments. A segment is done for one block of examples after the other, so that what its steps hand
 * on stays in a core's cache. Without joint nodes there is one segment and one block. Backward is the same list from
 * its end: a joint node's gather and its forward change places. */
enum qgm_part { QGM_ALL, QGM_GATHER, QGM_APPLY };
struct qgm_step {
    int node;
    enum qgm_part part;
};
struct qgm_segment {
    int first, end; /* steps */
    int block;      /* examples */
    size_t local;   /* floats of one example that a block leaves to the next */
};
struct qgm_segments {
    struct qgm_step *step;
    struct qgm_segment *segment;
    int steps, segments;
    int *gather, *apply; /* the steps of each node; one and the same unless it gathers */
};
int qgm_segments_open(struct qgm_segments *walk, const struct qgm_model *model, bool training, struct qgm_error *err);
void qgm_segments_close(struct qgm_segments *walk);

/* ---- Memory plan: where every value, gradient and saved piece lives ---- */
struct qgm_place {
    size_t at;   /* floats of one example: times the examples of the walk, or of a block where local */
    size_t each; /* floats from an example to the next */
    bool anew;   /* filled anew on the way back */
    bool local;  /* alive within one segment only: each block reuses the place of the last */
};
struct qgm_plan {
    struct qgm_segments walk;
    size_t floats;                                 /* of one example of the walk */
    size_t joint;                                  /* bytes */
    struct qgm_place *value, *grad, *saved, *temp; /* temp: QGM_INPUTS a node */
    struct qgm_place *again;                       /* where backward reads a value: value, or computed anew, local */
    size_t *kept;                                  /* bytes: where a node's joint memory is */
    /* Consumers hand gradients back in descending order. The first to reach node i, writer[i], overwrites grad[i]; the
     * others write to their temp and are added. */
    int *writer;
};
int qgm_plan_open(struct qgm_plan *plan, const struct qgm_model *model, bool training, struct qgm_error *err);
void qgm_plan_close(struct qgm_plan *plan);

/* ---- The model ----------------------------------------------------------------------------------------------------
 */
enum qgm_init_rule { QGM_INIT_CONSTANT, QGM_INIT_UNIFORM, QGM_INIT_NORMAL };
struct qgm_init {
    enum qgm_init_rule rule;
    double value; /* the constant, the bound or the standard deviation */
};

struct qgm_list {
    struct qgm_tensor *tensor;
    struct qgm_init *init;
    int count;
    size_t size;     /* floats with gaps */
    size_t elements; /* without */
};

struct qgm_model {
    struct qgm_input input;
    struct qgm_node *node;
    int nodes;
    struct qgm_list params, buffers;
    struct qgm_plan train, eval;
    int micro_train, micro_eval; /* examples a walk */
};

/* ---- Builders ----------------------------------------------------------------------------------------------------
 * A builder reads like the paper: every call appends a layer and returns its node. After a failure the calls do
 * nothing and return 0; qgm_model_open reports the first error. */
struct qgm_option {
    const char *name, *value; /* in a kind: the default */
};
enum { QGM_OPTIONS = 8 };

struct qgm_builder;
struct qgm_model_kind {
    const char *name, *about;
    struct qgm_option option[QGM_OPTIONS];      /* up to the first NULL name */
    int numbers;                                /* so many of them may stand in the name: resnet26, wideresnet16-8 */
    int (*build)(struct qgm_builder *b, int x); /* returns the logits' node */
    const void *detail;                         /* for kinds that share a builder */
    bool texts;                                 /* reads tokens, not pixels */
};

struct qgm_builder {
    struct qgm_model *model;
    const struct qgm_model_kind *kind;
    struct qgm_option option[QGM_OPTIONS];
    struct qgm_error *err;
    bool failed;
    char prefix[64]; /* in front of tensor names: "layer1.0." */
};

void qgm_scope(struct qgm_builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void qgm_build_fail(struct qgm_builder *b, enum qgm_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct qgm_shape qgm_shape_of(const struct qgm_builder *b, int x);
/* Append a node; spec (size bytes) is copied. */
int qgm_append(struct qgm_builder *b, struct qgm_node node, const void *spec, size_t size);
/* Declare a tensor called prefix + layer + "." + part; returns its offset in floats. torch[d]: PyTorch's axis d is
 * memory axis torch[d]; its axes from torch_dims - 1 on count as one. */
struct qgm_declare {
    const char *layer, *part;
    int dims, shape[4], axes[4], torch_dims;
    struct qgm_init init;
};
size_t qgm_param(struct qgm_builder *b, struct qgm_declare d);
size_t qgm_buffer(struct qgm_builder *b, struct qgm_declare d);

/* Build and plan a model of b->kind with b->option; qgm_model_open without the reading of a spec. */
int qgm_model_make(struct qgm_model **model, struct qgm_builder *b, const struct qgm_input *input);

/* Options: the text given or the default. The typed ones fail the build when the text does not fit. */
const char *qgm_option(const struct qgm_builder *b, const char *name);
bool qgm_option_given(const struct qgm_builder *b, const char *name); /* in the spec, even if as the default is */
int qgm_option_int(struct qgm_builder *b, const char *name, int least, int most);
float qgm_option_fraction(struct qgm_builder *b, const char *name);                         /* [0, 1) */
int qgm_option_choice(struct qgm_builder *b, const char *name, const char *const *choices); /* index in the list */

/* y = x W + b over all of an example's floats, so it flattens what it is given. Default initialisation: PyTorch's,
 * uniform +-1/sqrt(fan in) for weight and bias. */
struct qgm_linear {
    const char *name;
    int out;
    bool no_bias, relu, each;                       /* each: row by row of a text, instead of flattened */
    const struct qgm_init *weight_init, *bias_init; /* NULL: the default */
};
int qgm_linear(struct qgm_builder *b, int x, struct qgm_linear spec);

/* kernel x kernel filters, He initialisation of fan out unless torch_init. */
struct qgm_conv2d {
    const char *name;
    int out, kernel, stride, pad; /* stride 0 means 1 */
    bool bias, relu, torch_init;
};
int qgm_conv2d(struct qgm_builder *b, int x, struct qgm_conv2d spec);

struct qgm_pool2d {
    int size, stride, pad; /* size 0: the whole image, which must be square */
};
int qgm_maxpool(struct qgm_builder *b, int x, struct qgm_pool2d spec);
int qgm_avgpool(struct qgm_builder *b, int x, struct qgm_pool2d spec);

enum qgm_norm_kind {
    QGM_NORM_BATCH,  /* over the batch's pixels; running statistics in evaluation */
    QGM_NORM_GROUP,  /* over one image's pixels and a group of channels */
    QGM_NORM_EVO_S0, /* x sigmoid(x) / std of min(c, 32) groups, unbiased; an activation too */
};
/* y = relu(norm(x) + add). Scale 1, shift 0, eps 1e-5. */
struct qgm_norm2d {
    const char *name;
    enum qgm_norm_kind kind;
    int groups;      /* of QGM_NORM_GROUP */
    bool no_running; /* QGM_NORM_BATCH: batch statistics in evaluation too */
    int add;         /* a node of the same shape, or 0 */
    bool relu;
};
int qgm_norm2d(struct qgm_builder *b, int x, struct qgm_norm2d spec);

int qgm_add(struct qgm_builder *b, int x, int other);
int qgm_dropout(struct qgm_builder *b, int x, float p); /* p = 0: x itself */

/* Texts: the batch's tokens become rows; attention mixes the rows of an example. */
struct qgm_embedding {
    const char *word, *position, *type; /* type: NULL where the model has none; row 0 is used */
    int width, positions, types;
    struct qgm_init init;
};
int qgm_embedding(struct qgm_builder *b, struct qgm_embedding spec);
int qgm_layernorm(struct qgm_builder *b, int x, const char *name, double epsilon);
/* softmax(q k^T / sqrt(d)) v for every head of d = c / heads channels; padding is no key. */
int qgm_attention(struct qgm_builder *b, int q, int k, int v, int heads);
int qgm_gelu(struct qgm_builder *b, int x);
int qgm_tanh(struct qgm_builder *b, int x);
int qgm_first_token(struct qgm_builder *b, int x);

#endif
