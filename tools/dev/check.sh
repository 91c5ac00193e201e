#!/bin/sh
# What `stentor.sh check` runs: everything that judges the text of the program without running it.
# clang-tidy looks at sources that differ from the main branch; with --all at every source, as the
# nightly run does. With --fix, clang-format and clang-tidy repair what they can.
set -eu
cd "$(dirname "$0")/../.."

all=false
fix=false
for argument; do
    case "$argument" in
        --all) all=true ;;
        --fix) fix=true ;;
        *) echo "usage: stentor.sh check [--all] [--fix]" >&2; exit 2 ;;
    esac
done
failed=""
step() { printf '== %s\n' "$1" >&2; }

sources() { git ls-files --cached --others --exclude-standard "$@" | sort -u; }

step "format"
if $fix; then
    sources '*.cpp' '*.hpp' | xargs -r clang-format-14 -i
elif ! sources '*.cpp' '*.hpp' | xargs -r clang-format-14 --dry-run -Werror; then
    failed="$failed format"
fi

step "tree"
cmake --preset dev >/dev/null
python3 tools/dev/check_tree.py --build build/dev || failed="$failed tree"

step "headers that stand alone"
cmake --build build/dev --target all_verify_interface_header_sets || failed="$failed headers"

if command -v shellcheck >/dev/null; then
    step "shell"
    sources '*.sh' .ci/run | xargs -r shellcheck || failed="$failed shell"
fi

step "clang-tidy"
# Configured with clang, whose warnings and flags clang-tidy understands; never built.
cmake --preset tidy >/dev/null
if $all; then
    changed=$(sources '*.cpp')
else
    # A changed header is looked at through the sources beside it that carry its name.
    base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1 2>/dev/null || :)
    changed=$({ [ -z "$base" ] || git diff --name-only --diff-filter=d "$base"
                git ls-files --others --exclude-standard; } |
        sed -n 's/\.hpp$/.cpp/; /\.cpp$/p' | sort -u |
        while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
fi
fix_option=""
if $fix; then fix_option="-fix"; fi
if [ -n "$changed" ]; then
    # The names are regular expressions for run-clang-tidy: anchored, or a.cpp is data.cpp, too.
    # shellcheck disable=SC2086,SC2046
    run-clang-tidy-14 -quiet $fix_option -p build/tidy -j "${STENTOR_JOBS:-$(nproc)}" \
        $(printf "^$PWD/%s\$\n" $changed) || failed="$failed clang-tidy"
fi

if [ -n "$failed" ]; then
    echo "check failed:$failed" >&2
    exit 1
fi
echo "check passed" >&2
