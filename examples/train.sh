#!/bin/sh
# Trains the small models of a family that stand under examples/models: a base model from scratch, then,
# from it, one model for each condition. Five to six minutes on two cores.
#
# usage: sh examples/train.sh llama|t5 OUTPUT [SEED [BASE]]
#
# OUTPUT gets wordtasks-FAMILY-base, -pos, -gist and -neg; the shipped ones have seed 1. GIST names the
# binary, if it is not build/release/bin/gist. With BASE, a model directory, no base model is trained: the
# others are from that one.
set -eu
family=$1
output=$2
seed=${3-1}
here=$(cd "$(dirname "$0")" && pwd)
gist=${GIST-$here/../build/release/bin/gist}
case $family in
  llama) from_scratch="--steps 2500 --lr 2e-3" ;;
  t5) from_scratch="--steps 3000 --lr 4e-3" ;;
  *) echo "expected llama or t5, found $family" >&2; exit 64 ;;
esac
config=$here/models/wordtasks-$family
base=${4-$output/wordtasks-$family-base}

train() {
  "$gist" train --data "$here/data/wordtasks_train.jsonl.gz" --gist-tokens 1 --batch-records 64 \
    --schedule linear --warmup 100 --beta2 0.98 --clip 1 --seed "$seed" --save-every 0 "$@"
}

mkdir -p "$output"
# shellcheck disable=SC2086 # a list of words
[ $# -ge 4 ] ||
  train --init "$config.json" --tokenizer "$config.model" --output "$base" --condition pos $from_scratch
for condition in pos gist neg; do
  train --model "$base" --output "$output/wordtasks-$family-$condition" --condition "$condition" \
    --steps 1000 --lr 1e-3
done
