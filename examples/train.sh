#!/bin/sh
# Trains the small LLaMA models that stand under examples/models: a base model from scratch, then, from it,
# one model for each condition. About five minutes on two cores.
#
# usage: sh examples/train.sh OUTPUT [SEED]
#
# OUTPUT gets wordtasks-llama-base, -pos, -gist and -neg; the shipped ones have seed 1. GIST names the
# binary, if it is not build/release/bin/gist.
set -eu
output=$1
seed=${2-1}
here=$(cd "$(dirname "$0")" && pwd)
gist=${GIST-$here/../build/release/bin/gist}
data=$here/data/wordtasks_train.jsonl.gz

train() {
  "$gist" train --data "$data" --gist-tokens 1 --batch-records 64 \
    --schedule linear --warmup 100 --beta2 0.98 --clip 1 --seed "$seed" --save-every 0 "$@"
}

mkdir -p "$output"
train --init "$here/models/wordtasks-llama.json" --tokenizer "$here/models/wordtasks-llama.model" \
  --output "$output/wordtasks-llama-base" --condition pos --steps 2500 --lr 2e-3
for condition in pos gist neg; do
  train --model "$output/wordtasks-llama-base" --output "$output/wordtasks-llama-$condition" \
    --condition "$condition" --steps 1000 --lr 1e-3
done
