#!/bin/bash
# Folders include only headers of the layers they may use.
# label: quick
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 "$(dirname "$0")/lint.py" layers
