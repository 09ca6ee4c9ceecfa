#!/bin/bash
# label: full
# timeout: 600
# Damaged VHD images, one fault each (vhd_make.py): every one is read as the sound one or refused
# with the right status and a message; in 5 seconds and 1 GiB of address space at most.
set -u
[ -x "${STRATA:-}" ] || { echo "STRATA does not name the program"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
python3 "$SOURCE_DIR/tests/hostile/vhd_make.py" "$dir" >cases || exit 1

limit=1048576 # KiB
grep -q __asan_init "$STRATA" && limit=unlimited # its shadow memory is larger than that
export TSAN_OPTIONS="${TSAN_OPTIONS:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}:exitcode=99"

bounded() { (ulimit -v $limit && exec timeout -k 1 5 "$STRATA" "$@") >out 2>err; }

bounded digest --flat sound.vhd || { echo "the sound image was refused: $(cat err)"; exit 1; }
sound=$(cut -d' ' -f1 out)
bad=0 count=0
while read -r name expected; do
    bounded digest --flat -f vhd "$name.vhd"
    status=$?
    count=$((count + 1))
    why=
    case $expected in
    same) [ $status = 0 ] && [ "$(cut -d' ' -f1 out)" = "$sound" ] ||
              why="it should read as the sound image" ;;
    *) [ $status = "$expected" ] || why="the status should be $expected" ;;
    esac
    [ $status = 0 ] || [ -s err ] || why="no message"
    if [ -z "$why" ]; then # the structure check comes to an end with an answer too
        bounded check -f vhd "$name.vhd"
        case $? in 0 | 1 | 3 | 9) ;; *) why="check ended with $?" ;; esac
    fi
    [ -z "$why" ] && continue
    bad=$((bad + 1))
    echo "$name: status $status, $why: $(head -c 300 err)"
done <cases
echo "$count images, $bad wrong"
[ $bad = 0 ]
