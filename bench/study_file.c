/* Study files: YAML through libcyaml. The schema is made from the table of flags, so that a study takes exactly the
 * flags that qgm-train takes. SPDX-License-Identifier: MIT */
#include "study.h"
#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const qgm_scale_names[QGM_SCALES + 1] = { "smoke", "laptop", "paper", NULL };

static const cyaml_schema_value_t text = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, QGM_TEXT - 1) };

/* ---- Mappings from flag names: { alpha: 0.1, algo: d2 } and { alpha: [10, 1, 0.1] } ---- */
enum { MOST_FLAGS = 64 };
static cyaml_schema_field_t value_fields[MOST_FLAGS + 1], list_fields[MOST_FLAGS + 1];

static void make_flag_schemas(void)
{
    for (size_t i = 0; i < qgm_flag_count && i < MOST_FLAGS; i++) {
        value_fields[i] = (cyaml_schema_field_t){ .key = qgm_flags[i].name,
                                                  .data_offset = (uint32_t)(i * sizeof(char *)),
                                                  .value = text };
        value_fields[i].value.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
        list_fields[i] = (cyaml_schema_field_t){
            .key = qgm_flags[i].name,
            .data_offset = (uint32_t)(i * sizeof(struct qgm_value_list) + offsetof(struct qgm_value_list, value)),
            .count_offset = (uint32_t)(i * sizeof(struct qgm_value_list) + offsetof(struct qgm_value_list, count)),
            .count_size = sizeof(unsigned),
            .value = { CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char *, &text, 1, 1000) }
        };
    }
}

/* A pointer member that points to one value a flag: like CYAML_FIELD_MAPPING_PTR, for an array made by a table. */
#define FIELD_FLAGS(key_, extra, structure, member, fields_, size)                                                     \
    {                                                                                                                  \
        .key = key_, .data_offset = offsetof(structure, member), .value = {                                            \
            .type = CYAML_MAPPING,                                                                                     \
            .flags = CYAML_FLAG_POINTER | (extra),                                                                     \
            .data_size = MOST_FLAGS * (size),                                                                          \
            .mapping = { .fields = fields_ },                                                                          \
        }                                                                                                              \
    }
#define FIELD_VALUES(key_, extra, structure, member)                                                                   \
    FIELD_FLAGS(key_, extra, structure, member, value_fields, sizeof(char *))
#define FIELD_LISTS(key_, extra, structure, member)                                                                    \
    FIELD_FLAGS(key_, extra, structure, member, list_fields, sizeof(struct qgm_value_list))
#define FIELD_TEXT(key_, extra, structure, member)                                                                     \
    CYAML_FIELD_STRING_PTR(key_, CYAML_FLAG_POINTER | (extra), structure, member, 0, 4000)

static const cyaml_schema_field_t series_fields[] = { FIELD_TEXT("label", 0, struct qgm_series, label),
                                                      FIELD_VALUES("set", 0, struct qgm_series, set), CYAML_FIELD_END };
static const cyaml_schema_field_t rule_fields[] = { FIELD_VALUES("when", 0, struct qgm_rule, when),
                                                    FIELD_VALUES("set", 0, struct qgm_rule, set), CYAML_FIELD_END };
static const cyaml_schema_field_t scale_fields[] = { FIELD_VALUES("set", CYAML_FLAG_OPTIONAL, struct qgm_scale, set),
                                                     FIELD_LISTS("vary", CYAML_FLAG_OPTIONAL, struct qgm_scale, vary),
                                                     CYAML_FIELD_END };
static const cyaml_schema_field_t figure_fields[] = { FIELD_TEXT("plot", 0, struct qgm_figure, plot),
                                                      FIELD_TEXT("x", 0, struct qgm_figure, x), CYAML_FIELD_END };
static const cyaml_schema_value_t series_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct qgm_series,
                                                                        series_fields) };
static const cyaml_schema_value_t rule_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct qgm_rule,
                                                                      rule_fields) };
static const cyaml_schema_value_t figure_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct qgm_figure,
                                                                        figure_fields) };

#define FIELD_SCALE(name, i)                                                                                           \
    CYAML_FIELD_MAPPING_PTR(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct qgm_study, scale[i], scale_fields)
static const cyaml_schema_field_t scales_fields[] = { FIELD_SCALE("smoke", 0), FIELD_SCALE("laptop", 1),
                                                      FIELD_SCALE("paper", 2), CYAML_FIELD_END };
static const cyaml_schema_field_t study_fields[] = {
    FIELD_TEXT("title", 0, struct qgm_study, title),
    FIELD_TEXT("about", CYAML_FLAG_OPTIONAL, struct qgm_study, about),
    FIELD_VALUES("base", CYAML_FLAG_OPTIONAL, struct qgm_study, base),
    FIELD_LISTS("vary", CYAML_FLAG_OPTIONAL, struct qgm_study, vary),
    CYAML_FIELD_SEQUENCE_COUNT("series", CYAML_FLAG_POINTER, struct qgm_study, series, series_count, &series_schema, 1,
                               QGM_MAX_SERIES),
    CYAML_FIELD_SEQUENCE_COUNT("rules", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct qgm_study, rules, rules_count,
                               &rule_schema, 0, 1000),
    /* The scales sit in the study itself: a mapping at offset 0 whose fields are the study's. */
    { .key = "scales",
      .data_offset = 0,
      .value = { .type = CYAML_MAPPING,
                 .flags = CYAML_FLAG_OPTIONAL,
                 .data_size = sizeof(struct qgm_study),
                 .mapping = { .fields = scales_fields } } },
    CYAML_FIELD_SEQUENCE_COUNT("figures", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct qgm_study, figures,
                               figures_count, &figure_schema, 0, 20),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t study_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct qgm_study,
                                                                       study_fields) };

/* libcyaml reports through a log function: keep what it says first (the cause) and where (line, column). */
struct report {
    char text[400];
};
static void note(cyaml_log_t level, void *user, const char *format, va_list args)
{
    struct report *report = user;
    size_t used = strlen(report->text);
    if (level < CYAML_LOG_ERROR || used + 2 >= sizeof report->text) return;
    if (used) used += (size_t)snprintf(report->text + used, sizeof report->text - used, "; ");
    vsnprintf(report->text + used, sizeof report->text - used, format, args);
    size_t length = strlen(report->text);
    while (length && report->text[length - 1] == '\n') report->text[--length] = 0;
}

/* The key that was meant, of those of the file and the flags, or NULL. */
static const char *nearest_key(const char *key)
{
    static const char *const own[] = { "title", "about", "base", "vary", "series", "rules", "scales", "figures",
                                       "label", "set",   "when", "plot", "x",      "smoke", "laptop", "paper" };
    const char *names[QGM_COUNT(own) + MOST_FLAGS + 1] = { NULL };
    size_t n = 0;
    for (size_t i = 0; i < QGM_COUNT(own); i++) names[n++] = own[i];
    for (size_t i = 0; i < qgm_flag_count && i < MOST_FLAGS; i++) names[n++] = qgm_flags[i].name;
    return qgm_nearest(key, names);
}

/* "Load: Unexpected key: clinets; Load: Backtrace:;   in mapping (line: 2, column: 17); ..." as a sentence. */
static int fail(const char *path, cyaml_err_t code, struct report *report, struct qgm_error *err)
{
    char where[40] = "", *cause = report->text, *end = strstr(cause, "; Load: Backtrace"), *line;
    for (char *c = cause; *c; c++)
        if (*c == '\n') *c = ' ';
    line = code == CYAML_ERR_MAPPING_FIELD_MISSING ? NULL : strstr(cause, "(line: "); /* there it is the last key's */
    if (line) snprintf(where, sizeof where, ", line %ld", strtol(line + strlen("(line: "), NULL, 10));
    if (end) *end = 0;
    if (strncmp(cause, "Load: ", strlen("Load: ")) == 0) cause += strlen("Load: ");
    const char *unexpected = "Unexpected key: ", *near = NULL;
    if (strncmp(cause, unexpected, strlen(unexpected)) == 0) near = nearest_key(cause + strlen(unexpected));
    return qgm_fail(err, QGM_INPUT, "study %s%s: %s%s%s%s", path, where, *cause ? cause : cyaml_strerror(code),
                    near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static cyaml_config_t configuration(struct report *report)
{
    return (cyaml_config_t){ .log_fn = note, .log_ctx = report, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR };
}

int qgm_study_read(struct qgm_study **study, const char *path, struct qgm_error *err)
{
    struct report report = { "" };
    cyaml_config_t config = configuration(&report);
    make_flag_schemas();
    *study = NULL;
    if (access(path, R_OK) < 0) return qgm_fail(err, QGM_INPUT, "cannot read the study %s: %s", path, strerror(errno));
    cyaml_err_t code = cyaml_load_file(path, &config, &study_schema, (cyaml_data_t **)study, NULL);
    if (code != CYAML_OK) return fail(path, code, &report, err);
    if (!*study) /* to libcyaml a file without a document is no error */
        return qgm_fail(err, QGM_INPUT, "study %s: it is empty; expected title, base, vary, series, as in %s", path,
                        "paper/quickstart.yaml");
    return 0;
}

void qgm_study_free(struct qgm_study **study)
{
    struct report report = { "" };
    cyaml_config_t config = configuration(&report);
    if (*study) cyaml_free(&config, &study_schema, *study, 0);
    *study = NULL;
}
