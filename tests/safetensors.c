/* Files of parameters: what is written, what is read back, what is refused. SPDX-License-Identifier: MIT */
#include "safetensors.h"
#include "gradcheck.h"
#include <unistd.h>

static const struct qgm_input cifar10 = { 32, 32, 3, 10 };
static char path[64];

/* A model with its values, and the bytes of its file. */
struct saved {
    struct qgm_model *model;
    float *params, *buffers;
    char *bytes;
    size_t size;
};

static size_t read_bytes(char **bytes)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    *bytes = malloc(size + 1);
    assert_int_equal(fread(*bytes, 1, size, f), size);
    (*bytes)[size] = 0;
    fclose(f);
    return size;
}

static void write_bytes(const char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static struct saved save_for(const char *spec, const struct qgm_input *input)
{
    struct saved s = { 0 };
    struct qgm_error err = { 0 };
    if (qgm_model_open(&s.model, spec, input, &err) < 0) fail_msg("%s", err.text);
    s.params = grad_floats(qgm_model_size(s.model));
    s.buffers = grad_floats(qgm_model_buffers(s.model));
    qgm_model_init(s.model, 7, s.params, s.buffers);
    for (size_t i = 0; i < qgm_model_buffers(s.model); i++) s.buffers[i] += (float)i;
    if (qgm_safetensors_save(path, s.model, s.params, s.buffers, &err) < 0) fail_msg("%s", err.text);
    s.size = read_bytes(&s.bytes);
    return s;
}

static struct saved save(const char *spec) { return save_for(spec, &cifar10); }

static void release(struct saved *s)
{
    qgm_model_close(&s->model);
    free(s->params);
    free(s->buffers);
    free(s->bytes);
}

static void what_is_saved_is_loaded(void **state)
{
    (void)state;
    static const char *const specs[] = { "lenet", "logreg", "resnet8", "resnet8:norm=gn" };
    for (size_t k = 0; k < QGM_COUNT(specs); k++) {
        struct saved s = save(specs[k]);
        size_t size = qgm_model_size(s.model), buffers = qgm_model_buffers(s.model);
        float *p = grad_floats(size), *b = grad_floats(buffers);
        struct qgm_error err = { 0 };
        memset(p, 0xff, size * sizeof *p);
        if (qgm_safetensors_load(path, s.model, p, b, &err) < 0) fail_msg("%s", err.text);
        assert_memory_equal(p, s.params, size * sizeof *p);
        for (int i = 0; i < qgm_model_buffer_tensors(s.model); i++) {
            const struct qgm_tensor *t = qgm_model_buffer_tensor(s.model, i);
            assert_memory_equal(b + t->offset, s.buffers + t->offset, t->count * sizeof *b);
        }
        if (qgm_safetensors_load(path, s.model, p, NULL, &err) < 0) fail_msg("%s", err.text);
        assert_memory_equal(p, s.params, size * sizeof *p);
        free(p);
        free(b);
        release(&s);
    }
}

/* The bytes are PyTorch's: element (o, c, y, x) of a filter, element (o, (c y x)) behind an image. */
static void elements_stand_in_pytorchs_order(void **state)
{
    (void)state;
    struct saved s = save("lenet");
    uint64_t length;
    memcpy(&length, s.bytes, 8);
    assert_int_equal(length % 8, 0);
    char *header = strndup(s.bytes + 8, length);
    assert_non_null(strstr(header, "\"conv2.weight\":{\"dtype\":\"F32\",\"shape\":[16,6,5,5],"));
    assert_non_null(strstr(header, "\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[120,400],"));
    assert_non_null(strstr(header, "\"fc2.weight\":{\"dtype\":\"F32\",\"shape\":[84,120],"));
    assert_non_null(strstr(header, "\"__metadata__\":{\"format\":\"pt\"}"));
    double *params = calloc(qgm_model_size(s.model), sizeof *params);
    for (size_t i = 0; i < qgm_model_size(s.model); i++) params[i] = (double)s.params[i];
    struct ref r = { .model = s.model, .params = params };
    struct ref_tensor conv2 = ref_find(&r, "conv2", "weight"), fc1 = ref_find(&r, "fc1", "weight");
    const char *data = s.bytes + 8 + length;
    float x;
    size_t at = 6 * 3 * 25 + 6; /* behind conv1's weight and bias */
    memcpy(&x, data + 4 * (at + ((11 * 6 + 4) * 5 + 3) * 5 + 1), 4);
    assert_true((double)x == ref_get(&conv2, 11, 4, 3, 1));
    at += 16 * 6 * 25 + 16;
    memcpy(&x, data + 4 * (at + 77 * 400 + 9 * 25 + 3 * 5 + 2), 4);
    assert_true((double)x == ref_get(&fc1, 77, 9, 3, 2));
    free(params);
    free(header);
    release(&s);
}

static void refuse(const struct saved *s, const char *bytes, size_t size, const char *says)
{
    struct qgm_error err = { 0 };
    float *p = grad_floats(qgm_model_size(s->model)), *b = grad_floats(qgm_model_buffers(s->model));
    write_bytes(bytes, size);
    assert_int_equal(qgm_safetensors_load(path, s->model, p, b, &err), -1);
    assert_int_equal(err.kind, QGM_INPUT);
    if (!strstr(err.text, says) || !strstr(err.text, path)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    free(p);
    free(b);
}

/* Replace text of the header by text of the same length. */
static void refuse_edit(const struct saved *s, const char *from, const char *to, const char *says)
{
    assert_int_equal(strlen(from), strlen(to));
    char *copy = malloc(s->size), *at;
    memcpy(copy, s->bytes, s->size);
    uint64_t length;
    memcpy(&length, copy, 8);
    at = memmem(copy + 8, length, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    refuse(s, copy, s->size, says);
    free(copy);
}

static void damage_is_named(void **state)
{
    (void)state;
    struct saved s = save("logreg");
    refuse_edit(&s, "F32", "F16", "fc.weight: type F16, expected F32");
    refuse_edit(&s, "[10,3072]", "[3072,10]", "shape [3072,10], expected [10, 3072]");
    refuse_edit(&s, "fc.bias", "fc.bius", "fc.bias: the model has it, the file has not");
    refuse_edit(&s, "[0,122880]", "[4,122880]", "belong to no tensor");
    refuse_edit(&s, "[0,122880]", "[0,122884]", "overlap");
    refuse_edit(&s, "[0,122880]", "[0,922880]", "not within");
    refuse_edit(&s, "[0,122880]", "[-,122880]", "JSON");
    refuse_edit(&s, "[0,122880]", "[9,      ]", "JSON");
    refuse_edit(&s, "[0,122880]", "[1,2     ]", "fc.weight");
    refuse_edit(&s, "{\"dtype", "<\"dtype", "JSON");
    refuse_edit(&s, "fc.bias\":", "__met\":  ", "has it");
    refuse(&s, s.bytes, 0, "too few");
    struct qgm_error err = { 0 };
    assert_int_equal(qgm_safetensors_load("/", s.model, s.params, NULL, &err), -1);
    assert_non_null(strstr(err.text, "/: a folder, pipe or device, expected"));
    refuse(&s, s.bytes, 7, "too few");
    refuse(&s, s.bytes, 100, "cut short");
    refuse(&s, s.bytes, s.size - 1, "cut short");
    refuse(&s, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "not a safetensors file");
    refuse(&s, "\2\0\0\0\0\0\0\0{}", 10, "fc.weight: the model has it");
    refuse(&s, "\2\0\0\0\0\0\0\0[]", 10, "not a JSON object");
    release(&s);

    struct saved large = save("resnet8"), none = save("resnet8:norm=gn");
    refuse(&large, none.bytes, none.size, "bn1.running_mean: the model has it");
    write_bytes(large.bytes, large.size);
    assert_int_equal(qgm_safetensors_load(path, none.model, none.params, none.buffers, &err), -1);
    assert_non_null(strstr(err.text, "the file has it, the model has not"));
    release(&large);
    release(&none);
    assert_int_equal(unlink(path), 0);
    struct saved s2 = save("logreg");
    unlink(path);
    assert_int_equal(qgm_safetensors_load(path, s2.model, s2.params, NULL, &err), -1);
    assert_non_null(strstr(err.text, "cannot open"));
    assert_int_equal(qgm_safetensors_save("/nonexistent/x", s2.model, s2.params, NULL, &err), -1);
    assert_int_equal(err.kind, QGM_SYSTEM);
    release(&s2);
}

/* Replace text of the header by text of the same length, everywhere. */
static void rename_all(struct saved *s, const char *from, const char *to)
{
    size_t length = strlen(from);
    assert_int_equal(length, strlen(to));
    for (char *at = s->bytes; (at = memmem(at, s->size - (size_t)(at - s->bytes), from, length)); at += length)
        memcpy(at, to, length);
    write_bytes(s->bytes, s->size);
}

/* Everything but the tensors called `fresh`... has the file's values; those keep theirs. */
static void check_all_but(const struct saved *file, const struct qgm_model *model, const float *p, const float *before,
                          const char *fresh)
{
    for (int i = 0; i < qgm_model_tensors(model); i++) {
        const struct qgm_tensor *t = qgm_model_tensor(model, i), *theirs = qgm_model_tensor(file->model, i);
        bool kept = !strncmp(t->name, fresh, strlen(fresh));
        assert_memory_equal(p + t->offset, kept ? before + t->offset : file->params + theirs->offset,
                            t->count * sizeof *p);
    }
}

static void heads_of_another_task_stay_fresh(void **state)
{
    (void)state;
    static const struct qgm_input seven = { 32, 32, 3, 7 };
    struct saved to = save_for("resnet8", &seven), file = save("resnet8");
    struct qgm_error err = { 0 };
    char note[200];
    float *before = grad_floats(qgm_model_size(to.model));
    memcpy(before, to.params, qgm_model_size(to.model) * sizeof *before);
    if (qgm_safetensors_pretrained(path, to.model, to.params, to.buffers, note, sizeof note, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(note, "fresh fc.weight, fresh fc.bias");
    check_all_but(&file, to.model, to.params, before, "fc.");
    free(before);
    release(&to);
    release(&file);
}

/* No "bert." in front, a head of pretraining, gamma and beta. */
static void encoders_saved_by_themselves_are_read(void **state)
{
    (void)state;
    static const struct qgm_input texts = { 8, 1, 20, 4, true }, words = { 8, 1, 21, 4, true };
    struct qgm_error err = { 0 };
    char note[200];
    static const char tiny[] = "bert-tiny:layers=1,width=16,heads=2,inner=16";
    struct saved own = save_for(tiny, &texts), wide = save_for(tiny, &words);
    struct saved encoder = save_for(tiny, &texts);
    for (size_t i = 0; i < qgm_model_size(own.model); i++) own.params[i] = 3;
    float *before = grad_floats(qgm_model_size(own.model));
    memcpy(before, own.params, qgm_model_size(own.model) * sizeof *before);
    rename_all(&encoder, "\"bert.", "     \"");
    rename_all(&encoder, "\"classifier.weight\"", "\"cls.predictions.w\"");
    rename_all(&encoder, "\"classifier.bias\"", "\"cls.predictions\"");
    if (qgm_safetensors_pretrained(path, own.model, own.params, NULL, note, sizeof note, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(note, "fresh classifier.weight, fresh classifier.bias, left out cls.predictions.w, "
                              "left out cls.predictions");
    check_all_but(&encoder, own.model, own.params, before, "classifier.");
    assert_int_equal(qgm_safetensors_load(path, own.model, own.params, NULL, &err), -1); /* which is strict */
    assert_int_equal(qgm_safetensors_pretrained(path, wide.model, wide.params, NULL, note, sizeof note, &err), -1);
    assert_non_null(strstr(err.text, "embeddings.word_embeddings.weight: shape [20,16], expected [21, 16]"));
    assert_non_null(strstr(err.text, "vocabulary"));
    /* Another width is no matter of words; layers that one side lacks are named. */
    struct saved narrow = save_for("bert-tiny:layers=1,width=8,heads=2,inner=16", &texts);
    struct saved deep = save_for("bert-tiny:layers=2,width=16,heads=2,inner=16", &texts);
    write_bytes(encoder.bytes, encoder.size);
    assert_int_equal(qgm_safetensors_pretrained(path, narrow.model, narrow.params, NULL, note, sizeof note, &err), -1);
    assert_non_null(strstr(err.text, "word_embeddings.weight: shape [20,16], expected [20, 8]"));
    assert_null(strstr(err.text, "vocabulary"));
    assert_int_equal(qgm_safetensors_pretrained(path, deep.model, deep.params, NULL, note, sizeof note, &err), -1);
    assert_non_null(
        strstr(err.text, "encoder.layer.1.attention.self.query.weight: the model has it, the file has not"));
    write_bytes(deep.bytes, deep.size);
    assert_int_equal(qgm_safetensors_pretrained(path, own.model, own.params, NULL, note, sizeof note, &err), -1);
    assert_non_null(strstr(err.text, "bert.encoder.layer.1."));
    assert_non_null(strstr(err.text, "the file has it, the model has not"));
    release(&narrow);
    release(&deep);
    /* As TensorFlow named them, which only what was pretrained may. */
    write_bytes(encoder.bytes, encoder.size);
    rename_all(&encoder, "LayerNorm.weight\"", "LayerNorm.gamma\" ");
    rename_all(&encoder, "LayerNorm.bias\"", "LayerNorm.beta\"");
    memcpy(own.params, before, qgm_model_size(own.model) * sizeof *before);
    if (qgm_safetensors_pretrained(path, own.model, own.params, NULL, note, sizeof note, &err) < 0)
        fail_msg("%s", err.text);
    check_all_but(&encoder, own.model, own.params, before, "classifier.");
    rename_all(&encoder, "LayerNorm.beta", "LayerNorm.shft");
    assert_int_equal(qgm_safetensors_pretrained(path, own.model, own.params, NULL, note, sizeof note, &err), -1);
    assert_non_null(strstr(err.text, "bert.embeddings.LayerNorm.bias: the model has it, the file has not"));
    free(before);
    release(&own);
    release(&wide);
    release(&encoder);
}

/* A file with bytes changed at random is refused or read: never a crash, never a write outside (sanitizers watch). */
static void random_damage_is_harmless(void **state)
{
    (void)state;
    struct saved s = save("mlp:hidden=3");
    float *p = grad_floats(qgm_model_size(s.model));
    char *copy = malloc(s.size);
    uint64_t length;
    memcpy(&length, s.bytes, 8);
    for (uint32_t k = 0; k < 300; k++) {
        struct qgm_random r = qgm_random(k, QGM_RANDOM_TEST, 0, 0);
        memcpy(copy, s.bytes, s.size);
        for (int changes = 0; changes < 3; changes++)
            copy[qgm_random_below(&r, (uint32_t)length + 8)] = (char)(32 + qgm_random_below(&r, 95));
        write_bytes(copy, qgm_random_below(&r, 4) ? s.size : qgm_random_below(&r, (uint32_t)s.size));
        struct qgm_error err = { 0 };
        if (qgm_safetensors_load(path, s.model, p, NULL, &err) < 0) assert_true(strlen(err.text) > 10);
    }
    free(copy);
    free(p);
    release(&s);
}

int main(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/qgm-test-XXXXXX", folder ? folder : P_tmpdir);
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(elements_stand_in_pytorchs_order),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(heads_of_another_task_stay_fresh),
        cmocka_unit_test(encoders_saved_by_themselves_are_read),
        cmocka_unit_test(random_damage_is_harmless),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
