#!/bin/sh
# From nothing to gists: builds gist, compresses the instructions of a small data set, answers from the
# stored gists, and compares that with the whole prompt. On a bare Debian 12 machine it installs the
# packages it needs; without root it prints the line that would.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/cmake/debian_packages.sh"
# shellcheck disable=SC2086 # a list of words
need_packages $build_packages jq

bold='' plain=''
[ ! -t 1 ] || bold=$(printf '\033[1m') plain=$(printf '\033[0m')
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '$ %s\n' "$*" | sed "s|$root/||g; s|$work/||g" >&2; "$@"; }

say "Building gist and its plugins"
cd "$root"
cmake --preset release -DGIST_TESTS=OFF -DGIST_CUDA=OFF >/dev/null
cmake --build --preset release
gist=$root/build/release/bin/gist
models=$root/examples/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gunzip -c "$root/examples/data/wordtasks_seen.jsonl.gz" >"$work/seen.jsonl"

# Compresses all instructions with the family's gist model, and answers three questions from the store.
compress_and_answer() {
  model=$models/wordtasks-$1-gist
  say "$1: compressing 500 instructions, each into one gist token"
  run "$gist" compress --model "$model" --input "$work/seen.jsonl" --output "$work/$1.h5" >"$work/receipts.jsonl"
  echo "the first receipt:"
  head -n 1 "$work/receipts.jsonl"
  run "$gist" inspect "$work/$1.h5"
  jq -r '.status' "$work/receipts.jsonl" | sort | uniq -c |
    while read -r count status; do printf '%s prompts: %s\n' "$count" "$status"; done

  say "$1: answering from the stored gists"
  # Three records with different prompts.
  jq -c 'select(.status == "stored")' "$work/receipts.jsonl" | head -n 3 >"$work/first.jsonl"
  jq -c --slurpfile records "$work/seen.jsonl" '{gist: .id} + ($records[.ordinal] | {input, instruction})' \
    "$work/first.jsonl" >"$work/asked.jsonl"
  run "$gist" generate --model "$model" --store "$work/$1.h5" --input "$work/asked.jsonl" >"$work/answers.jsonl"
  jq -r '"\(.instruction)\n    \(.input) -> \(.completion)"' "$work/answers.jsonl"
}
compress_and_answer llama
compress_and_answer t5

say "The whole prompt (pos), its gist (gist), and no prompt at all (neg), on 500 records"
for system in llama-pos llama-gist llama-neg t5-gist; do
  set -- "$@" --model "$models/wordtasks-$system"
done
run "$gist" evaluate "$@" --data "$work/seen.jsonl" --max-new-tokens 24 >"$work/table"
# Times say something where nothing else runs on the machine, and --cost measures them with more care.
grep -v '^seconds' "$work/table"
