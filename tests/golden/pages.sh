#!/bin/bash
# The manual page, the completion and the reference in docs/ are what the program makes; the page
# passes mandoc's checks, and the completion works in bash.
# label: quick
. "$(dirname "$0")/lib.bash"
failed=0
fresh() {
    "$STRATA" help "$1" >made || { echo "help $1 fails"; failed=1; return; }
    diff -u "$SOURCE_DIR/docs/$2" made || {
        echo "docs/$2 is stale: run 'strata help $1 >docs/$2'"
        failed=1
    }
}
fresh --man strata.1
fresh --bash completion/strata.bash
fresh --reference reference.md

if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$SOURCE_DIR/docs/strata.1" || failed=1
    for command in $("$STRATA" | sed -n '/^Jobs/,/^Options/s/^  \([a-z]*\) .*/\1/p'); do
        grep -q "^\.SS $command\$" "$SOURCE_DIR/docs/strata.1" || {
            echo "strata.1 has no section '$command'"
            failed=1
        }
    done
fi

# WORD... -- WANTED: completing the last word offers the wanted one.
completes() {
    local words=()
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    bash -c '
        source "$1" && shift && wanted=$1 && shift
        compopt() { :; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _strata
        for word in "${COMPREPLY[@]}"; do [ "$word" = "$wanted" ] && exit 0; done
        echo "\"$*\" does not complete to $wanted but to: ${COMPREPLY[*]}"
        exit 1' _ "$SOURCE_DIR/docs/completion/strata.bash" "$2" "${words[@]}" || failed=1
}
completes strata conv -- convert
completes strata --json inf -- info
completes strata convert --no -- --no-sync
completes strata run --js -- --json
completes strata convert -O qc -- qcow2
completes strata convert -O qcow2 -o cluster -- cluster_size=
completes strata run --progress pl -- plain
completes strata formats vm -- vmdk
completes strata stages conv -- convert
completes strata help dig -- digest
exit $failed
