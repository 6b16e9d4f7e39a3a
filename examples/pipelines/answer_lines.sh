#!/bin/sh
# Answers lines of text under one stored prompt: each line of standard input is an input, and comes
# out with a tab and its answer behind it (in both, a tab or line end is written \t or \n). Needs jq.
#
# usage: sh answer_lines.sh MODEL STORE PROMPT_ID <LINES >ANSWERS.tsv
#
# GIST names the binary, if it is not on the PATH.
set -eu
[ $# -eq 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
model=$1 store=$2 prompt_id=$3
gist=${GIST-gist}
answers=$(mktemp) # a pipe would hide it from sh if gist failed
trap 'rm -f "$answers"' EXIT

jq --raw-input --compact-output --arg id "$prompt_id" '{gist: $id, input: .}' |
  "$gist" generate --model "$model" --store "$store" >"$answers"
jq --raw-output '[.input, .completion] | @tsv' "$answers"
