#!/bin/sh
# Compresses a prompt set in shards, one a processor at a time, and merges them into one store in the
# order of the prompts. Needs GNU parallel. If it is interrupted, repeat it: it goes on. Where the store
# exists, only prompts that it lacks are compressed, and come behind the others.
#
# usage: sh parallel_shards.sh MODEL PROMPTS STORE [SHARDS] >RECEIPTS
#
# GIST names the binary, if it is not on the PATH.
set -eu
[ $# -eq 3 ] || [ $# -eq 4 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
model=$1 prompts=$2 store=$3 shards=${4-8}
gist=${GIST-gist}

receipts=$(mktemp)
trap 'rm -f "$receipts"' EXIT

set -- --model "$model" --input "$prompts" --threads 1 --resume
part=$store.shard
if [ -e "$store" ]; then
  set -- "$@" --known "$store"
  part=$store.since-$(stat --format %i "$store").shard
  for merged in "$store".shard-*-of-"$shards" "$store".since-*; do # by a run that was then interrupted
    case $merged in "$part"-*) ;; *) rm -f "$merged" ;; esac
  done
fi
status=0
seq 0 "$((shards - 1))" | parallel --quote --keep-order --halt soon,fail=1 \
  "$gist" compress "$@" --shard "{}/$shards" --output "$part-{}-of-$shards" >"$receipts" || status=$?
cat "$receipts"
[ "$status" -eq 0 ] || exit "$status"
if [ ! -e "$store" ]; then
  "$gist" merge --output "$store" "$part"-*-of-"$shards" >&2
elif grep --quiet '"status":"stored"' "$receipts"; then
  "$gist" merge --output "$store.merged" --force "$store" "$part"-*-of-"$shards" >&2
  mv "$store.merged" "$store"
fi
rm "$part"-*-of-"$shards"
