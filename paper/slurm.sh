#!/bin/sh
# A training run on a Slurm cluster: sbatch --nodes 4 paper/slurm.sh --algo qg-dsgdm-n --clients 64 --out my-run ...
#SBATCH --job-name=qgm
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
# One process a node, a thread a core: clients are dealt to processes, then to threads. 120 s before the time is up Slurm
# sends SIGTERM: the run keeps its state in my-run.part, the job queues itself again, and --resume takes the state up,
# on as many nodes as there are then. The same flags on one machine give the same bits.
set -u
case "${1:---help}" in
-h | --help) sed -n '2p;10,12p' "$0" | cut -c3-; exit 0 ;;
esac
bin=${QGM_BIN:-$(pwd)/build/release/bench}
export OMP_NUM_THREADS="${SLURM_CPUS_ON_NODE:-1}" OMP_PROC_BIND=close OMP_PLACES=cores
# pmix is how Open MPI is started here, pmi2 how MPICH is; srun --mpi=list tells which there are.
srun --mpi="${QGM_SRUN_MPI:-pmix}" --cpu-bind=none "$bin/qgm-train" "$@" --resume
code=$?
out=
for word in "$@"; do
    [ "${previous:-}" = --out ] && out=$word
    case $word in --out=*) out=${word#*=} ;; esac
    previous=$word
done
if [ $code != 0 ] && [ -n "$out" ] && ls "$out.part"/checkpoint-*.safetensors >/dev/null 2>&1 && [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ]; then
    scontrol requeue "$SLURM_JOB_ID" && exit 0
fi
exit $code
