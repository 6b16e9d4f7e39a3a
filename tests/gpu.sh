#!/bin/sh
# On a machine with an NVIDIA GPU and the CUDA toolkit: builds the CUDA module for it, runs the tests of
# operations on the device, the same under compute-sanitizer, and prints a table of what passed.
set -eu
cd "$(dirname "$0")/.."
. cmake/debian_packages.sh
# shellcheck disable=SC2086 # a list of words
need_packages $build_packages libgtest-dev libgmock-dev libboost-context-dev ccache
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader ||
  { echo "no NVIDIA GPU: nvidia-smi failed" >&2; exit 69; }

build=build/gpu
cmake --preset release -B $build -DGIST_TESTS=ON -DGIST_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native \
  -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache >/dev/null
cmake --build $build --target cuda_operation_test cuda_model_test

table=$(mktemp)
trap 'rm -f "$table"' EXIT
failed=0
check() { # NAME COMMAND...
  name=$1
  shift
  start=$(date +%s)
  if "$@" >"$build/$name.log" 2>&1; then result=passed; else result="FAILED ($build/$name.log)" failed=1; fi
  echo "$name | $(($(date +%s) - start)) s | $result" | tee -a "$table"
}
check operations $build/tests/cuda/cuda_operation_test
check models $build/tests/cuda/cuda_model_test
for tool in memcheck racecheck synccheck initcheck; do
  check $tool compute-sanitizer --tool $tool --error-exitcode 1 $build/tests/cuda/cuda_operation_test \
    --gtest_filter='-*Many*:*Chunks*'
done
echo
cat "$table"
exit $failed
