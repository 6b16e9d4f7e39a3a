#!/bin/sh
# Compresses a prompt set on many machines: each task of a Slurm array takes a shard, and a job that
# waits for all of them merges these. A task that was preempted and requeued goes on where it was.
#
# usage: sbatch slurm_array.sh MODEL PROMPTS STORE SHARDS
#
#   job=$(sbatch --parsable --array=0-15 slurm_array.sh MODEL PROMPTS STORE 16)
#   sbatch --dependency=afterok:"$job" slurm_array.sh MODEL PROMPTS STORE 16
#
# GIST names the binary, if it is not on the PATH.
#SBATCH --cpus-per-task=8 --requeue --open-mode=append
set -eu
[ $# -eq 4 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
model=$1 prompts=$2 store=$3 shards=$4
gist=${GIST-gist}

if [ -n "${SLURM_ARRAY_TASK_ID-}" ]; then
  exec "$gist" compress --model "$model" --input "$prompts" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --output "$store.shard-$SLURM_ARRAY_TASK_ID" --threads "${SLURM_CPUS_PER_TASK-1}" --resume
fi
for shard in $(seq 0 "$((shards - 1))"); do
  set -- "$@" "$store.shard-$shard"
done
shift 4
exec "$gist" merge --output "$store" "$@"
