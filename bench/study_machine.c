/* machine.json of a study: where its runs were made. A study that was interrupted may go on elsewhere, so it is a list,
 * one entry for each machine and build, with the number of its runs. SPDX-License-Identifier: MIT */
#include "study.h"
#include <errno.h>
#include <string.h>

/* What differs from run to run on one machine. */
static const char *const passing[] = { "date", "load_average" };

/* The context in the first record of a run; NULL with a reason. */
static json_t *read_machine(const char *folder, struct qgm_error *err)
{
    char path[QGM_TEXT + 16];
    snprintf(path, sizeof path, "%s/run.jsonl", folder);
    FILE *f = fopen(path, "r");
    if (!f) {
        qgm_fail(err, QGM_INPUT, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    json_error_t bad;
    json_t *record = json_loadf(f, JSON_DISABLE_EOF_CHECK, &bad);
    fclose(f);
    json_t *machine = json_incref(json_object_get(record, "machine"));
    json_decref(record);
    if (!machine) qgm_fail(err, QGM_INPUT, "%s: its first record has no \"machine\"", path);
    return machine;
}

/* Count the run whose context this is; dates in ISO 8601 compare as text. Takes the reference. */
static void count_run(json_t *list, json_t *machine)
{
    const char *text = json_string_value(json_object_get(machine, "date"));
    json_t *date = json_string(text ? text : "");
    text = json_string_value(date);
    for (size_t k = 0; k < QGM_COUNT(passing); k++) json_object_del(machine, passing[k]);
    json_t *entry;
    size_t i;
    json_array_foreach(list, i, entry)
    {
        if (!json_equal(json_object_get(entry, "machine"), machine)) continue;
        json_object_set_new(entry, "runs", json_integer(json_integer_value(json_object_get(entry, "runs")) + 1));
        if (strcmp(text, json_string_value(json_object_get(entry, "first"))) < 0) json_object_set(entry, "first", date);
        if (strcmp(text, json_string_value(json_object_get(entry, "last"))) > 0) json_object_set(entry, "last", date);
        json_decref(date);
        json_decref(machine);
        return;
    }
    json_array_append_new(list,
                          json_pack("{s:i,s:O,s:o,s:o}", "runs", 1, "first", date, "last", date, "machine", machine));
}

int qgm_machines_write(const struct qgm_grid *grid, struct qgm_error *err)
{
    json_t *list = json_array();
    int status = 0;
    for (int i = 0; i < grid->runs && status == 0; i++) {
        json_t *machine = read_machine(grid->run[i].options.out, err);
        if (machine)
            count_run(list, machine);
        else
            status = -1;
    }
    char path[QGM_TEXT + 64];
    FILE *f = status == 0 ? qgm_study_create(grid, "machine.json", path, err) : NULL;
    if (f) json_dumpf(list, f, JSON_INDENT(1)); /* an error of it is one of the file */
    json_decref(list);
    return f ? qgm_study_finish(f, path, err) : -1;
}
