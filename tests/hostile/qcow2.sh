#!/bin/bash
# label: full
# timeout: 600
# Damaged qcow2 images, one fault each (qcow2_make.py): every one is read as its sound sibling, read
# as qemu reads it, or refused with the right status and a message; in 5 seconds and 1 GiB of
# address space at most.
set -u
[ -x "${STRATA:-}" ] || { echo "STRATA does not name the program"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
python3 "$SOURCE_DIR/tests/hostile/qcow2_make.py" "$dir" >cases || exit 1

limit=1048576 # KiB
grep -q __asan_init "$STRATA" && limit=unlimited # its shadow memory is larger than that
export TSAN_OPTIONS="${TSAN_OPTIONS:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}:exitcode=99"

flat() { # FILE: prints the digest, returns the status
    (ulimit -v $limit && exec timeout -k 1 5 "$STRATA" digest --flat "$1") >out 2>err
    local status=$?
    cut -d' ' -f1 out
    return $status
}

peer() { # FILE: what qemu reads, nothing where it refuses
    command -v qemu-img >/dev/null || return 1
    timeout 20 qemu-img convert -q -f qcow2 -O raw "$1" raw 2>/dev/null || return 1
    sha256sum <raw | cut -d' ' -f1
}

sound=$(flat sound.qcow2) || { echo "the sound image was refused: $(cat err)"; exit 1; }
bad=0 count=0
while read -r name expected; do
    got=$(flat "$name.qcow2")
    status=$?
    count=$((count + 1))
    why=
    case $expected in
    same) [ $status = 0 ] && [ "$got" = "$sound" ] || why="it should read as the sound image" ;;
    peer) if [ $status = 0 ]; then
              want=$(peer "$name.qcow2")
              [ "$got" = "$want" ] || why="it reads differently from what qemu reads (${want:-refused})"
          else
              [ $status = 3 ] || why="it should be refused with status 3"
          fi ;;
    *) [ $status = "$expected" ] || why="the status should be $expected" ;;
    esac
    [ $status = 0 ] || [ -s err ] || why="no message"
    [ -z "$why" ] && continue
    bad=$((bad + 1))
    echo "$name: status $status, $why: $(head -c 300 err)"
done <cases
echo "$count images, $bad wrong"
[ $bad = 0 ]
