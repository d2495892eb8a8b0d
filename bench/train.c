/* qgm-train: one run. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "progress.h"
#include "run.h"
#include <inttypes.h>
#include <unistd.h>

static const struct qgm_program program = {
    .name = "qgm-train",
    .usage = "[FLAG]...",
    .intro =
        "Train n clients, each on its own data, that average their models with their neighbours in a graph.\n"
        "Prints a line an evaluation: accuracy on the test set of the clients' own models (mean, worst, best) and of\n"
        "the averaged model; and at the end a digest of all final parameters. One seed gives the same digest on any\n"
        "instruction set and any number of threads.",
    .examples =
        "  qgm-train --algo qg-dsgdm-n --alpha 0.1 --epochs 5\n"
        "  qgm-train --algo d2 --lazy --topology ring --clients 8 --lr 0.05 --out out/d2\n"
        "  qgm-train --dataset cifar10 --data-dir ~/data --model lenet --topology davis --clients 32 --dry-run\n",
    .run_flags = true,
};

struct watched {
    struct qgm_progress progress;
    bool begun;
};

static void watch(void *user, double done, const char *note)
{
    struct watched *w = user;
    if (done < 0) {
        qgm_progress_end(&w->progress);
        return;
    }
    if (!w->begun) w->progress.given = done; /* a resumed run begins in its middle */
    w->begun = true;
    qgm_progress_update(&w->progress, done, note);
}

static int train(int argc, const char **argv, struct qgm_group *group, struct qgm_error *err)
{
    struct qgm_options options;
    qgm_options_default(&options);
    QGM_TRY(qgm_parse(&program, argc, argv, &options, NULL, 0, err));
    options.quiet = options.quiet || group->rank;
    QGM_TRY(qgm_options_kernels(&options, err));
    QGM_TRY(qgm_options_check(&options, err));
    struct qgm_dataset data;
    QGM_TRY(qgm_dataset_open(&data, options.dataset, *options.data_dir ? options.data_dir : NULL, err));
    if (!options.quiet) qgm_print_notes(program.name, data.notes);
    int result;
    struct qgm_outcome outcome = { 0 };
    if (options.dry_run) {
        result = qgm_run_describe(&options, &data, group, stdout, err);
    } else {
        qgm_catch_signals();
        struct watched w = { .progress = qgm_progress("train", options.quiet) };
        result = qgm_run(&options, &data, group, options.quiet ? NULL : stdout, watch, &w, &outcome, err);
        qgm_progress_end(&w.progress);
        if (result == 0) printf("digest %016" PRIx64 "\n", outcome.digest);
    }
    qgm_dataset_close(&data);
    if (result == 0 && outcome.diverged)
        return qgm_fail(err, QGM_SYSTEM,
                        "diverged at step %.0f: the training loss is not finite or above 1000; lower --lr (now %g)",
                        outcome.last.step, options.lr);
    if (result == 0 && (fflush(stdout) || ferror(stdout))) return qgm_fail(err, QGM_SYSTEM, "cannot write to stdout");
    return result;
}

/* One process speaks for all: what went wrong everywhere is said once. What went wrong in one of them alone, the others
 * would wait for in vain: it waits a moment for process 0 to say the same, then says it and ends them all. Flags are
 * the same everywhere, so there the moment may be long: process 0 can be late on a busy machine. */
static int leave(struct qgm_group *group, const struct qgm_error *err)
{
    char name[64];
    snprintf(name, sizeof name, group->rank ? "%s: process %d" : "%s", program.name, group->rank);
    if (group->rank) sleep(err->kind == QGM_USAGE ? 10 : 1);
    int code = qgm_complain(name, err);
    if (group->ranks > 1) group->op->abort(group, code);
    return code;
}

int main(int argc, const char **argv)
{
    struct qgm_error err = { 0 };
    struct qgm_group *group;
    if (qgm_group_open(&group, &err) < 0) return qgm_complain(program.name, &err);
    if (group->rank && !freopen("/dev/null", "w", stdout)) return 1;
    if (train(argc, argv, group, &err) < 0) return leave(group, &err);
    group->op->close(&group);
    return 0;
}
