#!/bin/sh
# A model that gist wrote, in shards, loads in transformers and gives the golden logits.
# usage: transformers.sh BUILD_DIRECTORY. Installs PyTorch from PyPI (gigabytes) into a scratch directory.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.5.1' 'transformers==4.46.3' 'numpy==2.2.1'
for model in examples/models/wordtasks-llama-pos tests/fixtures/models/stories260K-gist; do
  "$build/bin/rewrite_model" "$here/../../$model" "$work/$(basename "$model")" 1000000
done
"$work/venv/bin/python" "$here/check_model.py" "$work"
