#!/bin/sh
# Formatting and static analysis. Needs clang-format and clang-tidy, and a configured build/dev.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.hpp' '*.cpp' | xargs clang-format --dry-run -Werror
[ -f build/dev/compile_commands.json ] || cmake --preset dev >/dev/null
git ls-files 'cli/*.cpp' 'core/*.cpp' 'formats/*.cpp' 'kernels/*.cpp' 'plugins/*.cpp' |
  xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/dev
