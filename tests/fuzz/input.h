/* The fuzzer's bytes as a file that readers can open. SPDX-License-Identifier: MIT */
#ifndef QGM_FUZZ_INPUT_H
#define QGM_FUZZ_INPUT_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A path of a file in memory with this content; one file serves all inputs of a run. */
static const char *input_path(const uint8_t *bytes, size_t size)
{
    static char path[64];
    static int file = -1;
    if (file < 0) {
        file = memfd_create("input", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (file < 0 || ftruncate(file, 0) < 0 || pwrite(file, bytes, size, 0) != (ssize_t)size) abort();
    return path;
}

#endif
