#!/bin/bash
# Random images made by qemu, converted by strata, judged by qemu: some hundreds of cases.
# label: full
# timeout: 400
for tool in qemu-img qemu-io python3; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
exec python3 "$(dirname "$0")/differential.py" --seconds 150 --cases 600
