#!/bin/sh
# gist's attention on the CUDA device 0 against PyTorch's FlexAttention and scaled_dot_product_attention.
# usage: cuda_peers.sh BUILD_DIRECTORY   (that tests/gpu.sh made: build/gpu)
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
# Nothing else should use the device meanwhile.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.9.1' 'numpy==2.2.1'
"$venv/bin/python" "$here/cuda_peers.py" "$build/bin/kernels_cuda_benchmark"
