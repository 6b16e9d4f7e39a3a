#!/bin/sh
# How many gist tokens does a task need? Trains a model for each k from one base model on the same
# data, and prints what each gives on held-out records. Needs jq. If it is interrupted, repeat it:
# finished models stay, and the others go on from their last checkpoints.
#
# usage: sh compare_gist_tokens.sh BASE TRAIN_DATA EVAL_DATA OUTPUT [STEPS]
#
# K names the values, if they are not 1, 2 and 4; GIST the binary, if it is not on the PATH.
set -eu
[ $# -eq 4 ] || [ $# -eq 5 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
base=$1 train_data=$2 eval_data=$3 output=$4 steps=${5-1000}
gist=${GIST-gist}

set --
for k in ${K-1 2 4}; do
  "$gist" train --model "$base" --data "$train_data" --exclude "$eval_data" --output "$output/k$k" \
    --condition gist --gist-tokens "$k" --steps "$steps" --lr 1e-3 --warmup "$((steps / 10))" --resume
  set -- "$@" --model "$output/k$k"
done
"$gist" evaluate "$@" --data "$eval_data" --json | jq --raw-output '["k", "records", "exact match", "loss"],
  (.systems | sort_by(.gist_tokens)[] | [.gist_tokens, .all.records, .all.exact_match, .all.loss]) | @tsv'
