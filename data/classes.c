/* Classes by name, found in the data. SPDX-License-Identifier: MIT */
#include "text.h"
#include <stdlib.h>
#include <string.h>

/* Where the name is, or should be. */
static int place_of(const struct qgm_classes *c, const char *name, bool *there)
{
    int low = 0, high = c->n;
    *there = false;
    while (low < high && !*there) {
        int middle = (low + high) / 2, order = strcmp(c->of[middle].name, name);
        *there = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

int32_t qgm_classes_add(struct qgm_classes *c, const char *name)
{
    bool there;
    int at = place_of(c, name, &there);
    if (!there) {
        if (c->n == c->most) {
            int most = 2 * c->most + 16;
            struct qgm_class *more = realloc(c->of, (size_t)most * sizeof *more);
            if (!more) return -1;
            c->of = more;
            c->most = most;
        }
        char *copy = strdup(name);
        if (!copy) return -1;
        memmove(c->of + at + 1, c->of + at, (size_t)(c->n - at) * sizeof *c->of);
        c->of[at] = (struct qgm_class){ .name = copy, .id = c->n++ };
    }
    c->of[at].rows++;
    return c->of[at].id;
}

const char *const *qgm_classes_settle(const struct qgm_classes *c, int32_t *label, long n)
{
    size_t bytes = 0, pointers = ((size_t)c->n + 1) * sizeof(char *);
    for (int i = 0; i < c->n; i++) bytes += strlen(c->of[i].name) + 1;
    const char **names = malloc(pointers + bytes);
    int32_t *rank = malloc((size_t)c->n * sizeof *rank);
    if (!names || !rank) {
        free(names);
        free(rank);
        return NULL;
    }
    char *at = (char *)names + pointers;
    for (int i = 0; i < c->n; i++) {
        names[i] = at;
        at = stpcpy(at, c->of[i].name) + 1;
        rank[c->of[i].id] = i;
    }
    names[c->n] = NULL;
    for (long i = 0; i < n; i++) label[i] = rank[label[i]];
    free(rank);
    return names;
}

void qgm_classes_close(struct qgm_classes *c)
{
    for (int i = 0; i < c->n; i++) free(c->of[i].name);
    free(c->of);
    *c = (struct qgm_classes){ 0 };
}
