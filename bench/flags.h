/* The flags of a training run: one table that the command line, the study files and the records share.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_FLAGS_H
#define QGM_FLAGS_H
#include "base.h"
#include <jansson.h>
#include <popt.h>
#include <stdio.h>

enum { QGM_TEXT = 256, QGM_MAX_MILESTONES = 16 };

/* A run, resolved. Plain data: copy it freely. Defaults and meanings are in the table of flags.c (and --help). */
struct qgm_options {
    char algo[QGM_TEXT], topology[QGM_TEXT], dataset[QGM_TEXT], data_dir[QGM_TEXT], model[QGM_TEXT],
        partition[QGM_TEXT], augment[QGM_TEXT], isa[QGM_TEXT], out[QGM_TEXT], milestones[QGM_TEXT], lr_scale[QGM_TEXT],
        init[QGM_TEXT], save[QGM_TEXT], backend[QGM_TEXT], bits_dialect[QGM_TEXT], checkpoint_every[QGM_TEXT],
        network[QGM_TEXT];
    long clients, batch, base_batch, steps, eval_subset, gossip_eval, seed, threads;
    long crash_steps, stale_steps;
    double drop, fail_links, crash, stale, alpha, epochs, eval_every, save_every, lr, lr_decay, momentum, weight_decay,
        warmup_epochs, warmup_lr, label_smoothing;
    bool mix_buffers, lazy, force_pairing, shared_order, force, resume, quiet, dry_run;
};

enum qgm_flag_kind { QGM_FLAG_TEXT, QGM_FLAG_WHOLE, QGM_FLAG_REAL, QGM_FLAG_SWITCH };
struct qgm_flag {
    const char *name;
    enum qgm_flag_kind kind;
    size_t offset;        /* in struct qgm_options */
    const char *fallback; /* default, as text */
    double low, high;     /* accepted range of numbers, inclusive */
    const char *argument, *help;
    bool result; /* part of what determines the result: goes into the configuration digest */
};
extern const struct qgm_flag qgm_flags[];
extern const size_t qgm_flag_count;

void qgm_options_default(struct qgm_options *options);
/* Set one flag from text. Errors name the flag, what was found and what is expected. */
int qgm_options_set(struct qgm_options *options, const char *name, const char *value, struct qgm_error *err);
/* A number behind a flag, a program's own too. Errors name the flag, what was found and what is expected. */
int qgm_flag_number(const char *flag, const char *text, double low, double high, bool whole, double *value,
                    struct qgm_error *err);
int qgm_flag_whole(const char *flag, const char *text, long low, long high, long *value, struct qgm_error *err);
/* A flag's value as text, as it would be written on the command line. */
void qgm_options_text(const struct qgm_options *options, const struct qgm_flag *flag, char text[QGM_TEXT]);
/* Is what stands before the options of `spec` (name:option=1) one of the names? */
int qgm_check_name(const char *flag, const char *spec, const char *const *names, struct qgm_error *err);
/* What no single flag can tell: names that must exist, combinations. Called once all flags are set. */
int qgm_options_check(const struct qgm_options *options, struct qgm_error *err);
/* Choose the kernels: --isa, --backend. Before anything asks for them. */
int qgm_options_kernels(const struct qgm_options *options, struct qgm_error *err);
json_t *qgm_options_json(const struct qgm_options *options);
/* xxHash of all flags that determine the result: two runs with the same digest give the same bits. */
uint64_t qgm_options_digest(const struct qgm_options *options);

/* ---- Command lines ---- */

/* Extra flags of a program, by popt conventions, with val >= QGM_OWN_FLAG. */
enum { QGM_OWN_FLAG = 1000 };
struct qgm_program {
    const char *name, *usage, *intro, *examples; /* shown by --help */
    bool run_flags;                              /* does it take the flags of a run? */
    const struct poptOption *own;                /* POPT_TABLEEND-terminated, or NULL */
    int (*set)(int val, const char *argument, void *user, struct qgm_error *err); /* called for own flags */
    void *user;
};
/* Parse argv. Handles --help, --version and --list (these exit 0). Positional arguments go to words, at most `most`.
 * Returns how many there are, or -1. */
int qgm_parse(const struct qgm_program *program, int argc, const char **argv, struct qgm_options *options,
              const char **words, int most, struct qgm_error *err);
/* Print "program: sentence" on stderr and return the exit code that goes with the kind of error. */
int qgm_complain(const char *program, const struct qgm_error *err);
/* Print the notes of a data set on stderr, "program: sentence" each. */
void qgm_print_notes(const char *program, const char *notes);
/* All algorithms, topologies, models, data sets and partitions, one line each with their source. */
void qgm_print_list(FILE *to);

#endif
