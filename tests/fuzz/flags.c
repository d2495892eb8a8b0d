/* builds with: bench/flags.c bench/pace.c; libs jansson popt libxxhash */
/* Lines "flag value" as a command: refused, or flags that read back what they print. SPDX-License-Identifier: MIT */
#include "flags.h"
#include "names.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qgm_options o, again;
    struct qgm_error err;
    char *text = malloc(size + 1), *rest = text, *line;
    memcpy(text, bytes, size);
    text[size] = 0;
    qgm_options_default(&o);
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');
        if (value) *value++ = 0;
        (void)qgm_options_set(&o, line, value ? value : "", &err);
    }
    qgm_options_default(&again);
    for (size_t i = 0; i < qgm_flag_count; i++) {
        char shown[QGM_TEXT];
        qgm_options_text(&o, &qgm_flags[i], shown);
        if (qgm_options_set(&again, qgm_flags[i].name, shown, &err) < 0) abort();
    }
    if (qgm_options_digest(&o) != qgm_options_digest(&again)) abort();
    json_decref(qgm_options_json(&o));
    (void)qgm_options_check(&o, &err);
    free(text);
    return 0;
}
