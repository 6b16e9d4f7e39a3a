#!/bin/sh
# Compiles the CUDA module for each architecture of the release preset, warnings being errors, and says what
# that took and how large the module is. Continuous integration compiles for one of them only.
# usage: all_architectures.sh [JOBS]
set -eu
cd "$(dirname "$0")/../.."
. cmake/debian_packages.sh
# shellcheck disable=SC2086 # a list of words
need_packages $build_packages

build=build/all_architectures
rm -rf $build # the time is that of a whole build
cmake --preset release -B $build -DGIST_TESTS=OFF -DGIST_CUDA=ON >/dev/null
start=$(date +%s)
cmake --build $build --target gist_cuda -j "${1:-$(nproc)}"
module=$build/lib/gist/gist_cuda.so
echo "$(sed -n 's/^CMAKE_CUDA_ARCHITECTURES:[A-Z]*=//p' $build/CMakeCache.txt): $(($(date +%s) - start)) s," \
  "$(stat -c %s $module) bytes in $module"
