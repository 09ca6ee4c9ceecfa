#!/bin/bash
# Each library's headers are used in one folder.
# label: quick
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 "$(dirname "$0")/lint.py" confined
