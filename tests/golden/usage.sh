#!/bin/bash
# The overview, and what mistakes on the command line say; every command's help is there, fits the
# terminal and has an example.
# label: quick
. "$(dirname "$0")/lib.bash"
strata
strata --version
strata help convert
strata covnert
strata info
strata info a b
strata info --chian x
strata info --fresh x
strata info -Z x
strata info --snapshot
strata info --layer=yes x
strata compare only-one
strata --progress sometimes info x
strata --json info nothing
strata --json run --events - x.yaml
STRATA_NOW=noon strata info x
strata convert -O qcow2 a b c
finish

failed=0
for command in $("$STRATA" | sed -n '/^Jobs/,/^Options/s/^  \([a-z]*\) .*/\1/p'); do
    "$STRATA" "$command" --help >help || { echo "$command --help fails"; failed=1; }
    grep -q '^Examples$' help || { echo "$command --help has no example"; failed=1; }
    awk -v c="$command" 'length > 80 {print c " --help: too long: " $0; bad = 1} END {exit bad}' \
        help || failed=1
done
"$STRATA" | awk 'length > 80 {print; bad = 1} END {exit bad}' || failed=1
exit $failed
