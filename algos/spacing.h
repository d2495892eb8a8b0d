/* How far apart the rows of clients lie in memory. Rows are worked on side by side, a block of each at a time; where
 * their addresses agree in the wrong bits, they get into each other's way. SPDX-License-Identifier: MIT */
#ifndef QGM_SPACING_H
#define QGM_SPACING_H
#include <stddef.h>

/* Elements from one row of a client to its next: at least `padded`, each element of `real` bytes. */
size_t qgm_row_stride(size_t padded, size_t rows, size_t real);

/* Elements from one client's first row to the next client's: at least rows x row. Up to 16 MiB of it, of clients of
 * 56 MiB or more, are never touched. */
size_t qgm_client_stride(size_t row, size_t rows, size_t real);

#endif
