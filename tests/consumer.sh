#!/bin/sh
# Install the build and build a small program against what was installed, both ways: find_package and pkg-config.
#   usage: consumer.sh SOURCE-OF-TESTS BUILD C-COMPILER
set -eu
source=$1 build=$2 cc=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$build" --prefix "$dir/installed" >"$dir/log" || { cat "$dir/log"; exit 1; }
cp "$source/consumer/main.c" "$source/consumer/CMakeLists.txt" "$dir/"

cmake -S "$dir" -B "$dir/b" -DCMAKE_PREFIX_PATH="$dir/installed" -DCMAKE_C_COMPILER="$cc" >"$dir/log" 2>&1 &&
    cmake --build "$dir/b" >>"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
"$dir/b/consumer"

pc=$(dirname "$(find "$dir/installed" -name qgm.pc)")
export PKG_CONFIG_PATH="$pc"
# shellcheck disable=SC2046  # flags are meant to split
"$cc" "$dir/main.c" -o "$dir/by-pkg-config" $(pkg-config --cflags --libs qgm)
"$dir/by-pkg-config"
"$dir/installed/bin/qgm-train" --version >/dev/null
