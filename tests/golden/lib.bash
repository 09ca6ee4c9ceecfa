# Shared by the golden tests: a transcript of commands is compared with the text kept beside the
# script. STRATA_GOLDEN=write writes it anew, to be read through before it is committed.
set -u
: "${STRATA:=build/strata}" "${SOURCE_DIR:=$(cd "$(dirname "$0")/../.." && pwd)}"
STRATA=$(readlink -f "$STRATA")
[ -x "$STRATA" ] || { echo "there is no program: set STRATA, or build build/strata"; exit 1; }
expected=$SOURCE_DIR/tests/golden/$(basename "$0" .sh).expected
work=$(mktemp -d "${TMPDIR:-/tmp}/strata-golden.XXXXXX")
work=$(readlink -f "$work")
trap '[ $BASHPID != $$ ] || rm -rf "$work"' EXIT # not by a child that a signal ends early
cd "$work" || exit 1
export XDG_STATE_HOME=$work/state STRATA_NOW=1767225600 SOURCE_DATE_EPOCH=1767225600 LC_ALL=C.UTF-8

need() {
    for tool; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
    done
}

# What depends on the machine and the moment: the folder, space on disk, times.
masked() {
    sed -E -e "s,$work,DIR,g" -e 's/[0-9.]+ ([KMGT]iB|bytes)( \([0-9]+ bytes\))? on disk/N on disk/g' \
        -e 's/^(on disk +).*/\1N/' -e 's/("allocated": )[0-9]+/\1N/' \
        -e 's/("seconds": )[0-9.]+/\1N/' -e 's/, [0-9]+s$/, Ns/'
}

# Runs strata and writes down the command, what it printed on either side, and its status.
strata() {
    local status
    {
        printf '$ strata'
        printf ' %q' "$@"
        echo
        "$STRATA" "$@" >stdout 2>stderr
        status=$?
        cat stdout
        sed 's/^/! /' stderr
        [ $status = 0 ] || echo "= $status"
        echo
    } | masked >>transcript
    rm -f stdout stderr
}

# A remark in the transcript.
note() {
    printf '# %s\n' "$*" >>transcript
}

finish() {
    if [ "${STRATA_GOLDEN:-}" = write ]; then
        cp transcript "$expected"
    else
        diff -u "$expected" transcript || { echo "the transcript differs from $expected"; exit 1; }
    fi
}

# FILE SIZE: text in three places of a sparse disk, the same each time.
disk() {
    truncate -s "$2" "$1"
    seq 1 40000 | dd of="$1" bs=64K seek=0 conv=notrunc status=none
    seq 5 30000 | dd of="$1" bs=64K seek=100 conv=notrunc status=none
    seq 9 20000 | dd of="$1" bs=64K seek=200 conv=notrunc status=none
}
