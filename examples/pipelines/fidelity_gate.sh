#!/bin/sh
# A gate in the CI of a repository of prompts (JSONL): ends with 1 where a prompt that is new or has
# changed since REVISION compresses badly, and prints those prompts with the reason. Needs git and jq.
#
# usage: sh fidelity_gate.sh MODEL REFERENCE PROMPTS REVISION MAX_KL
#
# PROMPTS is a path from the working directory; a record may have an "input" and an "output" to try it
# with. REFERENCE is the model that answers from the whole prompt, trained under pos from the same base.
# GIST names the binary, if it is not on the PATH.
set -eu
[ $# -eq 5 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
model=$1 reference=$2 prompts=$3 revision=$4 max_kl=$5
gist=${GIST-gist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git rev-parse --quiet --verify "$revision^{commit}" >/dev/null || exit 66
git show "$revision:./$prompts" >"$work/before" 2>/dev/null || : # a new file
# What was there before becomes an empty line, which is no record: so a line keeps its number.
awk 'FILENAME == ARGV[1] { before[$0]; next } $0 in before { $0 = "" } 1' "$work/before" "$prompts" >"$work/prompts"
status=0
"$gist" compress --model "$model" --input - --output "$work/gists.h5" --check all --check-model "$reference" \
  --max-kl "$max_kl" --keep-going --errors "$work/bad.jsonl" <"$work/prompts" >"$work/receipts" 2>"$work/said" ||
  status=$?
[ ! -e "$work/bad.jsonl" ] ||
  jq --compact-output --arg name "$prompts:" '.reason |= sub("^standard input:"; $name)' "$work/bad.jsonl"
jq --raw-input --raw-output --arg name "gist: $prompts:" 'sub("^gist: standard input:"; $name)' "$work/said" >&2
exit "$status"
