#!/bin/sh
# An adapter that gist trained has in PEFT the losses that gist finds.
# usage: peft.sh BUILD_DIRECTORY
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.5.1' 'transformers==4.51.3' 'peft==0.15.2' 'numpy==2.2.1' 'sentencepiece==0.2.0'
"$venv/bin/python" "$here/check_peft.py" "$build" "$work"
