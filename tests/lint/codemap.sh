#!/bin/bash
# The code map in docs/ARCHITECTURE.md names every header as it is.
# label: quick
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 "$(dirname "$0")/codemap.py"
