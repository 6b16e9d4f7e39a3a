#!/bin/sh
# `gist train` against plain PyTorch on a small model of each family: tokens a second, and the fraction of the machine's f32
# matrix product that each reaches. usage: train_speed.sh BUILD_DIRECTORY [THREADS]
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
# Nothing else should run on the machine meanwhile.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.5.1' 'numpy==2.2.1' 'sentencepiece==0.2.0'
unset OMP_WAIT_POLICY # passive waits, right for tests, cost PyTorch a third of its speed
"$venv/bin/python" "$here/train_speed.py" "$build/bin/gist" ${2:+"$2"}
