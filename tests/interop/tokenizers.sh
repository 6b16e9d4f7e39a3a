#!/bin/sh
# Token ids and decoded texts equal those of PyPI's tokenizers, for a vocabulary of each kind that tokenizer.json can
# describe, and for the files that are named; with the speed of both.
# usage: tokenizers.sh BUILD_DIRECTORY TEXTS.json.gz [TOKENIZER.json ...]
# TEXTS: a list of records with instruction, input and output, as Alpaca's. Takes a quarter of an hour.
set -eu
build=$(cd "$1" && pwd)
texts=$(realpath "$2")
shift 2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'tokenizers==0.22.1' 'sentencepiece==0.2.1' protobuf
"$work/venv/bin/python" -B "$here/check_tokenizers.py" "$build/bin/tokenized_texts" "$work" 100000 "$texts" "$@"
