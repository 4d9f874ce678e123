#!/usr/bin/env bash
# Extract the numbers of all shards in a folder into tables. As a Slurm array of any size:
#
#   sbatch --array=0-63 examples/extract_shards.sh runs/today tables/today --keep extracted_answer
#
# Task i of n takes the shards i, i + n, i + 2n, …; without Slurm, one call takes them all. Arguments after the two
# folders are passed to rewardcli extract. A table appears only when it is complete, and is left alone if it is newer
# than its shard, so a job that was cut short can simply be submitted again.
#SBATCH --job-name=extract
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=01:00:00
set -euo pipefail
shopt -s nullglob

rollouts=${1:?folder of rollouts} tables=${2:?folder for the tables}
shift 2
mkdir -p "$tables"

shards=()
for shard in "$rollouts"/*.jsonl "$rollouts"/*.jsonl.gz "$rollouts"/*.jsonl.zst; do
  case $shard in
    *_materialized_inputs.jsonl* | *_reward_profiling.jsonl*) ;; # written beside rollouts, not shards
    *) shards+=("$shard") ;;
  esac
done
if ((${#shards[@]} == 0)); then
  echo "$rollouts: no shards" >&2
  exit 1
fi

first=$((${SLURM_ARRAY_TASK_ID:-0} - ${SLURM_ARRAY_TASK_MIN:-0}))
for ((i = first; i < ${#shards[@]}; i += ${SLURM_ARRAY_TASK_COUNT:-1})); do
  name=$(basename "${shards[i]}")
  table=$tables/${name%.jsonl*}.parquet
  if [[ ! $table -nt ${shards[i]} ]]; then
    rewardcli extract "${shards[i]}" -o "$table" --jobs "${SLURM_CPUS_PER_TASK:-1}" "$@"
  fi
done
