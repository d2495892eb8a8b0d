/* "name:key=value,key=value": how algorithms and graphs are written. SPDX-License-Identifier: MIT */
#ifndef QGM_SPEC_H
#define QGM_SPEC_H
#include "base.h"

enum { QGM_MAX_KNOBS = 8 };

/* An option. With `choices` the value is the index of one of these words, else a number. */
struct qgm_knob {
    const char *name, *help;
    double value;               /* default */
    double low, high;           /* accepted range, inclusive */
    bool whole;                 /* whole numbers only */
    const char *const *choices; /* NULL-terminated, or NULL */
};

/* Length of the name at the start of a spec. */
size_t qgm_spec_name(const char *spec);
bool qgm_spec_is(const char *spec, const char *name);
/* Fill value[] from a spec and the table of its options (ends at a NULL name): defaults first, then what is written.
 * `what` is "algorithm" or "topology". QGM_USAGE errors suggest the nearest name and state the range. */
int qgm_spec_read(const char *spec, const char *what, const struct qgm_knob *knobs, double *value,
                  struct qgm_error *err);
/* "about; options: mu=0.9, tau=1" */
void qgm_spec_about(char *text, size_t size, const char *about, const struct qgm_knob *knobs);
/* Append a line an option to `text`, "  mu   memory of the buffer; 0 to 1", but for those that it has already. */
void qgm_spec_glossary(char *text, size_t size, const struct qgm_knob *knobs);

#endif
