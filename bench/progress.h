/* A progress bar with ETA on a terminal, no wider than that; a line every ten seconds elsewhere. Goes to stderr: stdout
 * is data. SPDX-License-Identifier: MIT */
#ifndef QGM_PROGRESS_H
#define QGM_PROGRESS_H
#include <stdbool.h>

struct qgm_progress {
    const char *label;
    double start, last; /* seconds on the monotonic clock */
    double given;       /* of done, what was there at the start: an earlier run's; for the ETA */
    bool terminal, quiet, shown;
};
double qgm_seconds(void);                      /* monotonic clock */
double qgm_median(double *values, long count); /* of what was measured several times; sorts it */
struct qgm_progress qgm_progress(const char *label, bool quiet);
/* done in 0..1; note: a few words, or NULL. Cheap to call: draws at most ten times a second. */
void qgm_progress_update(struct qgm_progress *p, double done, const char *note);
void qgm_progress_end(struct qgm_progress *p); /* takes the bar away, so that a line can be printed; it may come back */
/* "2 h 05 min", "3 min 10 s", "12 s" */
const char *qgm_duration(double seconds, char text[32]);

#endif
