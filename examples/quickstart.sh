#!/bin/sh
# From nothing to gists: builds gist, compresses the instructions of a small data set, answers from the
# stored gists, and compares that with the whole prompt. On a bare Debian 12 machine it installs the
# packages it needs; without root it prints the line that would.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/cmake/debian_packages.sh"
# shellcheck disable=SC2086 # a list of words
need_packages $build_packages jq

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*" | sed "s|$root/||g; s|$work/||g" >&2; "$@"; }

say "Building gist and the llama plugin"
cd "$root"
cmake --preset release -DGIST_TESTS=OFF >/dev/null
cmake --build --preset release
gist=$root/build/release/bin/gist
models=$root/examples/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gunzip -c "$root/examples/data/wordtasks_seen.jsonl.gz" >"$work/seen.jsonl"

say "Compressing 500 instructions, each into one gist token"
run "$gist" compress --model "$models/wordtasks-llama-gist" --input "$work/seen.jsonl" \
  --output "$work/gists.h5" >"$work/receipts.jsonl"
echo "the first receipt:"
head -n 1 "$work/receipts.jsonl"
run "$gist" inspect "$work/gists.h5"

say "Answering from the stored gists"
head -n 3 "$work/receipts.jsonl" | jq -c '{gist: .id, input: "cat, lake, red, axe"}' >"$work/asked.jsonl"
run "$gist" generate --model "$models/wordtasks-llama-gist" --store "$work/gists.h5" \
  --input "$work/asked.jsonl" | jq -r '.completion' >"$work/answers"
head -n 3 "$work/seen.jsonl" | jq -r '.instruction' |
  paste "$work/answers" - | while IFS="$(printf '\t')" read -r answer instruction; do
    printf '%s\n    cat, lake, red, axe -> %s\n' "$instruction" "$answer"
  done

say "The whole prompt (pos), its gist (gist), and no prompt at all (neg), on 500 records"
for condition in pos gist neg; do
  "$gist" evaluate --model "$models/wordtasks-llama-$condition" --data "$work/seen.jsonl" \
    --max-new-tokens 24 --json
done | jq -rs '
  ["condition", "exact match", "loss", "seconds", "bytes kept of a prompt"],
  (.[] | [.condition, "\(.all.exact_match * 1000 | round / 10) %", (.all.loss * 10000 | round / 10000),
          (.all.generation_seconds * 100 | round / 100), (.all.prompt_bytes | round)]) | @tsv' |
  while IFS="$(printf '\t')" read -r a b c d e; do
    printf '%-10s %12s %8s %9s %23s\n' "$a" "$b" "$c" "$d" "$e"
  done
