#!/bin/bash
# Nothing unfinished, no paths of a machine.
# label: quick
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 "$(dirname "$0")/lint.py" words
