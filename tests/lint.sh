#!/bin/sh
# Formatting and static analysis. Needs clang-format and clang-tidy.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.hpp' '*.cpp' '*.cu' | xargs clang-format --dry-run -Werror
cmake --preset dev -DGIST_TESTS=OFF >/dev/null
# clang-tidy doesn't know two of g++'s flags.
mkdir -p build/lint
sed 's/ -fno-gnu-unique//; s/ -Wno-restrict//' build/dev/compile_commands.json \
  >build/lint/compile_commands.json
git ls-files 'cli/*.cpp' 'core/*.cpp' 'formats/*.cpp' 'gist/*.cpp' 'kernels/*.cpp' 'plugins/*.cpp' |
  xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/lint
