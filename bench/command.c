/* Command lines: popt over the table of flags, --help, --version, --list. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "engine.h"
#include "flags.h"
#include "kernels.h"
#include "model.h"
#include "topology.h"
#include "version.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLAG_HELP = 500, FLAG_VERSION, FLAG_LIST };

static void print_version(const char *program)
{
    printf("%s %s (%s)\n  compiler  %s\n  flags     %s\n  with      %s\n", program, QGM_VERSION, QGM_COMMIT,
           QGM_COMPILER, QGM_COMPILER_FLAGS, *QGM_WITH ? QGM_WITH : "no optional library");
    printf("  kernels   built:");
    for (const char *const *n = qgm_isas_built(); *n; n++) printf(" %s", *n);
    printf("; this CPU runs:");
    for (const char *const *n = qgm_isas_usable(); *n; n++) printf(" %s", *n);
    printf("; in use: %s\n", qgm_kernels()->isa);
}

static void print_names(FILE *to, const char *title, const char *const *names, const char *(*about)(const char *),
                        const char *(*source)(const char *))
{
    fprintf(to, "%s\n", title);
    for (; *names; names++) {
        fprintf(to, "  %-22s %s", *names, about(*names));
        if (source) fprintf(to, "  [%s]", source(*names));
        fprintf(to, "\n");
    }
}

void qgm_print_list(FILE *to)
{
    print_names(to, "algorithms (--algo)", qgm_algo_names(), qgm_algo_about, qgm_algo_source);
    fprintf(to, "  options of algorithms, as in qg-dsgdm-n:mu=0.95,tau=3\n%s", qgm_algo_options());
    print_names(to, "topologies (--topology)", qgm_topology_names(), qgm_topology_about, NULL);
    fprintf(to, "  options of topologies, as in torus:rows=4\n%s", qgm_topology_options());
    print_names(to, "models (--model)", qgm_model_names(), qgm_model_about, NULL);
    print_names(to, "data sets (--dataset)", qgm_dataset_names(), qgm_dataset_about, NULL);
    print_names(to, "partitions (--partition)", qgm_partition_names(), qgm_partition_about, NULL);
}

static void print_flag(const char *name, const char *argument, const char *help, const char *fallback)
{
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", name, argument ? " " : "", argument ? argument : "");
    printf("  %-24s %s", left, help);
    if (fallback && *fallback) printf(" [%s]", fallback);
    printf("\n");
}

static void print_help(const struct qgm_program *program)
{
    printf("usage: %s %s\n\n%s\n", program->name, program->usage, program->intro);
    if (program->run_flags) {
        printf("\nThe run [default]:\n");
        for (size_t i = 0; i < qgm_flag_count; i++)
            print_flag(qgm_flags[i].name, qgm_flags[i].argument, qgm_flags[i].help,
                       qgm_flags[i].kind == QGM_FLAG_SWITCH ? NULL : qgm_flags[i].fallback);
    }
    printf("\n%s:\n", program->own ? "This program" : "Help");
    for (const struct poptOption *o = program->own; o && o->longName; o++)
        print_flag(o->longName, o->argDescrip, o->descrip, NULL);
    print_flag("list", NULL, "every algorithm, topology, model, data set and partition, with its source", NULL);
    print_flag("version", NULL, "version, compiler, optional libraries, instruction sets", NULL);
    print_flag("help", NULL, "this page", NULL);
    printf("\nExamples:\n%s\nExit codes: 0 success, 1 failure, 2 a command that cannot be carried out as written.\n",
           program->examples);
}

/* popt's table: the run's flags (val = index + 1), the program's own, and the three that every program has. NULL: no
 * memory. */
static struct poptOption *make_table(const struct qgm_program *program)
{
    size_t own = 0, n = 0;
    while (program->own && program->own[own].longName) own++;
    struct poptOption *table = calloc(qgm_flag_count + own + 4, sizeof *table);
    if (!table) return NULL;
    for (size_t i = 0; program->run_flags && i < qgm_flag_count; i++)
        table[n++] =
            (struct poptOption){ .longName = qgm_flags[i].name,
                                 .argInfo = qgm_flags[i].kind == QGM_FLAG_SWITCH ? POPT_ARG_NONE : POPT_ARG_STRING,
                                 .val = (int)i + 1 };
    for (size_t i = 0; i < own; i++) table[n++] = program->own[i];
    table[n++] =
        (struct poptOption){ .longName = "help", .shortName = 'h', .argInfo = POPT_ARG_NONE, .val = FLAG_HELP };
    table[n++] = (struct poptOption){ .longName = "version", .argInfo = POPT_ARG_NONE, .val = FLAG_VERSION };
    table[n++] = (struct poptOption){ .longName = "list", .argInfo = POPT_ARG_NONE, .val = FLAG_LIST };
    return table;
}

static int fail_popt(const struct poptOption *table, poptContext context, int code, struct qgm_error *err)
{
    const char *bad = poptBadOption(context, POPT_BADOPTION_NOALIAS);
    if (code != POPT_ERROR_BADOPT) return qgm_fail(err, QGM_USAGE, "%s: %s (see --help)", bad, poptStrerror(code));
    const char *names[256] = { NULL };
    for (size_t n = 0; table[n].longName && n + 1 < QGM_COUNT(names); n++) names[n] = table[n].longName;
    char plain[QGM_TEXT];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(bad + strspn(bad, "-"), "="), bad + strspn(bad, "-"));
    const char *near = qgm_nearest(plain, names);
    if (near) return qgm_fail(err, QGM_USAGE, "unknown flag %s: did you mean --%s? (--help lists all)", bad, near);
    return qgm_fail(err, QGM_USAGE, "unknown flag %s (--help lists all)", bad);
}

static int take(const struct qgm_program *program, poptContext context, int val, struct qgm_options *options,
                struct qgm_error *err)
{
    switch (val) {
    case FLAG_HELP:
        print_help(program);
        exit(0);
    case FLAG_VERSION:
        print_version(program->name);
        exit(0);
    case FLAG_LIST:
        qgm_print_list(stdout);
        exit(0);
    }
    char *argument = poptGetOptArg(context);
    int result = val >= QGM_OWN_FLAG
                     ? program->set(val, argument, program->user, err)
                     : qgm_options_set(options, qgm_flags[val - 1].name, argument ? argument : "true", err);
    free(argument);
    return result;
}

/* The word as it stands in argv, which outlives the context. */
static const char *word_of(int argc, const char **argv, const char *word)
{
    int i = 1;
    while (i < argc && strcmp(argv[i], word) != 0) i++;
    return i < argc ? argv[i] : NULL;
}

/* Standard streams that are closed, as cron or a daemon may leave them: files that are opened later would get their
 * numbers, and what is said there would end up in a record. What is written to /dev/null opened so fails, as before. */
static void occupy_streams(void)
{
    int fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDONLY);
    if (fd >= 0) close(fd);
}

int qgm_parse(const struct qgm_program *program, int argc, const char **argv, struct qgm_options *options,
              const char **words, int most, struct qgm_error *err)
{
    occupy_streams();
    struct poptOption *table = make_table(program);
    if (!table) return qgm_fail(err, QGM_SYSTEM, "out of memory for the flags");
    poptContext context = poptGetContext(program->name, argc, argv, table, 0);
    int code, result = 0, count = 0;
    while (result == 0 && (code = poptGetNextOpt(context)) != -1)
        result = code < -1 ? fail_popt(table, context, code, err) : take(program, context, code, options, err);
    for (const char *word; result == 0 && (word = poptGetArg(context));) {
        if (count == most)
            result = qgm_fail(err, QGM_USAGE, "unexpected argument '%s' (see --help)", word);
        else
            words[count++] = word_of(argc, argv, word);
    }
    poptFreeContext(context);
    free(table);
    return result < 0 ? -1 : count;
}

void qgm_print_notes(const char *program, const char *notes)
{
    for (size_t length; *notes; notes += length + 1) {
        length = strcspn(notes, "\n");
        fprintf(stderr, "%s: note: %.*s\n", program, (int)length, notes);
    }
}

int qgm_complain(const char *program, const struct qgm_error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->kind == QGM_USAGE ? 2 : 1;
}
