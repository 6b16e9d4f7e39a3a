#!/bin/sh
# PyTorch's transformers answer from a store's gists what `gist generate` answers, by the example in examples/interop.
# usage: transformers_gists.sh GIST
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
set -eu
gist=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.5.1' 'transformers==4.46.3' 'numpy==2.2.1' 'sentencepiece==0.2.0' 'h5py==3.12.1'
"$venv/bin/python" "$here/check_transformers_gists.py" "$gist" "$work"
