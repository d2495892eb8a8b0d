/* builds with: bench/study_file.c bench/flags.c bench/pace.c; libs libcyaml jansson popt libxxhash */
/* Any bytes as a study file: refused with a place, or read and freed. SPDX-License-Identifier: MIT */
#include "study.h"
#include "names.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qgm_study *study;
    struct qgm_error err;
    if (qgm_study_read(&study, input_path(bytes, size), &err) == 0) qgm_study_free(&study);
    return 0;
}
