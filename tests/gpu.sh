#!/bin/sh
# On a machine with an NVIDIA GPU and the CUDA toolkit: builds the CUDA module for it, runs the tests of
# operations and models on the device (in f32 and bf16), those of operations under compute-sanitizer, gist
# itself and the benchmarks, and prints a table of what came of it. Nothing else should use the device.
set -eu
cd "$(dirname "$0")/.."
. cmake/debian_packages.sh
# shellcheck disable=SC2086 # a list of words
need_packages $build_packages libgtest-dev libgmock-dev libbenchmark-dev libboost-context-dev ccache python3
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader ||
  { echo "no NVIDIA GPU: nvidia-smi failed" >&2; exit 69; }

build=build/gpu
cmake --preset release -B $build -DGIST_TESTS=ON -DGIST_BENCHMARKS=ON -DGIST_CUDA=ON \
  -DCMAKE_CUDA_ARCHITECTURES=native \
  -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache >/dev/null
cmake --build $build --target gist gist_cuda llama t5 cuda_operation_test cuda_model_test kernels_cuda_benchmark

table=$(mktemp)
trap 'rm -f "$table"' EXIT
failed=0
check() { # NAME COMMAND...
  name=$1
  log=$build/$(echo "$name" | tr ' ' _).log
  shift
  start=$(date +%s)
  if "$@" >"$log" 2>&1; then result=passed; else result="FAILED ($log)" failed=1; fi
  # How many tests, or how many answers are right.
  found=$(sed -n 's/^\[  \([A-Z]*\) *\] \([0-9]* tests\?\).*/, \2 \L\1/p; s/^exact match.*/, &/p' "$log" |
    tr -d '\n' | tr -s ' ')
  echo "$name | $(($(date +%s) - start)) s | $result$found" | tee -a "$table"
}
check operations $build/tests/cuda/cuda_operation_test
check models $build/tests/cuda/cuda_model_test
for dtype in f32 bf16; do
  for family in llama t5; do
    check "gist evaluate $family $dtype" $build/bin/gist evaluate --device cuda:0 --dtype $dtype \
      --model examples/models/wordtasks-$family-gist --data examples/data/wordtasks_seen.jsonl.gz --max-new-tokens 24
  done
done
for tool in memcheck racecheck synccheck initcheck; do
  check $tool compute-sanitizer --tool $tool --error-exitcode 1 $build/tests/cuda/cuda_operation_test \
    --gtest_filter='-*Many*:*Chunks*'
done
check benchmarks $build/bin/kernels_cuda_benchmark
# Name, time, CPU time, iterations and counters, at least two spaces apart from each other.
awk -F '   *' '/\/real_time/ {
  sub("/real_time", "", $1); sub("^[0-9]+ ", "", $4); gsub("/s( |$)", " ", $4); sub(" $", "", $4)
  print $1 " | " $2 " | " $4
}' $build/benchmarks.log >>"$table"
echo
cat "$table"
exit $failed
