#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the load generator and the reference, installs npm's ws beside them, runs the scenarios.
#   bench/run.sh [fanout] [echo] [idle] [reload] [--quick] [--help ...]
# BENCH_BUILD: where to build (build/bench). HARK_BIN: the gateway to measure.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=${BENCH_BUILD:-$here/../build/bench}
peers=$build/peers

mkdir -p "$peers"
{ cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo && cmake --build "$build" -j2; } \
  >"$build/build.log" 2>&1 || { cat "$build/build.log" >&2; exit 1; }

if [ ! -d "$peers/node_modules/ws" ] && command -v npm >/dev/null; then
  cp "$here/peers/package.json" "$peers/"
  (cd "$peers" && npm install --ignore-scripts --no-audit --no-fund --silent) ||
    echo "npm could not install ws: its figures will be skipped" >&2
fi

exec python3 "$here/run.py" --build "$build" --peers "$peers" "$@"
