#!/bin/sh
# The store opens in h5py with the values that gist reads. usage: h5py.sh GIST
set -eu
gist=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'h5py==3.12.1' 'numpy==2.2.1'
"$work/venv/bin/python" "$here/check_store.py" "$gist" "$work"
