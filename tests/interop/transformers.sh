#!/bin/sh
# Models that gist wrote load in transformers: one in shards gives the golden logits, a trained one the losses
# of `gist evaluate`. usage: transformers.sh BUILD_DIRECTORY
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${GIST_TORCH_VENV:-$work/venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.5.1' 'transformers==4.46.3' 'numpy==2.2.1' 'sentencepiece==0.2.0'
for model in examples/models/wordtasks-llama-pos tests/fixtures/models/stories260K-gist; do
  "$build/bin/rewrite_model" "$root/$model" "$work/$(basename "$model")" 1000000
done
"$venv/bin/python" "$here/check_model.py" "$work"

"$build/bin/gist" train --model "$root/tests/fixtures/models/stories260K" \
  --data "$root/examples/data/wordtasks_seen.jsonl.gz" --output "$work/trained" \
  --condition pos --gist-tokens 1 --steps 4 --batch-records 8 --lr 1e-4 >/dev/null
"$venv/bin/python" "$here/check_training.py" "$build/bin/gist" "$work/trained"
