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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_is_differentiated),
        cmocka_unit_test(linear_is_differentiated),
        cmocka_unit_test(maxpool_is_differentiated),
        cmocka_unit_test(avgpool_is_differentiated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
