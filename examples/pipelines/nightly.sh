#!/bin/sh
# Brings a store up to date with a prompt set that grows: only prompts that the store lacks are
# compressed. Readers see the old store or the new one, and nothing in between. Prompts that can't be
# compressed stand in STORE.errors; then it ends with 1. Where another run is at it, it ends with 75.
#
# usage: sh nightly.sh MODEL PROMPTS STORE >RECEIPTS
#
# GIST names the binary, if it is not on the PATH.
set -eu
[ $# -eq 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
model=$1 prompts=$2 store=$3
gist=${GIST-gist}
exec 9>"$store.lock"
flock --nonblock 9 || exit 75

set -- --model "$model" --input "$prompts" --output "$store.new" --force
[ ! -e "$store" ] || set -- "$@" --known "$store"
status=0
"$gist" compress "$@" --keep-going --errors "$store.errors" || status=$?
[ "$status" -le 1 ] || exit "$status"
if [ -e "$store" ]; then
  "$gist" merge --output "$store.merged" --force "$store" "$store.new" >&2
  mv "$store.merged" "$store"
  rm "$store.new"
else
  mv "$store.new" "$store"
fi
exit "$status"
