/* oneDNN 2.x as a peer: a table with its convolutions. Images lie as ours do (n,h,w,c); weights lie as oneDNN likes
 * them best and are converted once, outside the clock, which favours the peer. SPDX-License-Identifier: MIT */
#include "onednn.h"
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };

/* The primitive of the last shape and pass, ready to run again. */
static struct {
    struct qgm_conv c;
    enum pass pass;
    const float *images, *weights, *gradients;
    dnnl_primitive_t primitive, pack, unpack; /* unpack: dw back into our layout */
    dnnl_memory_t x, w, packed, y;
} plan;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success) return;
    fprintf(stderr, "qgm-bench-kernels: oneDNN: %s failed with status %d\n", what, (int)status);
    exit(1);
}

static dnnl_memory_t memory(const dnnl_memory_desc_t *desc, void *data)
{
    dnnl_memory_t m;
    must(dnnl_memory_create(&m, desc, engine, data), "memory");
    return m;
}

static dnnl_primitive_t primitive(dnnl_primitive_desc_t desc)
{
    dnnl_primitive_t p;
    must(dnnl_primitive_create(&p, desc), "primitive");
    return p;
}

static dnnl_primitive_t reorder(dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_memory_desc_t *source, *target;
    dnnl_primitive_desc_t desc;
    must(dnnl_memory_get_memory_desc(from, &source), "description");
    must(dnnl_memory_get_memory_desc(to, &target), "description");
    must(dnnl_reorder_primitive_desc_create(&desc, source, engine, target, engine, NULL), "reorder");
    dnnl_primitive_t p = primitive(desc);
    dnnl_primitive_desc_destroy(desc);
    return p;
}

static void execute(dnnl_primitive_t p, int n, const dnnl_exec_arg_t *args)
{
    must(dnnl_primitive_execute(p, stream, n, args), "execution");
    must(dnnl_stream_wait(stream), "wait");
}

static void move(dnnl_primitive_t p, dnnl_memory_t from, dnnl_memory_t to)
{
    execute(p, 2, (const dnnl_exec_arg_t[]){ { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } });
}

static void describe(dnnl_memory_desc_t *desc, int a, int b, int h, int w, dnnl_format_tag_t tag)
{
    must(dnnl_memory_desc_init_by_tag(desc, 4, (const dnnl_dims_t){ a, b, h, w }, dnnl_f32, tag), "layout");
}

/* The primitive description of a pass; the backward ones are made with the forward one as a hint. */
static dnnl_primitive_desc_t describe_pass(const struct qgm_conv *c, enum pass pass)
{
    dnnl_memory_desc_t x, y, w;
    describe(&x, c->n, c->ci, c->h, c->w, dnnl_nhwc);
    describe(&y, c->n, c->co, qgm_conv_oh(c), qgm_conv_ow(c), dnnl_nhwc);
    describe(&w, c->co, c->ci, c->kh, c->kw, dnnl_format_tag_any);
    const dnnl_dims_t strides = { c->stride, c->stride }, pad = { c->pad, c->pad };
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t forward, result;
    must(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, dnnl_convolution_direct, &x, &w, NULL, &y,
                                            strides, pad, pad),
         "convolution");
    must(dnnl_primitive_desc_create(&forward, &desc, NULL, engine, NULL), "convolution");
    if (pass == FORWARD) return forward;
    if (pass == BACKWARD_DATA)
        must(dnnl_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, &x, &w, &y, strides, pad, pad),
             "backward data");
    else
        must(dnnl_convolution_backward_weights_desc_init(&desc, dnnl_convolution_direct, &x, &w, NULL, &y, strides, pad,
                                                         pad),
             "backward weights");
    must(dnnl_primitive_desc_create(&result, &desc, NULL, engine, forward), "backward");
    dnnl_primitive_desc_destroy(forward);
    return result;
}

static void forget(void)
{
    if (!plan.primitive) return;
    dnnl_primitive_destroy(plan.primitive);
    dnnl_primitive_destroy(plan.pack);
    dnnl_primitive_destroy(plan.unpack);
    dnnl_memory_destroy(plan.x);
    dnnl_memory_destroy(plan.w);
    dnnl_memory_destroy(plan.packed);
    dnnl_memory_destroy(plan.y);
    memset(&plan, 0, sizeof plan);
}

static void prepare(const struct qgm_conv *c, enum pass pass, const float *x, const float *w, const float *y)
{
    if (plan.primitive && plan.pass == pass && memcmp(&plan.c, c, sizeof *c) == 0 && plan.images == x &&
        plan.weights == w && plan.gradients == y)
        return;
    forget();
    plan.c = *c, plan.pass = pass, plan.images = x, plan.weights = w, plan.gradients = y;
    dnnl_primitive_desc_t desc = describe_pass(c, pass);
    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(
        desc, pass == BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    dnnl_memory_desc_t image, plain, out;
    describe(&image, c->n, c->ci, c->h, c->w, dnnl_nhwc);
    describe(&out, c->n, c->co, qgm_conv_oh(c), qgm_conv_ow(c), dnnl_nhwc);
    describe(&plain, c->co, c->ci, c->kh, c->kw, dnnl_hwio);
    plan.x = memory(&image, (void *)x), plan.y = memory(&out, (void *)y), plan.w = memory(&plain, (void *)w);
    plan.packed = memory(packed, DNNL_MEMORY_ALLOCATE);
    plan.primitive = primitive(desc);
    plan.pack = reorder(plan.w, plan.packed), plan.unpack = reorder(plan.packed, plan.w);
    dnnl_primitive_desc_destroy(desc);
    move(plan.pack, plan.w, plan.packed);
}

static void conv_forward(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                         float *y, void *scratch)
{
    (void)bias, (void)relu, (void)scratch; /* the cases have neither */
    prepare(c, FORWARD, x, w, y);
    execute(plan.primitive, 3,
            (const dnnl_exec_arg_t[]){
                { DNNL_ARG_SRC, plan.x }, { DNNL_ARG_WEIGHTS, plan.packed }, { DNNL_ARG_DST, plan.y } });
}

static void conv_backward_data(const struct qgm_conv *c, const float *dy, const float *w, float *dx, void *scratch)
{
    (void)scratch;
    prepare(c, BACKWARD_DATA, dx, w, dy);
    execute(plan.primitive, 3,
            (const dnnl_exec_arg_t[]){
                { DNNL_ARG_DIFF_DST, plan.y }, { DNNL_ARG_WEIGHTS, plan.packed }, { DNNL_ARG_DIFF_SRC, plan.x } });
}

/* dw is overwritten, not added to: one pass less than ours. */
static void conv_backward_weights(const struct qgm_conv *c, const float *x, const float *dy, float *dw, void *scratch)
{
    (void)scratch;
    bool first = plan.pass != BACKWARD_WEIGHTS || plan.weights != dw || plan.images != x;
    prepare(c, BACKWARD_WEIGHTS, x, dw, dy);
    execute(plan.primitive, 3,
            (const dnnl_exec_arg_t[]){
                { DNNL_ARG_SRC, plan.x }, { DNNL_ARG_DIFF_DST, plan.y }, { DNNL_ARG_DIFF_WEIGHTS, plan.packed } });
    if (first) move(plan.unpack, plan.packed, plan.w); /* for the comparison before the clock starts */
}

const struct qgm_kernels *bench_onednn(void)
{
    static const struct qgm_kernels table = { .isa = "onednn",
                                              .conv_forward = conv_forward,
                                              .conv_backward_data = conv_backward_data,
                                              .conv_backward_weights = conv_backward_weights };
    if (engine) return &table;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    return &table;
}

void bench_onednn_forget(void) { forget(); }
