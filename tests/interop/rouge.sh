#!/bin/sh
# Stems, ROUGE, token F1 and bootstrap intervals equal those of NLTK, rouge_score and SQuAD's rules.
# usage: rouge.sh BUILD_DIRECTORY [TEXTS.json|.jsonl[.gz] ...]
# The strings in TEXTS are compared, too. Takes minutes, most of them rouge_score's.
set -eu
build=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  'rouge_score==0.1.2' 'nltk==3.9.1' 'numpy==2.2.1'
"$work/venv/bin/python" "$here/quality_golden.py" >"$work/golden.json"
cmp "$work/golden.json" "$here/../fixtures/quality/golden.json"
"$work/venv/bin/python" "$here/check_quality.py" "$build/bin/quality_scores" "$@"
