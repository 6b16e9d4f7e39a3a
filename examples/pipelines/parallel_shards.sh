#!/bin/sh
# Compresses a prompt set in shards, one a processor at a time, and merges them into one store in the
# order of the prompts. Needs GNU parallel. If it is interrupted, repeat it: it goes on.
#
# usage: sh parallel_shards.sh MODEL PROMPTS STORE [SHARDS] >RECEIPTS
#
# GIST names the binary, if it is not on the PATH.
set -eu
model=$1 prompts=$2 store=$3 shards=${4-8}
gist=${GIST-gist}

seq 0 "$((shards - 1))" | parallel --quote --keep-order --halt soon,fail=1 \
  "$gist" compress --model "$model" --input "$prompts" --shard "{}/$shards" \
  --output "$store.shard-{}-of-$shards" --threads 1 --resume
"$gist" merge --output "$store" "$store".shard-*-of-"$shards" >&2
rm "$store".shard-*-of-"$shards"
