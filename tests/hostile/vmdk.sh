#!/bin/bash
# label: full
# timeout: 600
#
# Hostile VMDKs: each header field wrong in turn, tables and markers that point anywhere, bombs, and
# descriptors that name files outside. Every one must end with a clear refusal, soon, in little
# memory. The cases are in vmdk_cases.py.
set -u
here=$(cd "$(dirname "$0")" && pwd)
strata=${STRATA:-$here/../../build/strata}

if ! command -v python3 >/dev/null; then
    echo "skipped: python3 is not installed"
    exit 77
fi
if [ ! -x "$strata" ]; then
    echo "skipped: '$strata' was not built"
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/strata-hostile.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
python3 "$here/vmdk_cases.py" "$strata" "$work"
