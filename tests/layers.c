/* Every layer alone, between a convolution whose gradient shows what the layer hands back and a dense layer: loss,
 * logits and every partial derivative against the double-precision reference. SPDX-License-Identifier: MIT */
#include "gradcheck.h"
#include "layer.h"

enum { CASES = 6 };

/* One random case: what the network under test is made of. */
struct shape {
    struct qgm_input input;
    int out, kernel, stride, pad, n;
    bool bias, relu;
};

static struct shape draw(uint32_t seed)
{
    struct qgm_random r = qgm_random(seed, QGM_RANDOM_TEST, 7, 0);
    struct shape s = { .input = { .h = 4 + (int)qgm_random_below(&r, 3),
                                  .w = 4 + (int)qgm_random_below(&r, 3),
                                  .c = 1 + (int)qgm_random_below(&r, 3),
                                  .classes = 2 + (int)qgm_random_below(&r, 4) },
                       .out = 1 + (int)qgm_random_below(&r, 5),
                       .kernel = 1 + (int)qgm_random_below(&r, 3),
                       .stride = 1 + (int)qgm_random_below(&r, 2),
                       .n = 1 + (int)qgm_random_below(&r, 3) };
    s.pad = (int)qgm_random_below(&r, (uint32_t)s.kernel);
    s.bias = qgm_random_below(&r, 2);
    s.relu = qgm_random_below(&r, 2);
    return s;
}

static const struct shape *current; /* builders take no argument of ours */

/* Build a model from a function, check it against the reference network, and close it. */
static void check(uint32_t seed, const struct shape *s, int (*build)(struct qgm_builder *, int), ref_network *network)
{
    struct qgm_error err = { 0 };
    struct qgm_model_kind kind = { .name = "test", .build = build };
    struct qgm_builder b = { .kind = &kind, .err = &err };
    struct qgm_model *m;
    current = s;
    if (qgm_model_make(&m, &b, &s->input) < 0) fail_msg("%s", err.text);
    grad_check(&(struct grad_case){ .model = m,
                                    .input = s->input,
                                    .network = network,
                                    .detail = s,
                                    .n = s->n,
                                    .smoothing = seed % 2 ? 0.1f : 0,
                                    .tolerance = 2e-5,
                                    .seed = seed });
    qgm_model_close(&m);
}

static int stem(struct qgm_builder *b, int x)
{
    return qgm_conv2d(
        b, x, (struct qgm_conv2d){ .name = "stem", .out = 4, .kernel = 3, .pad = 1, .bias = true, .torch_init = true });
}
static struct ref_value ref_stem(struct ref *r, struct ref_value x) { return ref_conv(r, x, "stem", 1, 1, true); }

static int head(struct qgm_builder *b, int x)
{
    return qgm_linear(b, x, (struct qgm_linear){ .name = "head", .out = b->model->input.classes });
}
static struct ref_value ref_head(struct ref *r, struct ref_value x) { return ref_linear(r, x, "head", true); }

/* ---- Convolution ---- */
static int build_conv(struct qgm_builder *b, int x)
{
    const struct shape *s = current;
    return head(b, qgm_conv2d(b, stem(b, x),
                              (struct qgm_conv2d){ .name = "conv",
                                                   .out = s->out,
                                                   .kernel = s->kernel,
                                                   .stride = s->stride,
                                                   .pad = s->pad,
                                                   .bias = s->bias,
                                                   .relu = s->relu }));
}
static struct ref_value net_conv(struct ref *r, struct ref_value x, const void *detail)
{
    const struct shape *s = detail;
    x = ref_conv(r, ref_stem(r, x), "conv", s->stride, s->pad, s->bias);
    return ref_head(r, s->relu ? ref_relu(r, x) : x);
}

/* ---- Dense, behind an image and behind a vector ---- */
static int build_linear(struct qgm_builder *b, int x)
{
    const struct shape *s = current;
    return head(b,
                qgm_linear(b, stem(b, x),
                           (struct qgm_linear){ .name = "fc", .out = s->out, .no_bias = !s->bias, .relu = s->relu }));
}
static struct ref_value net_linear(struct ref *r, struct ref_value x, const void *detail)
{
    const struct shape *s = detail;
    x = ref_linear(r, ref_stem(r, x), "fc", s->bias);
    return ref_head(r, s->relu ? ref_relu(r, x) : x);
}

/* ---- Pools ---- */
static struct qgm_pool2d pool_of(const struct shape *s)
{
    return (struct qgm_pool2d){ .size = s->kernel, .stride = s->stride, .pad = s->pad < s->kernel / 2 ? s->pad : 0 };
}
static int build_maxpool(struct qgm_builder *b, int x) { return head(b, qgm_maxpool(b, stem(b, x), pool_of(current))); }
static int build_avgpool(struct qgm_builder *b, int x) { return head(b, qgm_avgpool(b, stem(b, x), pool_of(current))); }
static struct ref_value net_pool(struct ref *r, struct ref_value x, const void *detail, bool max)
{
    struct qgm_pool2d p = pool_of(detail);
    return ref_head(r, ref_pool(r, ref_stem(r, x), p.size, p.stride, p.pad, max));
}
static struct ref_value net_maxpool(struct ref *r, struct ref_value x, const void *s)
{
    return net_pool(r, x, s, true);
}
static struct ref_value net_avgpool(struct ref *r, struct ref_value x, const void *s)
{
    return net_pool(r, x, s, false);
}

/* ---- Norms: alone, with ReLU, with a shortcut and ReLU as at the end of a residual block; two uses of one value ----
 */
static enum qgm_norm_kind norm_kind;
static bool no_running;
static int build_norm(struct qgm_builder *b, int x)
{
    const struct shape *s = current;
    struct qgm_norm2d n = { .kind = norm_kind, .groups = 2, .no_running = no_running, .relu = s->relu };
    x = stem(b, x);
    n.name = "first";
    int y = qgm_norm2d(b, x, n);
    n.name = "last";
    n.add = x;
    y = qgm_conv2d(b, y, (struct qgm_conv2d){ .name = "conv", .out = 4, .kernel = 3, .pad = 1 });
    return head(b, qgm_norm2d(b, y, n));
}
static struct ref_value net_norm(struct ref *r, struct ref_value x, const void *detail)
{
    const struct shape *s = detail;
    static const enum ref_norm_kind kinds[] = { REF_BATCH, REF_GROUP, REF_EVO_S0 };
    enum ref_norm_kind kind = no_running ? REF_BATCH_ALWAYS : kinds[norm_kind];
    x = ref_stem(r, x);
    struct ref_value y = ref_norm(r, x, "first", kind, 2);
    if (s->relu) y = ref_relu(r, y);
    y = ref_add(r, ref_norm(r, ref_conv(r, y, "conv", 1, 1, false), "last", kind, 2), x);
    return ref_head(r, s->relu ? ref_relu(r, y) : y);
}
static void norms_are_differentiated(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 4 * CASES; seed++) {
        struct shape s = draw(seed);
        norm_kind = (enum qgm_norm_kind)(seed % 4 % 3);
        no_running = seed % 4 == 3;
        check(seed, &s, build_norm, net_norm);
    }
}

/* ---- Addition: a value that is used three times ---- */
static int build_add(struct qgm_builder *b, int x)
{
    x = stem(b, x);
    int y = qgm_conv2d(b, x, (struct qgm_conv2d){ .name = "conv", .out = 4, .kernel = 3, .pad = 1, .relu = true });
    int z = qgm_add(b, qgm_conv2d(b, x, (struct qgm_conv2d){ .name = "other", .out = 4, .kernel = 1 }), x);
    return head(b, qgm_add(b, y, z));
}
static struct ref_value net_add(struct ref *r, struct ref_value x, const void *detail)
{
    (void)detail;
    x = ref_stem(r, x);
    struct ref_value y = ref_relu(r, ref_conv(r, x, "conv", 1, 1, false));
    return ref_head(r, ref_add(r, y, ref_add(r, ref_conv(r, x, "other", 1, 0, false), x)));
}

#define LAYER_TEST(layer)                                                                                              \
    static void layer##_is_differentiated(void **state)                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        for (uint32_t seed = 0; seed < CASES; seed++) {                                                                \
            struct shape s = draw(seed);                                                                               \
            check(seed, &s, build_##layer, net_##layer);                                                               \
        }                                                                                                              \
    }
LAYER_TEST(conv)
LAYER_TEST(linear)
LAYER_TEST(maxpool)
LAYER_TEST(avgpool)
LAYER_TEST(add)

/* Running statistics are PyTorch's: momentum 0.1, the unbiased variance. */
static void running_statistics_follow_the_batch(void **state)
{
    (void)state;
    struct qgm_error err = { 0 };
    struct shape s = draw(1);
    struct qgm_model_kind kind = { .name = "test", .build = build_norm };
    struct qgm_builder b = { .kind = &kind, .err = &err };
    struct qgm_model *m;
    current = &s;
    norm_kind = QGM_NORM_BATCH;
    no_running = false;
    assert_int_equal(qgm_model_make(&m, &b, &s.input), 0);
    struct grad_case c = { .model = m, .input = s.input, .n = 3, .seed = 1 };
    struct grad_data d = grad_open(&c);
    qgm_model_grad(m, d.params, d.buffers, &d.batch, 0, d.grad, NULL, &d.arena);
    struct ref r = { .model = m, .params = d.params64, .buffers = d.buffers64, .training = true };
    struct ref_value x = ref_stem(&r, ref_image(&r, &s.input, &d.batch));
    struct ref_tensor mean = ref_find(&r, "first", "running_mean"), var = ref_find(&r, "first", "running_var");
    for (int j = 0; j < x.c; j++) {
        double mu, square, count = (double)x.n * x.h * x.w;
        ref_moments(x, 0, x.n, j, j + 1, &mu, &square);
        size_t at_mean = (size_t)(mean.at - d.buffers64) + (size_t)j,
               at_var = (size_t)(var.at - d.buffers64) + (size_t)j;
        assert_true(fabs((double)d.buffers[at_mean] - (0.9 * d.buffers64[at_mean] + 0.1 * mu)) < 1e-5);
        assert_true(fabs((double)d.buffers[at_var] - (0.9 * d.buffers64[at_var] + 0.1 * square / (count - 1))) < 1e-5);
    }
    ref_free(&r);
    grad_close(&d);
    qgm_model_close(&m);
}

/* ---- Dropout ---- */
static float drop;
static int build_dropout(struct qgm_builder *b, int x)
{
    return qgm_dropout(b, qgm_linear(b, x, (struct qgm_linear){ .name = "fc", .out = b->model->input.classes }), drop);
}

/* The logits of a batch show which elements were dropped: the loss of each example alone with the same stream. */
static void dropout_masks_are_a_function_of_the_stream(void **state)
{
    (void)state;
    struct qgm_error err = { 0 };
    struct qgm_model_kind kind = { .name = "test", .build = build_dropout };
    struct qgm_builder b = { .kind = &kind, .err = &err };
    struct qgm_input input = { 2, 2, 1, 1000 };
    struct qgm_model *m;
    drop = 0.3f;
    assert_int_equal(qgm_model_make(&m, &b, &input), 0);
    struct grad_case c = { .model = m, .input = input, .n = 20, .seed = 1 };
    struct grad_data d = grad_open(&c);
    double loss = qgm_model_grad(m, d.params, NULL, &d.batch, 0, d.grad, NULL, &d.arena);
    assert_true(qgm_model_grad(m, d.params, NULL, &d.batch, 0, d.grad, NULL, &d.arena) == loss);
    d.batch.step = 1;
    assert_true(qgm_model_grad(m, d.params, NULL, &d.batch, 0, d.grad, NULL, &d.arena) != loss);
    /* One example: a class that was dropped has no gradient through its weights. */
    d.batch.n = 1;
    qgm_model_grad(m, d.params, NULL, &d.batch, 0, d.grad, NULL, &d.arena);
    int dropped = 0;
    for (int j = 0; j < 1000; j++) dropped += d.grad[j] == 0;
    assert_in_range(dropped, 250, 350);
    /* Evaluation drops nothing. */
    struct qgm_score score = { 0 };
    float logits[1000];
    qgm_model_eval(m, d.params, NULL, &d.batch, logits, &score, &d.arena);
    for (int j = 0; j < 1000; j++) assert_true(logits[j] != 0);
    grad_close(&d);
    qgm_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_is_differentiated),
        cmocka_unit_test(linear_is_differentiated),
        cmocka_unit_test(maxpool_is_differentiated),
        cmocka_unit_test(avgpool_is_differentiated),
        cmocka_unit_test(norms_are_differentiated),
        cmocka_unit_test(add_is_differentiated),
        cmocka_unit_test(running_statistics_follow_the_batch),
        cmocka_unit_test(dropout_masks_are_a_function_of_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
