#!/bin/sh
# Models that gist wrote load in transformers, and models that transformers wrote in gist, with equal losses.
# usage: transformers.sh BUILD_DIRECTORY
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.5.1' 'transformers==4.46.3' 'numpy==2.2.1' 'sentencepiece==0.2.0'
"$venv/bin/python" "$here/check_transformers.py" "$build" "$work"
