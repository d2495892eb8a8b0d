/* Where the files of a data set are. SPDX-License-Identifier: MIT */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool exists(char path[QGM_PATH], const struct qgm_place *place, const char *folder, const char *file)
{
    static const char *const endings[] = { "", ".gz" };
    for (int i = 0; i <= place->gzip; i++) {
        int n = snprintf(path, QGM_PATH, "%s/%s%s", folder, file, endings[i]);
        if (n > 0 && n < QGM_PATH && access(path, F_OK) == 0) return true;
    }
    return false;
}

static bool try_root(char path[QGM_PATH], const struct qgm_place *place, const char *root)
{
    char probe[QGM_PATH];
    for (int below = 1; below >= 0; below--) {
        int n = snprintf(path, QGM_PATH, below ? "%s/%s" : "%s", root, place->subfolder);
        if (n > 0 && n < QGM_PATH && exists(probe, place, path, place->probe)) return true;
    }
    return false;
}

int qgm_find_folder(char path[QGM_PATH], const struct qgm_place *place, const char *dir, struct qgm_error *err)
{
    const char *roots[] = { getenv("QGM_DATA"), place->package, "data" };
    if (dir) {
        if (try_root(path, place, dir)) return 0;
        return qgm_fail(err, QGM_INPUT, "%s: there is no %s in %s or %s/%s: %s", place->name, place->probe, dir, dir,
                        place->subfolder, place->how);
    }
    for (size_t i = 0; i < QGM_COUNT(roots); i++)
        if (roots[i] && *roots[i] && try_root(path, place, roots[i])) return 0;
    return qgm_fail(err, QGM_INPUT, "%s: there is no %s in $QGM_DATA (%s)%s%s or ./data/%s: %s", place->name,
                    place->probe, roots[0] ? roots[0] : "not set", place->package ? ", " : "",
                    place->package ? place->package : "", place->subfolder, place->how);
}

int qgm_find_file(char path[QGM_PATH], const char *folder, const char *file, const struct qgm_place *place,
                  struct qgm_error *err)
{
    if (exists(path, place, folder, file)) return 0;
    return qgm_fail(err, QGM_INPUT, "%s: there is no %s/%s: %s", place->name, folder, file, place->how);
}
