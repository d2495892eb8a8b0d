/* Whole models: counts, gradients, bits, memory. SPDX-License-Identifier: MIT */
#include "gradcheck.h"

static const struct qgm_input cifar10 = { 32, 32, 3, 10 }, mnist = { 28, 28, 1, 10 };

static struct qgm_model *open_model(const char *spec, const struct qgm_input *input)
{
    struct qgm_error err = { 0 };
    struct qgm_model *m;
    if (qgm_model_open(&m, spec, input, &err) < 0) fail_msg("%s: %s", spec, err.text);
    return m;
}

/* Parameter counts of the paper's code and of torchvision. */
static void parameter_counts_are_the_papers(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        struct qgm_input input;
        size_t count;
    } known[] = {
        { "lenet", { 32, 32, 3, 10 }, 62006 },
        { "lenet", { 28, 28, 1, 10 }, 61706 },
        { "lenet", { 32, 32, 3, 100 }, 69656 },
        { "logreg", { 28, 28, 1, 10 }, 7850 },
        { "resnet20", { 32, 32, 3, 10 }, 272474 },
        { "resnet20:norm=gn", { 32, 32, 3, 10 }, 272474 },
        { "resnet20", { 32, 32, 3, 100 }, 278324 },
        { "resnet20", { 32, 32, 3, 1000 }, 336824 },
        { "resnet20-evonorm", { 32, 32, 3, 10 }, 272474 },
        { "resnet20-evonorm-lin2021", { 32, 32, 3, 10 }, 272474 },
        { "resnet32", { 32, 32, 3, 10 }, 466906 },
        { "resnet44", { 32, 32, 3, 10 }, 684058 },
        { "resnet56", { 32, 32, 3, 10 }, 869530 },
        { "resnet18-cifar", { 32, 32, 3, 10 }, 11173962 },
        { "resnet18", { 224, 224, 3, 1000 }, 11689512 },
        { "resnet18:norm=lin2021", { 224, 224, 3, 1000 }, 11689512 },
        { "resnet34", { 224, 224, 3, 1000 }, 21797672 },
        { "resnet50", { 224, 224, 3, 1000 }, 25557032 },
        { "resnet101", { 224, 224, 3, 1000 }, 44549160 },
        { "resnet152", { 224, 224, 3, 1000 }, 60192808 },
        { "vgg11", { 32, 32, 3, 10 }, 9750922 },
        { "vgg11:norm=bn", { 32, 32, 3, 10 }, 9756426 },
        { "vgg13", { 32, 32, 3, 10 }, 9935434 },
        { "vgg16", { 32, 32, 3, 10 }, 15245130 },
        { "vgg19", { 32, 32, 3, 10 }, 20554826 },
        { "vgg11:scale=1", { 32, 32, 3, 10 }, 36610 },
        { "vgg16:scale=2", { 32, 32, 3, 10 }, 231218 }, /* here the paper's code has the 145210 of VGG-11 */
        { "vgg19:scale=8", { 32, 32, 3, 10 }, 5010474 },
        { "vgg11:scale=4", { 32, 32, 3, 10 }, 578410 },
        { "vgg11:scale=8", { 32, 32, 3, 10 }, 2308810 },
        { "vgg11:scale=16", { 32, 32, 3, 10 }, 9225610 },
        { "wideresnet", { 32, 32, 3, 10 }, 5849050 },
        { "distilbert-base", { 128, 1, 30522, 4, true }, 66956548 },
        { "minilm-l6", { 128, 1, 30522, 4, true }, 22713216 + 385 * 4 },
        { "bert-tiny", { 128, 1, 30522, 4, true }, 4385920 + 129 * 4 },
        { "wideresnet:widen=10", { 32, 32, 3, 10 }, 36479194 },
        { "wideresnet:depth=16", { 32, 32, 3, 10 }, 2748890 },
        { "wideresnet:depth=40,widen=2", { 32, 32, 3, 10 }, 2243546 },
    };
    for (size_t i = 0; i < QGM_COUNT(known); i++) {
        struct qgm_model *m = open_model(known[i].spec, &known[i].input);
        if (qgm_model_count(m) != known[i].count)
            fail_msg("%s has %zu parameters, expected %zu", known[i].spec, qgm_model_count(m), known[i].count);
        qgm_model_close(&m);
    }
}

static struct ref_value net_lenet(struct ref *r, struct ref_value x, const void *detail)
{
    (void)detail;
    x = ref_relu(r, ref_conv(r, x, "conv1", 1, x.h < 32 ? 2 : 0, true));
    x = ref_pool(r, x, 2, 2, 0, true);
    x = ref_relu(r, ref_conv(r, x, "conv2", 1, 0, true));
    x = ref_pool(r, x, 2, 2, 0, true);
    x = ref_relu(r, ref_linear(r, x, "fc1", true));
    x = ref_relu(r, ref_linear(r, x, "fc2", true));
    return ref_linear(r, x, "fc3", true);
}

static struct ref_value net_mlp(struct ref *r, struct ref_value x, const void *detail)
{
    (void)detail;
    x = ref_relu(r, ref_linear(r, x, "fc1", true));
    x = ref_relu(r, ref_linear(r, x, "fc2", true));
    return ref_linear(r, x, "fc3", true);
}

static struct ref_value net_cnn(struct ref *r, struct ref_value x, const void *detail)
{
    (void)detail;
    x = ref_relu(r, ref_conv(r, x, "conv1", 2, 1, true));
    x = ref_relu(r, ref_conv(r, x, "conv2", 2, 1, true));
    x = ref_relu(r, ref_conv(r, x, "conv3", 1, 1, true));
    return ref_linear(r, x, "fc", true);
}

/* Residual networks: the kinds of norm inside a block and behind it. */
struct ref_style {
    enum ref_norm_kind inner, outer;
    int stages, blocks;
};
static const struct ref_style bn = { REF_BATCH, REF_BATCH, 3, 1 }, gn = { REF_GROUP, REF_GROUP, 3, 1 },
                              evonorm = { REF_EVO_S0, REF_EVO_S0, 3, 1 },
                              lin2021 = { REF_EVO_S0, REF_BATCH_ALWAYS, 3, 1 }, four = { REF_GROUP, REF_GROUP, 4, 2 };

static struct ref_value ref_act(struct ref *r, struct ref_value x, const char *name, enum ref_norm_kind kind)
{
    x = ref_norm(r, x, name, kind, 2);
    return kind == REF_EVO_S0 ? x : ref_relu(r, x);
}

static struct ref_value ref_block(struct ref *r, struct ref_value x, const struct ref_style *s, int stride,
                                  bool project)
{
    struct ref_value skip = x, y = ref_act(r, ref_conv(r, x, "conv1", stride, 1, false), "bn1", s->inner);
    if (project) skip = ref_norm(r, ref_conv(r, x, "downsample.0", stride, 0, false), "downsample.1", s->outer, 2);
    y = ref_norm(r, ref_conv(r, y, "conv2", 1, 1, false), "bn2", s->outer, 2);
    return ref_relu(r, ref_add(r, y, skip));
}

static struct ref_value net_resnet(struct ref *r, struct ref_value x, const void *detail)
{
    const struct ref_style *s = detail;
    bool large = s->stages == 4;
    x = ref_act(r, ref_conv(r, x, "conv1", large ? 2 : 1, large ? 3 : 1, false), "bn1", s->inner);
    if (large) x = ref_pool(r, x, 3, 2, 1, true);
    for (int stage = 0; stage < s->stages; stage++)
        for (int i = 0; i < s->blocks; i++) {
            snprintf(r->prefix, sizeof r->prefix, "layer%d.%d.", stage + 1, i);
            x = ref_block(r, x, s, stage && !i ? 2 : 1, stage && !i);
        }
    r->prefix[0] = 0;
    return ref_linear(r, ref_pool(r, x, x.h, 1, 0, false), "fc", true);
}

/* Bottlenecks, two a stage would do; the model has seven. */
static struct ref_value net_bottleneck(struct ref *r, struct ref_value x, const void *detail)
{
    const struct ref_style *s = detail;
    x = ref_act(r, ref_conv(r, x, "conv1", 1, 1, false), "bn1", s->inner);
    for (int k = 0; k < 21; k++) {
        int stride = k && k % 7 == 0 ? 2 : 1;
        snprintf(r->prefix, sizeof r->prefix, "layer%d.%d.", k / 7 + 1, k % 7);
        struct ref_value skip = x, y = ref_act(r, ref_conv(r, x, "conv1", 1, 0, false), "bn1", s->inner);
        y = ref_act(r, ref_conv(r, y, "conv2", stride, 1, false), "bn2", s->inner);
        y = ref_norm(r, ref_conv(r, y, "conv3", 1, 0, false), "bn3", s->outer, 2);
        if (k % 7 == 0)
            skip = ref_norm(r, ref_conv(r, x, "downsample.0", stride, 0, false), "downsample.1", s->outer, 2);
        x = ref_relu(r, ref_add(r, y, skip));
    }
    r->prefix[0] = 0;
    return ref_linear(r, ref_pool(r, x, x.h, 1, 0, false), "fc", true);
}

static struct ref_value net_wideresnet(struct ref *r, struct ref_value x, const void *detail)
{
    (void)detail;
    x = ref_conv(r, x, "conv1", 1, 1, false);
    for (int stage = 0; stage < 3; stage++) {
        snprintf(r->prefix, sizeof r->prefix, "layer%d.0.", stage + 1);
        struct ref_value a = ref_act(r, x, "bn1", REF_BATCH), skip = x;
        int stride = stage ? 2 : 1;
        if (stage) skip = ref_conv(r, a, "downsample", stride, 0, false);
        x = ref_act(r, ref_conv(r, a, "conv1", stride, 1, false), "bn2", REF_BATCH);
        x = ref_add(r, ref_conv(r, x, "conv2", 1, 1, false), skip);
    }
    r->prefix[0] = 0;
    x = ref_act(r, x, "bn1", REF_BATCH);
    return ref_linear(r, ref_pool(r, x, x.h, 1, 0, false), "fc", true);
}

/* VGG-11 as a table of widths: scaled, with or without norm. */
static struct ref_value net_vgg(struct ref *r, struct ref_value x, const void *detail)
{
    static const int convs[] = { 1, 1, 2, 2, 2 };
    const bool *norm = detail;
    char name[32];
    for (int stage = 0, k = 0; stage < 5; stage++, k++) {
        for (int i = 0; i < convs[stage]; i++) {
            snprintf(name, sizeof name, "features.%d", k);
            x = ref_conv(r, x, name, 1, 1, true);
            snprintf(name, sizeof name, "features.%d", k + 1);
            x = *norm ? ref_act(r, x, name, REF_BATCH) : ref_relu(r, x);
            k += *norm ? 3 : 2;
        }
        x = ref_pool(r, x, 2, 2, 0, true);
    }
    return ref_linear(r, x, "classifier", true);
}
static const bool yes = true, no = false;

/* Encoders: the names of a family, and whether it is BERT. */
struct ref_encoder {
    const char *root, *q, *k, *v, *out, *norm1, *in, *back, *norm2, *head;
    bool bert;
    int layers, heads;
};
static const struct ref_encoder bert = { "bert.",
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
                                         2,
                                         2 },
                                distil = { "distilbert.",
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
                                           1,
                                           3 };

static struct ref_value net_encoder(struct ref *r, struct ref_value x, const void *detail)
{
    const struct ref_encoder *e = detail;
    snprintf(r->prefix, sizeof r->prefix, "%sembeddings.", e->root);
    x = ref_embedding(r, "word_embeddings", "position_embeddings", e->bert ? "token_type_embeddings" : NULL);
    x = ref_layernorm(r, x, "LayerNorm", 1e-12);
    for (int i = 0; i < e->layers; i++) {
        snprintf(r->prefix, sizeof r->prefix, "%s%s%d.", e->root, e->bert ? "encoder.layer." : "transformer.layer.", i);
        struct ref_value y =
            ref_attention(r, ref_dense(r, x, e->q), ref_dense(r, x, e->k), ref_dense(r, x, e->v), e->heads);
        x = ref_layernorm(r, ref_add(r, ref_dense(r, y, e->out), x), e->norm1, 1e-12);
        y = ref_dense(r, ref_map(r, ref_dense(r, x, e->in), ref_gelu), e->back);
        x = ref_layernorm(r, ref_add(r, y, x), e->norm2, 1e-12);
    }
    r->prefix[0] = 0;
    x = ref_linear(r, ref_first(r, x), e->head, true);
    return ref_linear(r, e->bert ? ref_map(r, x, tanh) : ref_relu(r, x), "classifier", true);
}

/* Texts of several lengths, longer than a tile of queries too; a model takes shorter batches than its longest. */
static void encoders_are_differentiated(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        struct qgm_input input;
        const struct ref_encoder *form;
        int n, length;
    } known[] = {
        { "bert-tiny:width=8,inner=12", { 9, 1, 30, 3, true }, &bert, 5, 9 },
        { "bert-tiny:width=20,inner=33", { 100, 1, 50, 4, true }, &bert, 2, 70 },
        { "distilbert-base:layers=1,width=12,heads=3,inner=20", { 16, 1, 40, 4, true }, &distil, 6, 11 },
    };
    for (size_t i = 0; i < QGM_COUNT(known); i++) {
        struct qgm_model *m = open_model(known[i].spec, &known[i].input);
        print_message("%s\n", known[i].spec);
        grad_check(&(struct grad_case){ .model = m,
                                        .input = known[i].input,
                                        .network = net_encoder,
                                        .detail = known[i].form,
                                        .n = known[i].n,
                                        .length = known[i].length,
                                        .tolerance = 2e-5,
                                        .directions = 4,
                                        .seed = (uint32_t)i });
        qgm_model_close(&m);
    }
}

static void gradients_are_derivatives(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        struct qgm_input input;
        ref_network *network;
        const void *detail;
        int n;
    } known[] = {
        { "lenet", { 28, 28, 1, 10 }, net_lenet, NULL, 5 },
        { "mlp:hidden=20-10", { 6, 5, 2, 7 }, net_mlp, NULL, 70 },
        { "cnn:width=4", { 11, 9, 2, 5 }, net_cnn, NULL, 9 },
        { "resnet8", { 8, 8, 3, 10 }, net_resnet, &bn, 6 },
        { "resnet8:norm=gn", { 8, 8, 3, 10 }, net_resnet, &gn, 6 },
        { "resnet8:norm=evonorm", { 8, 8, 3, 10 }, net_resnet, &evonorm, 6 },
        { "resnet8:norm=lin2021", { 8, 8, 3, 10 }, net_resnet, &lin2021, 6 },
        /* batch statistics over several blocks, the last one shorter */
        { "resnet8", { 16, 16, 3, 10 }, net_resnet, &bn, 18 },
        { "resnet8:norm=lin2021", { 16, 16, 3, 10 }, net_resnet, &lin2021, 18 },
        { "resnet18:norm=gn", { 16, 16, 3, 10 }, net_resnet, &four, 1 },
        { "resnet44:norm=gn", { 4, 4, 3, 10 }, net_bottleneck, &gn, 2 },
        { "wideresnet:depth=10,widen=1", { 8, 8, 3, 10 }, net_wideresnet, NULL, 5 },
        { "vgg11:scale=1", { 32, 32, 3, 10 }, net_vgg, &no, 3 },
        { "vgg11:scale=1,norm=bn", { 32, 32, 3, 10 }, net_vgg, &yes, 5 },
    };
    for (size_t i = 0; i < QGM_COUNT(known); i++) {
        struct qgm_model *m = open_model(known[i].spec, &known[i].input);
        print_message("%s\n", known[i].spec);
        grad_check(&(struct grad_case){ .model = m,
                                        .input = known[i].input,
                                        .network = known[i].network,
                                        .detail = known[i].detail,
                                        .n = known[i].n,
                                        .tolerance = 1e-5,
                                        .directions = qgm_model_count(m) > 1000000 || known[i].n > 16 ? 1 : 3,
                                        .seed = (uint32_t)i });
        qgm_model_close(&m);
    }
}

/* A bigger arena, a dirty one, a batch in an odd place: the same bits. */
static void check_arenas(const char *spec)
{
    struct qgm_model *m = open_model(spec, &mnist);
    struct grad_case c = { .model = m, .input = mnist, .n = 33, .seed = 5 };
    struct grad_data d = grad_open(&c);
    size_t size = qgm_model_size(m);
    float *again = grad_floats(size);
    double loss = qgm_model_grad(m, d.params, d.buffers, &d.batch, 0, d.grad, NULL, &d.arena);
    struct qgm_arena large;
    assert_int_equal(qgm_arena_open(&large, 3 * qgm_model_arena(m, 33, true) + 4096, NULL), 0);
    memset(qgm_take(&large, 1000, 1), 0x7f, 1000);
    size_t mark = qgm_mark(&large);
    for (int k = 0; k < 2; k++) {
        struct qgm_score score = { 0 };
        memset(again, 0xff, size * sizeof *again);
        assert_true(qgm_model_grad(m, d.params, d.buffers, &d.batch, 0, again, &score, &large) == loss);
        assert_memory_equal(again, d.grad, size * sizeof *again);
        assert_int_equal(qgm_mark(&large), mark);
        assert_int_equal(score.examples, 33);
        assert_true(fabs(score.loss - 33 * loss) < 1e-9);
    }
    free(again);
    qgm_arena_close(&large);
    grad_close(&d);
    qgm_model_close(&m);
}

static void bits_do_not_depend_on_the_arena(void **state)
{
    (void)state;
    check_arenas("cnn:width=5");
    check_arenas("resnet8"); /* several blocks */
}

/* The score of a batch is the sum of its parts', and counts what the logits say. */
static void scores_add_up(void **state)
{
    (void)state;
    struct qgm_model *m = open_model("mlp:hidden=8", &mnist);
    struct grad_case c = { .model = m, .input = mnist, .n = 150, .seed = 6 };
    struct grad_data d = grad_open(&c);
    float logits[1500];
    struct qgm_score whole = { 0 }, parts = { 0 };
    qgm_model_eval(m, d.params, NULL, &d.batch, logits, &whole, &d.arena);
    long correct = 0;
    for (int i = 0; i < 150; i++) {
        int best = 0;
        for (int k = 1; k < 10; k++)
            if (logits[10 * i + k] > logits[10 * i + best]) best = k;
        correct += best == d.batch.labels[i];
        struct qgm_batch one = { .n = 1, .x = d.batch.x + 784 * i, .labels = d.batch.labels + i };
        qgm_model_eval(m, d.params, NULL, &one, NULL, &parts, &d.arena);
    }
    assert_int_equal(whole.examples, 150);
    assert_int_equal(parts.examples, 150);
    assert_int_equal(whole.correct, correct);
    assert_int_equal(parts.correct, correct);
    assert_true(fabs(whole.loss - parts.loss) < 1e-6 * whole.loss);
    grad_close(&d);
    qgm_model_close(&m);
}

static void training_lowers_the_loss(void **state)
{
    (void)state;
    static const char *const specs[] = { "logreg", "mlp:hidden=16", "cnn:width=4",
                                         "lenet",  "resnet8",       "resnet8:norm=evonorm" };
    for (size_t k = 0; k < QGM_COUNT(specs); k++) {
        struct qgm_model *m = open_model(specs[k], &mnist);
        struct grad_case c = { .model = m, .input = mnist, .n = 16, .seed = 8 };
        struct grad_data d = grad_open(&c);
        double first = 0, last = 0;
        qgm_model_init(m, 1, d.params, d.buffers);
        for (int step = 0; step < 40; step++) {
            last = qgm_model_grad(m, d.params, d.buffers, &d.batch, 0, d.grad, NULL, &d.arena);
            if (step == 0) first = last;
            for (size_t i = 0; i < qgm_model_size(m); i++) d.params[i] -= 0.05f * d.grad[i];
        }
        if (!(last < 0.8 * first)) fail_msg("%s: the loss went from %g to %g", specs[k], first, last);
        grad_check_gaps(m, d.params);
        grad_close(&d);
        qgm_model_close(&m);
    }
}

/* Initial values depend on the seed alone and follow the rule of their tensor. */
static void initial_values_follow_their_rule(void **state)
{
    (void)state;
    struct qgm_model *m = open_model("lenet", &cifar10);
    size_t size = qgm_model_size(m);
    float *a = grad_floats(size), *b = grad_floats(size);
    qgm_model_init(m, 3, a, NULL);
    qgm_model_init(m, 3, b, NULL);
    assert_memory_equal(a, b, size * sizeof *a);
    qgm_model_init(m, 4, b, NULL);
    assert_memory_not_equal(a, b, size * sizeof *a);
    for (int i = 0; i < qgm_model_tensors(m); i++) {
        const struct qgm_tensor *t = qgm_model_tensor(m, i);
        if (strcmp(t->name, "fc1.weight")) continue;
        double bound = 1 / sqrt(400.0), square = 0;
        for (size_t j = t->offset; j < t->offset + t->count; j++) {
            assert_true(fabs((double)a[j]) <= bound);
            square += (double)a[j] * (double)a[j];
        }
        assert_true(fabs(square / (double)t->count / (bound * bound / 3) - 1) < 0.02);
    }
    free(a);
    free(b);
    qgm_model_close(&m);
}

/* In every form of VGG: a scaled one has one dense layer only. */
static void dropout_is_of_scaled_models_too(void **state)
{
    (void)state;
    static const char *const specs[] = { "vgg11:scale=1", "vgg11:scale=1,dropout=0.5" };
    double loss[2];
    for (int k = 0; k < 2; k++) {
        struct qgm_model *m = open_model(specs[k], &cifar10);
        struct grad_case c = { .model = m, .input = cifar10, .n = 8, .seed = 3 };
        struct grad_data d = grad_open(&c);
        loss[k] = qgm_model_grad(m, d.params, d.buffers, &d.batch, 0, d.grad, NULL, &d.arena);
        grad_close(&d);
        qgm_model_close(&m);
    }
    assert_true(loss[0] != loss[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_counts_are_the_papers),
        cmocka_unit_test(gradients_are_derivatives),
        cmocka_unit_test(encoders_are_differentiated),
        cmocka_unit_test(bits_do_not_depend_on_the_arena),
        cmocka_unit_test(scores_add_up),
        cmocka_unit_test(training_lowers_the_loss),
        cmocka_unit_test(initial_values_follow_their_rule),
        cmocka_unit_test(dropout_is_of_scaled_models_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
