/* How often something is done: after so many steps, or so much time. SPDX-License-Identifier: MIT */
#ifndef QGM_PACE_H
#define QGM_PACE_H
#include "base.h"

struct qgm_pace {
    long steps;           /* 0: by time */
    double seconds, last; /* 0: never; when it was done last */
};
/* "500" (steps), "30s", "10min", "2h", "never". flag: whose value it is, for the error. */
int qgm_pace_open(struct qgm_pace *pace, const char *flag, const char *text, struct qgm_error *err);
bool qgm_pace_due(struct qgm_pace *pace, long step, double now); /* true starts the next period */

#endif
