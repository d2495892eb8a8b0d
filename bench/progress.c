/* Progress. SPDX-License-Identifier: MIT */
#include "progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double qgm_median(double *values, long count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

double qgm_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *qgm_duration(double seconds, char text[32])
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ld h %02ld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, 32, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(text, 32, "%ld s", s);
    return text;
}

struct qgm_progress qgm_progress(const char *label, bool quiet)
{
    double now = qgm_seconds();
    const char *kind = getenv("TERM");
    bool dumb = kind && strcmp(kind, "dumb") == 0; /* it cannot erase a line */
    return (struct qgm_progress){
        .label = label, .start = now, .last = now, .quiet = quiet, .terminal = isatty(STDERR_FILENO) && !dumb
    };
}

void qgm_progress_update(struct qgm_progress *p, double done, const char *note)
{
    double now = qgm_seconds(), pause = p->terminal ? 0.1 : 10;
    if (p->quiet || now - p->last < pause) return;
    p->last = now;
    char left[32] = "?";
    if (done > p->given) qgm_duration((now - p->start) * (1 - done) / (done - p->given), left);
    if (!p->terminal) {
        fprintf(stderr, "%s  %3.0f %%  %s  ETA %s\n", p->label, 100 * done, note ? note : "", left);
        return;
    }
    char bar[33];
    int filled = (int)(done * 32);
    memset(bar, '.', 32);
    memset(bar, '#', (size_t)(filled < 0 ? 0 : filled > 32 ? 32 : filled));
    bar[32] = 0;
    char line[400];
    int width =
        snprintf(line, sizeof line, "%s [%s] %3.0f %%  %s  ETA %s", p->label, bar, 100 * done, note ? note : "", left);
    struct winsize window; /* a line that is wrapped could not be erased */
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col) width = window.ws_col - 1;
    fprintf(stderr, "\r\033[K%.*s", width, line);
    p->shown = true;
}

void qgm_progress_end(struct qgm_progress *p)
{
    if (p->shown) fprintf(stderr, "\r\033[K");
    p->shown = false;
}
