#!/usr/bin/env bash
# C is as clang-format 14 writes it; Lua and JavaScript have no tabs and no trailing blanks.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
mapfile -t sources < <(git ls-files 'core/*.[ch]' 'bench/*.[ch]' 'spec/*.[ch]')
clang-format --dry-run -Werror "${sources[@]}" || bad=1
if git grep -nIP '\t| +$' -- '*.lua' '*.mjs' '*.js' '*.css' '*.html' ':!*.md'; then bad=1; fi
exit $bad
