/* A folder of a test's own, in the current one, and files in it. SPDX-License-Identifier: MIT */
#ifndef QGM_SCRATCH_DIR_H
#define QGM_SCRATCH_DIR_H
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_dir[64];

/* cmocka's group setup and teardown. */
static int scratch_open(void **state)
{
    (void)state;
    strcpy(scratch_dir, "scratch-XXXXXX");
    return mkdtemp(scratch_dir) ? 0 : -1;
}
static int scratch_close(void **state)
{
    (void)state;
    DIR *d = opendir(scratch_dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (*e->d_name != '.') {
            char path[400];
            snprintf(path, sizeof path, "%s/%s", scratch_dir, e->d_name);
            unlink(path);
        }
    if (d) closedir(d);
    return rmdir(scratch_dir);
}
/* Path of a file in the folder; valid until the next call but three. */
static const char *scratch_path(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch_dir, name);
    return path[turn];
}
static const char *scratch_write(const char *name, const void *bytes, size_t size)
{
    const char *path = scratch_path(name);
    unlink(path); /* truncating a file that exists makes some file systems wait for the disk */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    return path;
}

#endif
