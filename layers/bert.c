/* Encoders for text classification: BERT (Devlin et al., NAACL 2019) and DistilBERT (Sanh et al., 2019), with the
 * tensor names of Hugging Face. Post-norm layers; the head reads the first token. SPDX-License-Identifier: MIT */
#include "layer.h"

/* The two differ in names, in BERT's segment embedding and in the head. */
struct family {
    const char *root; /* of names */
    const char *q, *k, *v, *out, *attention_norm, *in, *ffn_out, *norm, *head;
    bool segments, tanh;
};

static const struct family bert = { "bert.",
                                    "attention.self.query",
                                    "attention.self.key",
                                    "attention.self.value",
                                    "attention.output.dense",
                                    "attention.output.LayerNorm",
                                    "intermediate.dense",
                                    "output.dense",
                                    "output.LayerNorm",
                                    "bert.pooler.dense",
                                    true,
                                    true };
static const struct family distilbert = { "distilbert.",
                                          "attention.q_lin",
                                          "attention.k_lin",
                                          "attention.v_lin",
                                          "attention.out_lin",
                                          "sa_layer_norm",
                                          "ffn.lin1",
                                          "ffn.lin2",
                                          "output_layer_norm",
                                          "pre_classifier",
                                          false,
                                          false };

enum { POSITIONS = 512 };
#define EPSILON 1e-12
static const struct qgm_init normal = { QGM_INIT_NORMAL, 0.02 }, zero = { QGM_INIT_CONSTANT, 0 };

static int dense(struct qgm_builder *b, int x, const char *name, int out, bool each, bool relu)
{
    return qgm_linear(
        b, x,
        (struct qgm_linear){
            .name = name, .out = out, .each = each, .relu = relu, .weight_init = &normal, .bias_init = &zero });
}

static int layer(struct qgm_builder *b, int x, const struct family *f, int width, int heads, int inner)
{
    int q = dense(b, x, f->q, width, true, false), k = dense(b, x, f->k, width, true, false);
    int v = dense(b, x, f->v, width, true, false);
    int y = dense(b, qgm_attention(b, q, k, v, heads), f->out, width, true, false);
    x = qgm_layernorm(b, qgm_add(b, y, x), f->attention_norm, EPSILON);
    y = dense(b, qgm_gelu(b, dense(b, x, f->in, inner, true, false)), f->ffn_out, width, true, false);
    return qgm_layernorm(b, qgm_add(b, y, x), f->norm, EPSILON);
}

static int build(struct qgm_builder *b, int x)
{
    const struct family *f = b->kind->detail;
    int layers = qgm_option_int(b, "layers", 1, 1000), width = qgm_option_int(b, "width", 1, 16384);
    int heads = qgm_option_int(b, "heads", 1, 1024), inner = qgm_option_int(b, "inner", 1, 65536);
    float drop = qgm_option_fraction(b, "dropout");
    qgm_scope(b, "%sembeddings.", f->root);
    x = qgm_embedding(b, (struct qgm_embedding){ .word = "word_embeddings",
                                                 .position = "position_embeddings",
                                                 .type = f->segments ? "token_type_embeddings" : NULL,
                                                 .width = width,
                                                 .positions = POSITIONS,
                                                 .types = 2,
                                                 .init = normal });
    x = qgm_layernorm(b, x, "LayerNorm", EPSILON);
    for (int i = 0; i < layers; i++) {
        qgm_scope(b, f->segments ? "bert.encoder.layer.%d." : "distilbert.transformer.layer.%d.", i);
        x = layer(b, x, f, width, heads, inner);
    }
    qgm_scope(b, "%s", "");
    x = dense(b, qgm_first_token(b, x), f->head, width, false, !f->tanh);
    if (f->tanh) x = qgm_tanh(b, x);
    return dense(b, qgm_dropout(b, x, drop), "classifier", b->model->input.classes, false, false);
}

#define ENCODER(id, text, form, source, layers, width, heads, inner)                                                   \
    const struct qgm_model_kind qgm_model_##id = {                                                                     \
        .name = text,                                                                                                  \
        .about = source "; layers=" layers ", width=" width ", heads=" heads ", inner=" inner                          \
                        ": of the feed-forward layers, dropout=0: before the classifier",                              \
        .option = { { "layers", layers },                                                                              \
                    { "width", width },                                                                                \
                    { "heads", heads },                                                                                \
                    { "inner", inner },                                                                                \
                    { "dropout", "0" } },                                                                              \
        .build = build,                                                                                                \
        .detail = &form,                                                                                               \
        .texts = true,                                                                                                 \
    }
ENCODER(bert_tiny, "bert-tiny", bert, "text encoder (Turc et al. 2019)", "2", "128", "2", "512");
ENCODER(minilm_l6, "minilm-l6", bert, "text encoder (Wang et al. 2020)", "6", "384", "12", "1536");
ENCODER(distilbert_base, "distilbert-base", distilbert, "text encoder (Sanh et al. 2019)", "6", "768", "12", "3072");
