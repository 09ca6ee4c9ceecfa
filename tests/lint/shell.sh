#!/bin/bash
# Shell scripts pass shellcheck.
# label: quick
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; exit 77; }
{ find tests -name '*.sh' -print0; printf 'setup.sh\0.ci/run\0'; } |
    xargs -0 shellcheck --shell=bash --severity=warning
