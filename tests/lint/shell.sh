#!/bin/bash
# Shell scripts pass shellcheck.
# label: quick
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; exit 77; }
{ find tests -name '*.sh' -print0; printf '%s\0' setup.sh .ci/run tests/fuzz/run; } |
    xargs -0 shellcheck --shell=bash --severity=warning
