#!/bin/bash
# label: full
# Damaged partition tables, one fault each (ptable_make.py): what is left of each is listed, and the
# fault is told; in 5 seconds and 1 GiB of address space at most.
set -u
[ -x "${STRATA:-}" ] || { echo "STRATA does not name the program"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
python3 "$SOURCE_DIR/tests/hostile/ptable_make.py" "$dir" >cases || exit 1

limit=1048576 # KiB
grep -q __asan_init "$STRATA" && limit=unlimited # its shadow memory is larger than that
export TSAN_OPTIONS="${TSAN_OPTIONS:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}:exitcode=99"

bad=0 count=0
while read -r name expected; do
    (ulimit -v $limit && exec timeout -k 1 5 "$STRATA" --json info --layout -f raw "$name.raw") \
        >out 2>err
    status=$?
    count=$((count + 1))
    got=$(python3 -c '
import json
t = json.load(open("out"))["layout"]
print(t["table"] or "none", len(t["partitions"]), "yes" if t["issues"] else "no")' 2>&1)
    [ $status = 0 ] && [ "$got" = "$expected" ] && continue
    bad=$((bad + 1))
    echo "$name: status $status, wanted '$expected', got '$got': $(head -c 300 err)"
done <cases
echo "$count disks, $bad wrong"
[ $bad = 0 ]
