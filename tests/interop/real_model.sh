#!/bin/sh
# A real model, SmolLM2-135M-Instruct, from its directory to gist tokens and back: goldens, a chat as
# transformers has it, ten steps of training, a store, answers from it, and the result in transformers.
# usage: real_model.sh GIST MODEL GOLDEN
# MODEL is the model's Hugging Face directory; GOLDEN holds golden.json and forward.safetensors, made of it.
# Installs PyTorch from PyPI (gigabytes) into a scratch directory, or into GIST_TORCH_VENV, which stays.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/torch_venv.sh"
torch_venv 'torch==2.5.1' 'transformers==4.57.1' 'numpy==2.2.1' 'h5py==3.12.1'
"$venv/bin/python" "$here/check_real_model.py" "$1" "$2" "$3" "$work"
