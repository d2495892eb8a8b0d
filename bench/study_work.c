/* Carrying out a plan: every run in a process of its own, so that a run that dies takes nothing with it. The data sets
 * are read once, before the first process starts, and shared by all. SPDX-License-Identifier: MIT */
#include "context.h"
#include "kernels.h"
#include "progress.h"
#include "run.h"
#include "study.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Share of the machine's memory that runs side by side may fill. */
#define FULL 0.9
enum { MOST_DATASETS = 8, MOST_JOBS = 256, MOST_KINDS = 64 };

struct message { /* from a run's process, through a pipe; shorter than PIPE_BUF, so whole */
    double done;
    char note[64];
    bool failed;
    struct qgm_error err;
};
struct job {
    pid_t process;
    int pipe;
    int run; /* index in the plan */
    size_t bytes;
    struct message last;
    bool heard; /* last is from it */
};
struct shop {
    struct qgm_grid *grid;
    struct qgm_dataset data[MOST_DATASETS];
    char key[MOST_DATASETS][2 * QGM_TEXT];
    int datasets, jobs, running, ended, succeeded, todo;
    int measured; /* the run that `bytes` is of */
    size_t bytes;
    double seconds; /* of all runs, one after the other on all cores */
    struct job job[MOST_JOBS];
    struct qgm_error err;
    bool failed;
    double given; /* runs that earlier studies had done, of those that were taken up */
};

static int find_data(struct shop *s, const struct qgm_options *o, struct qgm_dataset **data, struct qgm_error *err)
{
    char key[2 * QGM_TEXT];
    snprintf(key, sizeof key, "%s\n%s", o->dataset, o->data_dir);
    for (int i = 0; i < s->datasets; i++)
        if (strcmp(s->key[i], key) == 0) {
            *data = &s->data[i];
            return 0;
        }
    if (s->datasets == MOST_DATASETS)
        return qgm_fail(err, QGM_USAGE, "a study uses at most %d data sets", MOST_DATASETS);
    QGM_TRY(qgm_dataset_open(&s->data[s->datasets], o->dataset, *o->data_dir ? o->data_dir : NULL, err));
    qgm_print_notes("qgm-study", s->data[s->datasets].notes);
    memcpy(s->key[s->datasets], key, sizeof key);
    *data = &s->data[s->datasets++];
    return 0;
}

static void tell(void *user, double done, const char *note)
{
    struct message m = { .done = done };
    snprintf(m.note, sizeof m.note, "%s", note);
    static double last;
    double now = qgm_seconds();
    if (now - last < 0.1 && done < 1) return;
    last = now;
    if (write(*(int *)user, &m, sizeof m) < 0) qgm_interrupted = 1; /* the study is gone */
}

static _Noreturn void child(const struct qgm_options *o, const struct qgm_dataset *data, int pipe)
{
    struct message end = { .done = 1 };
    struct qgm_outcome outcome;
    if (qgm_options_kernels(o, &end.err) < 0 ||
        qgm_run(o, data, qgm_group_alone(), NULL, tell, &pipe, &outcome, &end.err) < 0) {
        end.failed = true;
        if (write(pipe, &end, sizeof end) < 0) _exit(3);
        _exit(1);
    }
    _exit(0);
}

/* Memory, or time. */
struct answer {
    int result;
    size_t bytes;
    double seconds;
    struct qgm_error err;
};
typedef void question(const struct qgm_options *o, const struct qgm_dataset *data, struct answer *a);

static void how_large(const struct qgm_options *o, const struct qgm_dataset *data, struct answer *a)
{
    a->result = qgm_run_measure(o, data, qgm_group_alone(), &a->bytes, &a->err);
}

static void how_long(const struct qgm_options *o, const struct qgm_dataset *data, struct answer *a)
{
    a->result = qgm_options_kernels(o, &a->err);
    if (a->result == 0) a->result = qgm_run_estimate(o, data, qgm_group_alone(), &a->seconds, &a->err);
}

/* Ask it of a run, in a process of its own: one that has had threads should not fork. */
static int ask(struct shop *s, int run, question *what, struct answer *reply, struct qgm_error *err)
{
    struct qgm_options *o = &s->grid->run[run].options;
    struct qgm_dataset *data = NULL;
    struct answer answer = { 0 };
    int ends[2], status;
    if (find_data(s, o, &data, err) < 0) return qgm_fail_in(err, "run %s", o->out);
    if (pipe(ends) < 0) return qgm_fail(err, QGM_SYSTEM, "pipe: %s", strerror(errno));
    pid_t process = fork();
    if (process < 0) return qgm_fail(err, QGM_SYSTEM, "fork: %s", strerror(errno));
    if (process == 0) {
        what(o, data, &answer);
        _exit(write(ends[1], &answer, sizeof answer) != sizeof answer);
    }
    close(ends[1]);
    bool heard = read(ends[0], &answer, sizeof answer) == sizeof answer;
    close(ends[0]);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (!heard) return qgm_fail(err, QGM_SYSTEM, "run %s: its process ended while it was measured", o->out);
    if (answer.result < 0) {
        *err = answer.err;
        return qgm_fail_in(err, "run %s", o->out);
    }
    *reply = answer;
    return 0;
}

static int measure(struct shop *s, int run, struct qgm_error *err)
{
    struct answer answer;
    QGM_TRY(ask(s, run, how_large, &answer, err));
    s->measured = run;
    s->bytes = answer.bytes;
    return 0;
}

/* Do these take the same time, as far as an estimate goes? Algorithms and graphs hardly count beside gradients. */
static bool alike(const struct qgm_options *a, const struct qgm_options *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->dataset, b->dataset) == 0 && a->batch == b->batch &&
           a->clients == b->clients && a->epochs == b->epochs && a->steps == b->steps &&
           a->eval_every == b->eval_every && a->eval_subset == b->eval_subset && a->gossip_eval == b->gossip_eval;
}

/* Could every run that is left be started? What stands in the way of the last one, a file that is not there say, should
 * not be found when the others are done, overnight. */
static int check_runs(struct shop *s, struct qgm_error *err)
{
    for (int i = 0; i < s->grid->runs && !qgm_interrupted; i++)
        if (!s->grid->run[i].kept) QGM_TRY(measure(s, i, err));
    return 0;
}

/* Print how long all will take: two steps are made of each kind of run. */
static void estimate(struct shop *s)
{
    struct answer kind[MOST_KINDS];
    int of[MOST_KINDS], kinds = 0;
    for (int i = 0; i < s->grid->runs; i++) {
        const struct qgm_grid_run *run = &s->grid->run[i];
        int k = 0;
        if (run->kept) continue;
        while (k < kinds && !alike(&run->options, &s->grid->run[of[k]].options)) k++;
        if (k == kinds) {
            struct qgm_error err;
            if (kinds == MOST_KINDS || qgm_interrupted) return;
            if (ask(s, i, how_long, &kind[k], &err) < 0) {
                fprintf(stderr, "time    not known: %s\n", err.text);
                return;
            }
            of[kinds++] = i;
        }
        s->seconds += kind[k].seconds;
    }
    char text[32];
    if (s->todo)
        fprintf(stderr, "time    about %s, from two steps of each kind of run\n", qgm_duration(s->seconds, text));
}

/* Is there memory for this run beside those that are running? Alone, a run is refused only by itself. */
static int fits(struct shop *s, int run, bool *yes, struct qgm_error *err)
{
    if (s->measured != run) QGM_TRY(measure(s, run, err));
    double sum = (double)s->bytes, machine = qgm_machine_memory();
    for (int j = 0; j < s->running; j++) sum += (double)s->job[j].bytes;
    *yes = !s->running || machine <= 0 || sum < FULL * machine;
    return 0;
}

/* How many runs of this size the memory holds at once. */
static int jobs_of(const struct shop *s)
{
    double room = FULL * qgm_machine_memory(), most = s->bytes && room > 0 ? room / (double)s->bytes : s->jobs;
    return most < 1 ? 1 : most < s->jobs ? (int)most : s->jobs;
}

/* Threads of one of `jobs` processes that share the cores we may use. */
static long share_of_cores(int jobs)
{
    cpu_set_t mask;
    int cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
    const char *asked = getenv("OMP_NUM_THREADS");
    if (asked && atoi(asked) > 0) cores = atoi(asked);
    return cores / jobs > 1 ? cores / jobs : 1;
}

static int begin(struct shop *s, int run, struct qgm_error *err)
{
    struct qgm_options *o = &s->grid->run[run].options;
    struct qgm_dataset *data = NULL;
    int ends[2];
    QGM_TRY(find_data(s, o, &data, err));
    if (pipe(ends) < 0) return qgm_fail(err, QGM_SYSTEM, "pipe: %s", strerror(errno));
    if (!o->threads) o->threads = share_of_cores(jobs_of(s));
    fflush(NULL);
    pid_t process = fork();
    if (process < 0) return qgm_fail(err, QGM_SYSTEM, "fork: %s", strerror(errno));
    if (process == 0) {
        close(ends[0]);
        child(o, data, ends[1]);
    }
    close(ends[1]);
    s->job[s->running++] = (struct job){ .process = process, .pipe = ends[0], .run = run, .bytes = s->bytes };
    return 0;
}

/* Read what a run says; when its pipe closes, see how it ended. */
static void listen_to(struct shop *s, int j)
{
    struct job *job = &s->job[j];
    struct message m;
    ssize_t got = read(job->pipe, &m, sizeof m);
    if (got == (ssize_t)sizeof m) {
        job->last = m;
        if (!job->heard && !m.failed) s->given += m.done;
        job->heard = true;
        return;
    }
    if (got < 0 && errno == EINTR) return;
    int status;
    while (waitpid(job->process, &status, 0) < 0 && errno == EINTR) {
    }
    close(job->pipe);
    const char *where = s->grid->run[job->run].options.out;
    bool success = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!s->failed && !success) {
        s->failed = true;
        if (job->last.failed)
            s->err = job->last.err;
        else
            qgm_fail(&s->err, QGM_SYSTEM, "its process ended by signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        qgm_fail_in(&s->err, "run %s", where);
    }
    s->ended++;
    s->succeeded += success;
    *job = s->job[--s->running];
}

static void show(struct shop *s, struct qgm_progress *progress)
{
    double done = s->ended;
    char note[160] = "";
    for (int j = 0; j < s->running; j++) done += s->job[j].last.done;
    if (s->running) {
        const struct job *job = &s->job[0];
        const char *name = strrchr(s->grid->run[job->run].options.out, '/') + 1;
        snprintf(note, sizeof note, "run %d of %d: %.60s  %s", s->ended + 1, s->todo, name, job->last.note);
    }
    progress->given = s->given / s->todo;
    qgm_progress_update(progress, done / s->todo, note);
}

/* Of an interrupt that came to this process alone, as from kill or a batch system, the runs hear by the other signal:
 * where it came to all, as Ctrl-C does, the same one again would end them at once. */
static void pass_on(const struct shop *s)
{
    for (int j = 0; j < s->running; j++) kill(s->job[j].process, qgm_interrupted == SIGINT ? SIGTERM : SIGINT);
}

static void close_data(struct shop *s)
{
    for (int i = 0; i < s->datasets; i++) qgm_dataset_close(&s->data[i]);
}

int qgm_work_do(const struct qgm_work *work, struct qgm_grid *grid, struct qgm_error *err)
{
    static struct shop s;
    s = (struct shop){ .grid = grid, .jobs = work->jobs < MOST_JOBS ? work->jobs : MOST_JOBS, .measured = -1 };
    for (int i = 0; i < grid->runs; i++) s.todo += !grid->run[i].kept;
    int result = check_runs(&s, err);
    if (result == 0) estimate(&s);
    if (result < 0 || !s.todo || work->dry_run) {
        close_data(&s);
        return result;
    }
    struct qgm_progress progress = qgm_progress("study", work->quiet);
    int next = 0;
    bool passed_on = false;
    while (s.running || (next < grid->runs && !s.failed && !qgm_interrupted)) {
        while (s.running < s.jobs && next < grid->runs && !s.failed && !qgm_interrupted) {
            bool room = true;
            if (grid->run[next].kept) {
                next++;
                continue;
            }
            if (fits(&s, next, &room, &s.err) < 0) s.failed = true;
            if (s.failed || !room) break;
            if (begin(&s, next++, &s.err) < 0) s.failed = true;
        }
        if (qgm_interrupted && !passed_on) {
            pass_on(&s);
            passed_on = true;
        }
        struct pollfd fds[MOST_JOBS];
        int n = s.running;
        for (int j = 0; j < n; j++) fds[j] = (struct pollfd){ .fd = s.job[j].pipe, .events = POLLIN };
        if (poll(fds, (nfds_t)n, 200) > 0)
            for (int j = n; j-- > 0;) /* from the end: listen_to may move the last job into a gap */
                if (fds[j].revents) listen_to(&s, j);
        show(&s, &progress);
    }
    qgm_progress_end(&progress);
    close_data(&s);
    if (qgm_interrupted)
        return qgm_fail(err, QGM_SYSTEM,
                        "interrupted: %d of %d runs are finished and kept; the same command goes on from there",
                        grid->runs - s.todo + s.succeeded, grid->runs);
    if (s.failed) *err = s.err;
    return s.failed ? -1 : 0;
}
