/* Steps or seconds. SPDX-License-Identifier: MIT */
#include "pace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int qgm_pace_open(struct qgm_pace *pace, const char *flag, const char *text, struct qgm_error *err)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 } };
    *pace = (struct qgm_pace){ 0 };
    if (strcmp(text, "never") == 0) return 0;
    char *end;
    double x = strtod(text, &end);
    if (end != text && x > 0 && x < 1e15) {
        if (!*end && x == floor(x)) {
            pace->steps = (long)x;
            return 0;
        }
        for (size_t i = 0; i < QGM_COUNT(units); i++)
            if (strcmp(end, units[i].name) == 0) {
                pace->seconds = x * units[i].seconds;
                return 0;
            }
    }
    return qgm_fail(err, QGM_USAGE, "--%s %s: expected steps or a time: 500, 30s, 10min, 2h; or never", flag, text);
}

bool qgm_pace_due(struct qgm_pace *pace, long step, double now)
{
    if (pace->steps) return step % pace->steps == 0;
    if (!pace->last) pace->last = now;
    if (!pace->seconds || now - pace->last < pace->seconds) return false;
    pace->last = now;
    return true;
}
