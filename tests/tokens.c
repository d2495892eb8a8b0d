/* Texts: the CSV reader, the tokenizer and the data sets made of them. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include "text.h"
#include <cmocka.h>
#include <xxhash.h>

#include "scratch_dir.h"

#define AG_NEWS_TEST UINT64_C(0x78ba381a09f965fd)

static const struct qgm_labels of_four = { .classes = 4 };

static void csv_rows(void **state)
{
    (void)state;
    static const char file[] = "\xef\xbb\xbf" /* a byte-order mark */
                               "\"3\",\"Title\",\"He said \"\"no\"\", twice\"\r\n"
                               "1,plain text, two\n"
                               "\n"
                               "\"2\",\"a\\b\",\"over\ntwo lines\"\n"
                               "4,\"\",only";
    static const struct {
        int label;
        const char *text;
    } want[] = {
        { 2, "Title He said \"no\", twice" }, { 0, "plain text  two" }, { 1, "a\nb over\ntwo lines" }, { 3, " only" }
    };
    struct qgm_texts t;
    struct qgm_error err;
    if (qgm_read_csv(scratch_write("t", file, sizeof file - 1), of_four, &t, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(t.n, QGM_COUNT(want));
    for (long i = 0; i < t.n; i++) {
        assert_int_equal(t.label[i], want[i].label);
        assert_int_equal(t.start[i + 1] - t.start[i], strlen(want[i].text));
        assert_memory_equal(t.byte + t.start[i], want[i].text, strlen(want[i].text));
    }
    qgm_texts_close(&t);
}

static void csv_damage(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "no rows" },
        { "\n\n", "no rows" },
        { "1,a\n\"5\",b\n", "line 2: found class '5', expected a number from 1 to 4" },
        { "0,a\n", "line 1: found class '0'" },
        { "Class,Title\n1,a\n",
          "line 1: found class 'Class', expected a number from 1 to 4; if that line is a heading" },
        { "\xef\xbb\xbf", "no rows" },
        { "\xef\xbb\xbf"
          "5,a\n",
          "line 1: found class '5'" },
        { "1,a\n2\n", "line 2: 1 column" },
        { "1,a\r\n2,\xe9\r\n", "line 2: byte 0xe9 is not UTF-8: convert the file (if it is Latin-1: iconv -f LATIN1" },
        { "1,a\r2,b\r\r5,c\r", "line 4: found class '5'" },
        { "1,a\r\n2,b\r\n\r\n5,c\r\n", "line 4: found class '5'" },
        { "1,a\n2,\"b\nc\n", "line 2: the quote that opens here is never closed" },
        { "1,\"a\"b\n", "line 1: found 'b' behind a closing quote" },
        { "1,\"a\n\"\n3,\xc3(\n", "line 3: byte 0xc3 is not UTF-8" },
        { "1,\xed\xa0\x80\n", "line 1: byte 0xed is not UTF-8" },
        { "1,\xc0\x80\n", "byte 0xc0" },
        { "99999999999999999999,a\n", "line 1: found class '99999999999999999999'" },
    };
    struct qgm_texts t;
    struct qgm_error err;
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        const char *path = scratch_write("t", cases[i].text, strlen(cases[i].text));
        if (qgm_read_csv(path, of_four, &t, &err) == 0 || !strstr(err.text, cases[i].says) || !strstr(err.text, path))
            fail_msg("case %zu: '%s' lacks '%s'", i, err.text, cases[i].says);
        assert_null(t.byte);
    }
    static const char utf16[] = "\xff\xfe"
                                "1\0,\0a\0\n\0",
                      hidden[] = "1,a\n2,b\0c\n", number[] = "1,a\n2,b\n1\0,a";
    assert_int_equal(qgm_read_csv(scratch_write("t", utf16, sizeof utf16 - 1), of_four, &t, &err), -1);
    assert_non_null(strstr(err.text, "line 1: found a NUL byte, expected UTF-8: if the file is UTF-16, convert"));
    assert_int_equal(qgm_read_csv(scratch_write("t", hidden, sizeof hidden - 1), of_four, &t, &err), -1);
    assert_non_null(strstr(err.text, "line 2: found a NUL byte"));
    assert_int_equal(qgm_read_csv(scratch_write("t", number, sizeof number - 1), of_four, &t, &err), -1);
    assert_non_null(strstr(err.text, "line 3: found a NUL byte"));
}

/* Classes by name: those of all rows, in the order of their bytes. */
static void csv_names(void **state)
{
    (void)state;
    static const char file[] = "spam,a\n\"ham, \"\"raw\"\"\",b\nspam,c\n\xc3\xa9t\xc3\xa9,d\r\n\"ham, \"\"raw\"\"\",e";
    static const char *const want[] = { "ham, \"raw\"", "spam", "\xc3\xa9t\xc3\xa9" };
    static const int32_t labels[] = { 1, 0, 1, 2, 0 };
    static const struct qgm_labels any = { 0 };
    struct qgm_texts t;
    struct qgm_error err;
    if (qgm_read_csv(scratch_write("t", file, sizeof file - 1), any, &t, &err) < 0) fail_msg("%s", err.text);
    assert_true(t.n == 5 && !t.names[3]);
    for (int c = 0; c < 3; c++) assert_string_equal(t.names[c], want[c]);
    assert_memory_equal(t.label, labels, sizeof labels);
    qgm_texts_close(&t);
    static const char numbers[] = "3,a\n1,b\n";
    assert_int_equal(qgm_read_csv(scratch_write("t", numbers, sizeof numbers - 1), any, &t, &err), 0);
    assert_true(!t.names && t.label[0] == 2 && t.label[1] == 0);
    qgm_texts_close(&t);
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "label,text\n1,a\n",
          "line 1: found class 'label', expected a number as in line 2; if that line is a heading" },
        { "label,text\nham,a\nspam,b\nham,c\n", "line 1: found class 'label', which occurs in no other line; if that" },
        { "ham;x\nspam;y\n", "line 1: 1 column, expected a class and at least one of text, with commas between" },
        { "a,x\na,y\n3,z\n", "line 3: found class '3', expected a name as in line 1" },
        { "a,x\n,y\n", "line 2: found class '', expected a name as in line 1" },
        { ",y\n", "line 1: found class '', expected a name" },
        { "1,x\n2b,y\n", "line 2: found class '2b', expected a number from 1 to 10000" },
        { "0,x\n", "line 1: found class '0', expected a number from 1 to 10000" },
        { "a,x\n\xff,y\n", "line 2: byte 0xff is not UTF-8" },
        { "a,x\n1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890a,"
          "y\n",
          "line 2: the class, in the first column, has 101 bytes" },
    };
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        const char *path = scratch_write("t", cases[i].text, strlen(cases[i].text));
        if (qgm_read_csv(path, any, &t, &err) == 0 || !strstr(err.text, cases[i].says) || !strstr(err.text, path))
            fail_msg("case %zu: '%s' lacks '%s'", i, err.text, cases[i].says);
        assert_null(t.byte);
    }
}

/* Every code point there and back; shorter, cut and impossible forms are refused. */
static void utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c < 0xe000) continue;
        char bytes[4];
        int n = qgm_utf8_put(c, bytes);
        for (int cut = 0; cut < n; cut++) {
            const char *at = bytes;
            if (cut) assert_int_equal(qgm_utf8_next(&at, bytes + cut), -1);
        }
        const char *at = bytes;
        assert_int_equal(qgm_utf8_next(&at, bytes + n), c);
        assert_ptr_equal(at, bytes + n);
    }
    static const char *const wrong[] = {
        "\x80", "\xbf\x80", "\xc1\xbf",     "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
        "\xff", "\xc3\x28", "\xe2\x28\xa1", "\xed\xbf\xbf"
    };
    for (size_t i = 0; i < QGM_COUNT(wrong); i++) {
        const char *at = wrong[i];
        assert_int_equal(qgm_utf8_next(&at, at + strlen(at)), -1);
        assert_ptr_equal(at, wrong[i]);
    }
}

static void folding(void **state)
{
    (void)state;
    static const struct {
        uint32_t from, to[4];
        int n;
    } cases[] = {
        { 'Q', { 'q' }, 1 },
        { '[', { '[' }, 1 },
        { 0xe9, { 'e' }, 1 },
        { 0xc5, { 'a' }, 1 },
        { 0x130, { 'i' }, 1 },
        { 0x131, { 0x131 }, 1 },
        { 0xdf, { 0xdf }, 1 },
        { 0x301, { 0 }, 0 },
        { 0x1e9e, { 0xdf }, 1 },
        { 0x3a9, { 0x3c9 }, 1 },
        { 0x419, { 0x438 }, 1 },
        { 0x212b, { 'a' }, 1 },
        { 0xac01, { 0x1100, 0x1161, 0x11a8 }, 3 },
        { 0xac00, { 0x1100, 0x1161 }, 2 },
        { 0x9cb, { 0x9c7, 0x9be }, 2 },
        { 0xf900, { 0x8c48 }, 1 },
        { 0x10400, { 0x10428 }, 1 },
        { 0x2126, { 0x3c9 }, 1 },
        { 0x1fa2, { 0x3c9 }, 1 },
        { 0x24b6, { 0x24d0 }, 1 },
        { 0xd7, { 0xd7 }, 1 },
    };
    for (size_t i = 0; i < QGM_COUNT(cases); i++) {
        uint32_t to[4] = { 0 };
        int n = qgm_unicode_fold(cases[i].from, to);
        if (n != cases[i].n || memcmp(to, cases[i].to, (size_t)n * sizeof *to) != 0)
            fail_msg("U+%04X: %d, U+%04X", cases[i].from, n, to[0]);
    }
    assert_true(qgm_unicode_is_space(0x2003) && qgm_unicode_is_space('\n') && !qgm_unicode_is_space(0x200b));
    assert_true(qgm_unicode_is_other(0x200b) && qgm_unicode_is_other(0) && !qgm_unicode_is_other('\t'));
    assert_true(qgm_unicode_is_punctuation('$') && qgm_unicode_is_punctuation(0x2014) &&
                !qgm_unicode_is_punctuation('z') && !qgm_unicode_is_punctuation(0x20ac));
    assert_true(qgm_unicode_is_ideograph(0x4e2d) && !qgm_unicode_is_ideograph(0x3042));
}

/* A vocabulary small enough to know the answers by heart. */
enum { PAD, UNK, CLS, SEP, UN, AFF, ABLE, RUN, NING, COMMA, A, ZH, E, EURO };
static const char small_vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\nrun\n##ning\n,\na\n\xe4\xb8\xad\ne\n\xe2\x82\xac\n";

static void check_ids(const struct qgm_vocab *v, const char *text, int most, int n, const int32_t *want)
{
    int32_t got[32];
    int found = qgm_wordpiece(v, text, strlen(text), got, most);
    bool same = found == n + 2 && got[0] == CLS && got[n + 1] == SEP;
    for (int k = 0; same && k < n; k++) same = got[k + 1] == want[k];
    if (!same) fail_msg("'%s': %d ids, %d %d %d %d", text, found, got[0], got[1], got[2], got[3]);
}
#define IDS(text, most, ...)                                                                                           \
    check_ids(v, text, most, (int)QGM_COUNT(((int32_t[]){ __VA_ARGS__ })), (int32_t[]){ __VA_ARGS__ })

static void wordpieces(void **state)
{
    (void)state;
    struct qgm_vocab *v;
    struct qgm_error err;
    assert_int_equal(qgm_vocab_open(&v, scratch_write("v", small_vocab, sizeof small_vocab - 1), &err), 0);
    assert_int_equal(qgm_vocab_size(v), 14);
    assert_int_equal(qgm_vocab_id(v, "##aff"), AFF);
    assert_int_equal(qgm_vocab_id(v, "aff"), -1);
    IDS("UNaffable,running", 32, UN, AFF, ABLE, COMMA, RUN, NING);
    IDS("\t un \n\xc3\xa0\r\xc3\x89 ", 32, UN, A, E);
    IDS("runs affable", 32, UNK, UNK);
    IDS("a\xe4\xb8\xad"
        "a",
        32, A, ZH, A);
    IDS("a\xe2\x82\xac \xe2\x82\xac", 32, UNK, EURO); /* a currency sign is no punctuation */
    IDS("r\xcc\x81u\xe2\x80\x8bn", 32, RUN);          /* accent and zero-width space vanish */
    IDS("r\x0bu\x0c\xc2\x85n", 32, RUN);              /* so do control characters that are spaces: VT, FF, NEL */
    IDS("a\xff\xc3(", 32, A, UNK);                    /* damaged bytes are skipped: "a", "(" is not in the vocabulary */
    IDS("unaffable a", 5, UN, AFF, ABLE);             /* cut, with [SEP] kept */
    IDS("unaffable a", 3, UN);
    char word[300];
    memset(word, 'a', 299);
    word[299] = 0;
    IDS(word, 32, UNK);
    assert_int_equal(qgm_wordpiece(v, "", 0, (int32_t[2]){ 0 }, 2), 2);
    qgm_vocab_close(&v);
    assert_null(v);
    static const char *const wrong[] = { "", "a\nb\n", "[UNK]\n[CLS]\n", "[UNK]\n[CLS]\n[SEP]\nx\ry\n" };
    for (size_t i = 0; i < QGM_COUNT(wrong); i++) {
        assert_int_equal(qgm_vocab_open(&v, scratch_write("v", wrong[i], strlen(wrong[i])), &err), -1);
        assert_non_null(strstr(err.text, "/v"));
    }
    assert_int_equal(qgm_vocab_open(&v, scratch_write("v", "[UNK]\n[CLS]\n[SEP]\na\0b\n", 22), &err), -1);
    assert_int_equal(qgm_vocab_open(&v, "nowhere", &err), -1);
}

static void own_texts(void **state)
{
    (void)state;
    static const char train[] = "2,a un\n1,running\n3,a\n", test[] = "3,un a e\n1,a\n";
    struct qgm_dataset d;
    struct qgm_error err;
    scratch_write("vocab.txt", small_vocab, sizeof small_vocab - 1);
    scratch_write("train.csv", train, sizeof train - 1);
    scratch_write("test.csv", test, sizeof test - 1);
    if (qgm_dataset_open(&d, "csv:train.csv,test.csv", scratch_dir, &err) < 0) fail_msg("%s", err.text);
    assert_true(d.train.n == 3 && d.test.n == 2 && d.train.classes == 3 && d.train.c == 14 && d.test.h == 5);
    int32_t ids[3][6], lengths[3], labels[3];
    static const int32_t want[3][6] = { { CLS, A, SEP }, { CLS, A, UN, SEP }, { CLS, RUN, NING, SEP } };
    const uint32_t index[] = { 2, 0, 1 };
    assert_int_equal(qgm_tokens_width(&d.train, index, 3), 4);
    qgm_tokens_fill(&d.train, index, 3, 6, ids[0], lengths, labels);
    assert_memory_equal(ids, want, sizeof want);
    assert_true(lengths[0] == 3 && lengths[1] == 4 && lengths[2] == 4);
    assert_true(labels[0] == 2 && labels[1] == 1 && labels[2] == 0);
    uint32_t order[] = { 1, 2, 0 };
    qgm_tokens_sort(&d.train, order, 3);
    assert_true(order[0] == 2 && order[1] == 0 && order[2] == 1);
    qgm_dataset_close(&d);
    if (qgm_dataset_open(&d, "csv:train.csv,test.csv,train=2,test=1", scratch_dir, &err) < 0) fail_msg("%s", err.text);
    assert_true(d.train.n == 2 && d.test.n == 1 && d.train.classes == 3);
    for (int i = 0; i < 2; i++) /* of the same row: "a un" is the second class, "running" the first, "a" the third */
        assert_int_equal(d.train.labels[i], d.train.start[i + 1] - d.train.start[i] == 3 ? 2
                                            : d.train.token[d.train.start[i] + 1] == A   ? 1
                                                                                         : 0);
    qgm_dataset_close(&d);
    scratch_write("test.csv", "4,a\n", 4); /* a class that training does not have */
    assert_int_equal(qgm_dataset_open(&d, "csv:train.csv,test.csv", scratch_dir, &err), -1);
    assert_non_null(strstr(err.text, "expected a number from 1 to 3"));
    static const char named[] = "warm,a un\ncold,running\nwarm,a\nmild,a\n", asked[] = "mild,un a e\ncold,a\n";
    scratch_write("train.csv", named, sizeof named - 1);
    scratch_write("test.csv", asked, sizeof asked - 1);
    if (qgm_dataset_open(&d, "csv:train.csv,test.csv,train=3", scratch_dir, &err) < 0) fail_msg("%s", err.text);
    assert_true(d.train.n == 3 && d.train.classes == 3 && d.test.classes == 3);
    assert_true(strcmp(d.class_names[0], "cold") == 0 && strcmp(d.class_names[2], "warm") == 0 && !d.class_names[3]);
    assert_true(d.test.labels[0] == 1 && d.test.labels[1] == 0);
    qgm_dataset_close(&d);
    scratch_write("test.csv", "mild,a\nhot,a\n", 13);
    assert_int_equal(qgm_dataset_open(&d, "csv:train.csv,test.csv", scratch_dir, &err), -1);
    assert_non_null(
        strstr(err.text, "test.csv: line 2: found class 'hot', expected one of the 3 of training, 'cold' to"));
    static const char *const alone[] = { "cold,a\ncold,un\n", "1,a\n1,un\n" };
    for (size_t i = 0; i < QGM_COUNT(alone); i++) {
        scratch_write("train.csv", alone[i], strlen(alone[i]));
        assert_int_equal(qgm_dataset_open(&d, "csv:train.csv,train.csv", scratch_dir, &err), -1);
        assert_non_null(strstr(err.text, "train.csv: found one class, '"));
    }
    assert_int_equal(qgm_dataset_open(&d, "ag-new", scratch_dir, &err), -1);
    assert_non_null(strstr(err.text, "did you mean 'ag-news'"));
    assert_int_equal(qgm_dataset_open(&d, "csv:train.csv", scratch_dir, &err), -1);
    assert_int_equal(qgm_dataset_open(&d, "csv:train.csv,test.csv,length=2", scratch_dir, &err), -1);
    assert_int_equal(qgm_dataset_open(&d, "csv:train.csv,test.csv,vocab=gone.txt", scratch_dir, &err), -1);
    assert_non_null(strstr(err.text, "gone.txt"));
    assert_int_equal(qgm_dataset_open(&d, "csv:a,b,c", scratch_dir, &err), -1);
    assert_non_null(strstr(err.text, "found 'c'"));
    assert_int_equal(qgm_dataset_open(&d, "ag-news", "nowhere", &err), -1);
    assert_non_null(strstr(err.text, "get-data ag-news"));
}

/* Ids of the AG News test set with uncased BERT's vocabulary, as the Rust tokenizers library 0.23 gives them. */
static void ag_news_as_the_reference_cuts_it(void **state)
{
    (void)state;
    struct qgm_dataset d;
    if (qgm_dataset_open(&d, "ag-news", NULL, NULL) < 0) skip(); /* name its folder in $QGM_DATA */
    assert_true(d.test.n == 7600 && d.train.classes == 4 && d.train.c == 30522);
    uint64_t digest = XXH3_64bits(d.test.token, d.test.start[d.test.n] * sizeof *d.test.token);
    if (digest != AG_NEWS_TEST) fail_msg("digest %016llx", (unsigned long long)digest);
    long count[4] = { 0 };
    for (long i = 0; i < d.test.n; i++) count[d.test.labels[i]]++;
    for (int c = 0; c < 4; c++) assert_int_equal(count[c], 1900);
    qgm_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_rows),  cmocka_unit_test(csv_damage),
        cmocka_unit_test(csv_names), cmocka_unit_test(utf8),
        cmocka_unit_test(folding),   cmocka_unit_test(wordpieces),
        cmocka_unit_test(own_texts), cmocka_unit_test(ag_news_as_the_reference_cuts_it),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
