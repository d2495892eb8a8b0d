/* The smallest user of the installed library: the spectral gap of a ring. */
#include <qgm/kernels.h>
#include <qgm/topology.h>
#include <stdio.h>

int main(void)
{
    struct qgm_error err;
    struct qgm_topology *ring;
    if (qgm_topology_open(&ring, "ring", 16, false, 1, &err) < 0) return fprintf(stderr, "%s\n", err.text), 1;
    printf("%s kernels, gap %.6f\n", qgm_kernels()->isa, qgm_topology_spectrum(ring)->gap);
    qgm_topology_close(&ring);
    return 0;
}
