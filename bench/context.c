/* Machine and build context. SPDX-License-Identifier: MIT */
#include "context.h"
#include "kernels.h"
#include "version.h"
#include <hwloc.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void set_text(json_t *object, const char *key, const char *text)
{
    json_t *s = text ? json_string(text) : NULL;
    json_object_set_new(object, key, s ? s : json_null());
}

static json_t *list(const char *const *names)
{
    json_t *array = json_array();
    for (; *names; names++) json_array_append_new(array, json_string(*names));
    return array;
}

static void add_hardware(json_t *c)
{
    hwloc_topology_t t;
    if (hwloc_topology_init(&t) < 0) return;
    if (hwloc_topology_load(t) == 0) {
        hwloc_obj_t package = hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, 0);
        set_text(c, "cpu", package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL);
        json_object_set_new(c, "cores", json_integer(hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE)));
        json_object_set_new(c, "hardware_threads", json_integer(hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU)));
        json_object_set_new(c, "numa_nodes", json_integer(hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_NUMANODE)));
        static const struct {
            const char *key;
            hwloc_obj_type_t type;
        } caches[] = { { "l1d_bytes", HWLOC_OBJ_L1CACHE },
                       { "l2_bytes", HWLOC_OBJ_L2CACHE },
                       { "l3_bytes", HWLOC_OBJ_L3CACHE } };
        for (size_t i = 0; i < QGM_COUNT(caches); i++) {
            hwloc_obj_t cache = hwloc_get_obj_by_type(t, caches[i].type, 0);
            json_object_set_new(c, caches[i].key,
                                cache ? json_integer((json_int_t)cache->attr->cache.size) : json_null());
        }
    }
    hwloc_topology_destroy(t);
    json_object_set_new(c, "memory_bytes", json_integer((json_int_t)qgm_machine_memory()));
}

static void add_first_line(json_t *c, const char *key, const char *path)
{
    char line[128] = "";
    FILE *f = fopen(path, "r");
    if (f && fgets(line, sizeof line, f)) line[strcspn(line, "\n")] = 0;
    if (f) fclose(f);
    set_text(c, key, line[0] ? line : NULL);
}

/* What a file of one number says; INFINITY for "max", and where there is no such file. */
static double read_limit(const char *path)
{
    double limit;
    FILE *f = fopen(path, "r");
    bool there = f && fscanf(f, "%lf", &limit) == 1;
    if (f) fclose(f);
    return there ? limit : INFINITY;
}

/* Of a group, "/slurm/job_7/step_0", and of those around it up to the root, whose limits hold for it too. Within a
 * container the path may be one outside, of which there are no files here: then the root is the container's. */
static double limit_of(const char *tree, char *group, const char *file)
{
    char path[5000];
    double least = INFINITY;
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", tree, group, file);
        least = fmin(least, read_limit(path));
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

double qgm_group_memory(const char *groups, const char *mount)
{
    char line[4200], tree[400];
    double least = INFINITY;
    FILE *f = fopen(groups, "r");
    while (f && fgets(line, sizeof line, f)) { /* "0::/path" of version 2, "7:cpu,memory:/path" of version 1 */
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group) continue;
        *names++ = *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        bool version2 = !*names;
        if (!version2 && !strstr(names, "memory")) continue;
        snprintf(tree, sizeof tree, version2 ? "%s" : "%s/memory", mount);
        least = fmin(least, limit_of(tree, group, version2 ? "memory.max" : "memory.limit_in_bytes"));
    }
    if (f) fclose(f);
    return least;
}

double qgm_machine_memory(void)
{
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    machine = fmin(machine, qgm_group_memory("/proc/self/cgroup", "/sys/fs/cgroup"));
    return machine > 0 ? machine : 0;
}

json_t *qgm_context(int threads)
{
    json_t *c = json_object();
    add_hardware(c);
    json_object_set_new(c, "isa_built", list(qgm_isas_built()));
    json_object_set_new(c, "isa_usable", list(qgm_isas_usable()));
    set_text(c, "isa_used", qgm_kernels()->isa);
    json_object_set_new(c, "threads", json_integer(threads));
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        json_object_set_new(c, "cores_allowed", json_integer(CPU_COUNT(&mask)));
    static const char *const environment[] = { "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES" };
    for (size_t i = 0; i < QGM_COUNT(environment); i++) set_text(c, environment[i], getenv(environment[i]));
    double load[1];
    json_object_set_new(c, "load_average", getloadavg(load, 1) == 1 ? json_real(load[0]) : json_null());
    add_first_line(c, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    struct utsname u;
    if (uname(&u) == 0) {
        set_text(c, "kernel", u.release);
        set_text(c, "machine", u.machine);
    }
    set_text(c, "compiler", QGM_COMPILER);
    set_text(c, "compiler_flags", QGM_COMPILER_FLAGS);
    set_text(c, "version", QGM_VERSION);
    set_text(c, "commit", QGM_COMMIT);
    char date[32];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    set_text(c, "date", date);
    return c;
}
