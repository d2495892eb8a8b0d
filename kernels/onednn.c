/* oneDNN as a backend. A plan is a primitive with its memory objects, made at the first call of a shape; calls after
 * that only set pointers. SPDX-License-Identifier: MIT */
#include "onednn.h"
#include <dnnl.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };

struct plan {
    struct plan *next;
    struct qgm_conv c;
    enum pass pass;
    bool bias, relu, usable;
    dnnl_primitive_t primitive, reorder; /* reorder: of weights, or of their gradient back, added to ours */
    dnnl_memory_t x, y, plain, packed, shift;
    const float *packed_from;
};

/* Nothing here is shared between threads, so nothing needs a lock; primitives live as long as their thread. */
static _Thread_local struct plan *plans;
static _Thread_local dnnl_engine_t engine;
static _Thread_local dnnl_stream_t stream;
static const struct qgm_kernels *others;
static bool keep_weights;

/* Evaluates to false out of the enclosing function, where a call of the library fails: the shape then goes elsewhere.
 */
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != dnnl_success) return false;                                                                      \
    } while (0)

/* A client is computed by one thread: the library, which asks OpenMP for a team, is told so around each use. */
static int one_thread(void)
{
#ifdef _OPENMP
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    return threads;
#else
    return 1;
#endif
}
static void restore_threads(int threads)
{
#ifdef _OPENMP
    omp_set_num_threads(threads);
#else
    (void)threads;
#endif
}

/* ---- What changed from version 2 to 3: descriptions are structs in the former, handles in the latter ---- */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout;
typedef const_dnnl_memory_desc_t layout_in;
#define IN(l) (l)
static bool lay_out(layout *l, int axes, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(l, axes, dims, dnnl_f32, tag) == dnnl_success;
}
static void drop(layout *l)
{
    if (*l) dnnl_memory_desc_destroy(*l);
}
static bool append_relu(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0) == dnnl_success;
}
static bool append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef) == dnnl_success;
}
#else
typedef dnnl_memory_desc_t layout;
typedef const dnnl_memory_desc_t *layout_in;
#define IN(l) (&(l))
static bool lay_out(layout *l, int axes, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(l, axes, dims, dnnl_f32, tag) == dnnl_success;
}
static void drop(layout *l) { (void)l; }
static bool append_relu(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) == dnnl_success;
}
static bool append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1) == dnnl_success; }
#endif

/* Images lie as ours do; weights as the library likes them (any), or as ours (plain). */
struct layouts {
    layout x, y, any, plain, shift;
};

/* Forward, or a backward pass with the description of forward as a hint. */
#if DNNL_VERSION_MAJOR >= 3
static bool describe(const struct plan *p, const struct layouts *l, enum pass pass, dnnl_primitive_attr_t attr,
                     dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc)
{
    const dnnl_dims_t strides = { p->c.stride, p->c.stride }, pad = { p->c.pad, p->c.pad }, dense = { 0, 0 };
    if (pass == FORWARD)
        OK(dnnl_convolution_forward_primitive_desc_create(desc, engine, dnnl_forward_training, dnnl_convolution_auto,
                                                          l->x, l->any, p->bias ? l->shift : NULL, l->y, strides, dense,
                                                          pad, pad, attr));
    else if (pass == BACKWARD_DATA)
        OK(dnnl_convolution_backward_data_primitive_desc_create(desc, engine, dnnl_convolution_auto, l->x, l->any, l->y,
                                                                strides, dense, pad, pad, hint, attr));
    else
        OK(dnnl_convolution_backward_weights_primitive_desc_create(desc, engine, dnnl_convolution_auto, l->x, l->any,
                                                                   NULL, l->y, strides, dense, pad, pad, hint, attr));
    return true;
}
#else
static bool describe(const struct plan *p, const struct layouts *l, enum pass pass, dnnl_primitive_attr_t attr,
                     dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc)
{
    const dnnl_dims_t strides = { p->c.stride, p->c.stride }, pad = { p->c.pad, p->c.pad };
    dnnl_convolution_desc_t d;
    if (pass == FORWARD)
        OK(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_auto, &l->x, &l->any,
                                              p->bias ? &l->shift : NULL, &l->y, strides, pad, pad));
    else if (pass == BACKWARD_DATA)
        OK(dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_auto, &l->x, &l->any, &l->y, strides, pad,
                                                    pad));
    else
        OK(dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_auto, &l->x, &l->any, NULL, &l->y, strides,
                                                       pad, pad));
    OK(dnnl_primitive_desc_create(desc, &d, attr, engine, hint));
    return true;
}
#endif

static bool lay_out_all(const struct qgm_conv *c, struct layouts *l)
{
    const dnnl_dims_t x = { c->n, c->ci, c->h, c->w }, y = { c->n, c->co, qgm_conv_oh(c), qgm_conv_ow(c) },
                      w = { c->co, c->ci, c->kh, c->kw }, shift = { c->co };
    return lay_out(&l->x, 4, x, dnnl_nhwc) && lay_out(&l->y, 4, y, dnnl_nhwc) &&
           lay_out(&l->any, 4, w, dnnl_format_tag_any) && lay_out(&l->plain, 4, w, dnnl_hwio) &&
           lay_out(&l->shift, 1, shift, dnnl_x);
}

/* attr is NULL for none; on failure nothing is left behind in it. */
static bool with_post_op(dnnl_primitive_attr_t *attr, bool (*append)(dnnl_post_ops_t))
{
    dnnl_post_ops_t ops;
    OK(dnnl_primitive_attr_create(attr));
    OK(dnnl_post_ops_create(&ops));
    bool good = append(ops) && dnnl_primitive_attr_set_post_ops(*attr, ops) == dnnl_success;
    dnnl_post_ops_destroy(ops);
    return good;
}

/* The primitive of the plan, its reorder and its memory objects, from the pass's description. */
static bool realise(struct plan *p, const struct layouts *l, dnnl_primitive_desc_t desc)
{
    bool gradient = p->pass == BACKWARD_WEIGHTS;
    layout_in packed =
        dnnl_primitive_desc_query_md(desc, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    layout_in plain = IN(l->plain), from = gradient ? packed : plain, to = gradient ? plain : packed;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t move;
    if (gradient && !with_post_op(&attr, append_sum)) return false;
    OK(dnnl_reorder_primitive_desc_create(&move, from, engine, to, engine, attr));
    dnnl_status_t made = dnnl_primitive_create(&p->reorder, move);
    dnnl_primitive_desc_destroy(move);
    if (attr) dnnl_primitive_attr_destroy(attr);
    OK(made);
    OK(dnnl_primitive_create(&p->primitive, desc));
    OK(dnnl_memory_create(&p->x, IN(l->x), engine, DNNL_MEMORY_NONE));
    OK(dnnl_memory_create(&p->y, IN(l->y), engine, DNNL_MEMORY_NONE));
    OK(dnnl_memory_create(&p->plain, plain, engine, DNNL_MEMORY_NONE));
    OK(dnnl_memory_create(&p->shift, IN(l->shift), engine, DNNL_MEMORY_NONE));
    OK(dnnl_memory_create(&p->packed, packed, engine, DNNL_MEMORY_ALLOCATE));
    return true;
}

static bool make(struct plan *p)
{
    if (!engine) {
        OK(dnnl_engine_create(&engine, dnnl_cpu, 0));
        OK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    }
    struct layouts l;
    memset(&l, 0, sizeof l);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t forward = NULL, backward = NULL;
    bool good = lay_out_all(&p->c, &l) && (!p->relu || with_post_op(&attr, append_relu)) &&
                describe(p, &l, FORWARD, attr, NULL, &forward) &&
                (p->pass == FORWARD || describe(p, &l, p->pass, NULL, forward, &backward)) &&
                realise(p, &l, p->pass == FORWARD ? forward : backward);
    if (backward) dnnl_primitive_desc_destroy(backward);
    if (forward) dnnl_primitive_desc_destroy(forward);
    if (attr) dnnl_primitive_attr_destroy(attr);
    drop(&l.x), drop(&l.y), drop(&l.any), drop(&l.plain), drop(&l.shift);
    return good;
}

/* The plan of a call, NULL where oneDNN has none. The last one used comes first. */
static struct plan *find(const struct qgm_conv *c, enum pass pass, bool bias, bool relu)
{
    if (c->n == 0) return NULL;
    struct plan **at = &plans;
    while (*at &&
           (memcmp(&(*at)->c, c, sizeof *c) != 0 || (*at)->pass != pass || (*at)->bias != bias || (*at)->relu != relu))
        at = &(*at)->next;
    struct plan *p = *at;
    if (p) {
        *at = p->next;
    } else if ((p = calloc(1, sizeof *p))) {
        p->c = *c, p->pass = pass, p->bias = bias, p->relu = relu;
        p->usable = make(p);
    } else {
        return NULL;
    }
    p->next = plans;
    plans = p;
    return p->usable ? p : NULL;
}

static bool execute(dnnl_primitive_t primitive, int n, const dnnl_exec_arg_t *args)
{
    OK(dnnl_primitive_execute(primitive, stream, n, args));
    OK(dnnl_stream_wait(stream));
    return true;
}

static bool move(const struct plan *p, dnnl_memory_t from, dnnl_memory_t to)
{
    return execute(p->reorder, 2, (const dnnl_exec_arg_t[]){ { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } });
}

static bool point(dnnl_memory_t memory, const float *data)
{
    return dnnl_memory_set_data_handle(memory, (void *)data) == dnnl_success;
}

static bool convolve(const struct qgm_conv *c, enum pass pass, const float *x, const float *w, const float *y,
                     const float *bias, bool relu)
{
    struct plan *p = find(c, pass, bias, relu);
    if (!p || !point(p->x, x) || !point(p->plain, w) || !point(p->y, y) || (bias && !point(p->shift, bias)))
        return false;
    bool gradient = pass == BACKWARD_WEIGHTS, kept = keep_weights && p->packed_from == w;
    p->packed_from = w;
    if (!gradient && !kept && !move(p, p->plain, p->packed)) return false;
    static const int roles[][3] = { { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST },
                                    { DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST },
                                    { DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST } };
    const dnnl_exec_arg_t args[] = {
        { roles[pass][0], p->x }, { roles[pass][1], p->packed }, { roles[pass][2], p->y }, { DNNL_ARG_BIAS, p->shift }
    };
    return execute(p->primitive, bias ? 4 : 3, args) && (!gradient || kept || move(p, p->packed, p->plain));
}

static void conv_forward(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                         float *y, void *scratch)
{
    int threads = one_thread();
    if (!convolve(c, FORWARD, x, w, y, bias, relu)) others->conv_forward(c, x, w, bias, relu, y, scratch);
    restore_threads(threads);
}

static void conv_backward_data(const struct qgm_conv *c, const float *dy, const float *w, float *dx, void *scratch)
{
    int threads = one_thread();
    if (!convolve(c, BACKWARD_DATA, dx, w, dy, NULL, false)) others->conv_backward_data(c, dy, w, dx, scratch);
    restore_threads(threads);
}

static void conv_backward_weights(const struct qgm_conv *c, const float *x, const float *dy, float *dw, void *scratch)
{
    int threads = one_thread();
    if (!convolve(c, BACKWARD_WEIGHTS, x, dw, dy, NULL, false)) others->conv_backward_weights(c, x, dy, dw, scratch);
    restore_threads(threads);
}

/* Bias and relu are passes of their own: oneDNN's product has neither. */
static void gemm(const struct qgm_gemm *g, void *scratch)
{
    int threads = one_thread();
    bool done = g->m > 0 && g->n > 0 && g->k > 0 &&
                dnnl_sgemm(g->ta ? 'T' : 'N', g->tb ? 'T' : 'N', g->m, g->n, g->k, 1, g->a, g->lda, g->b, g->ldb,
                           g->beta, g->c, g->ldc) == dnnl_success;
    restore_threads(threads);
    if (!done) {
        others->gemm(g, scratch);
        return;
    }
    for (int i = 0; i < g->m && (g->bias || g->relu); i++) {
        float *row = g->c + (ptrdiff_t)i * g->ldc;
        if (g->bias) others->add_bias(row, g->bias, 1, g->n);
        if (g->relu) others->relu_forward(row, row, (size_t)g->n);
    }
}

const struct qgm_kernels *qgm_onednn(const struct qgm_kernels *rest)
{
    static struct qgm_kernels table;
    if (rest == &table) return &table;
    others = rest;
    table = *rest;
    table.isa = "onednn", table.gemm = gemm;
    table.conv_forward = conv_forward, table.conv_backward_data = conv_backward_data;
    table.conv_backward_weights = conv_backward_weights;
    return &table;
}

void qgm_onednn_keep_weights(bool keep) { keep_weights = keep; }
