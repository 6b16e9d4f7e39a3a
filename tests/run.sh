#!/bin/sh
# Builds gist and runs its tests. --full adds what continuous integration runs, too: all tests under the
# address and undefined-behaviour sanitizers, a look at the HTML reports in Chromium, and a check that h5py
# reads the stores.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/cmake/debian_packages.sh"

full=no
case "${1-}" in
  --full) full=yes ;;
  "") ;;
  *) echo "usage: sh tests/run.sh [--full]" >&2; exit 64 ;;
esac

# shellcheck disable=SC2086 # a list of words
need_packages $build_packages libgtest-dev libgmock-dev libboost-context-dev binutils python3 ccache jq parallel \
  shellcheck zstd
[ $full = no ] || need_packages python3-venv chromium

# What is compiled in one clone needn't be compiled in another.
export CCACHE_BASEDIR="${CCACHE_BASEDIR-$root}" CCACHE_NOHASHDIR=1

build_and_test() {
  cd "$root"
  cmake --no-warn-unused-cli --preset "$1" -DGIST_TESTS=ON -DCMAKE_CUDA_ARCHITECTURES=90 \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache >/dev/null
  cmake --build --preset "$1"
  ctest --preset "$1" -j "$(nproc)"
}

build_and_test release
if [ $full = yes ]; then
  build_and_test asan
  sh "$root/tests/interop/h5py.sh" "$root/build/release/bin/gist"
fi
