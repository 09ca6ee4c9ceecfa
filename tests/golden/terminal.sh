#!/bin/bash
# Signals, the bar, and standard files that are closed or full.
# label: quick
. "$(dirname "$0")/lib.bash"
need python3
failed=0
is() { # NAME WANTED GOT
    [ "$2" = "$3" ] || { echo "$1: $3, not $2"; failed=1; }
}

seq 1 99999999 | head -c 96M >big.raw
mkdir to
slow=(convert -f raw -O qcow2 -r 20M big.raw to/x.qcow2)
begun() { while [ -z "$(ls -A to)" ] && kill -0 "$1"; do sleep 0.05; done; }

note "a signal stops a conversion, and nothing is left"
for signal in INT:130 TERM:143 HUP:143; do
    "$STRATA" "${slow[@]}" >/dev/null 2>err &
    pid=$!
    begun $pid
    kill -"${signal%:*}" $pid
    wait $pid
    is "status after SIG${signal%:*}" "${signal#*:}" $?
    is "left after SIG${signal%:*}" "" "$(ls -A to)"
    masked <err >>transcript
done

note "comparing, measuring and digesting stop as well"
"$STRATA" -q convert -O raw big.raw to/same.raw
for reading in "compare big.raw to/same.raw" "measure -O qcow2 big.raw" "digest big.raw"; do
    : >err # what the one before said does not count
    # shellcheck disable=SC2086  # a list of words
    "$STRATA" --progress bar $reading -r 4M >out 2>err &
    pid=$!
    until grep -q 'MiB of 96 MiB' err || ! kill -0 $pid; do sleep 0.05; done
    kill -INT $pid
    wait $pid
    is "status of '$reading' after SIGINT" 130 $?
    is "output of '$reading' after SIGINT" "" "$(cat out)"
done
rm to/same.raw

note "killed: a part is left, which the next conversion replaces"
"$STRATA" "${slow[@]}" >/dev/null 2>&1 &
pid=$!
begun $pid
kill -KILL $pid
wait $pid 2>/dev/null
is "left after SIGKILL" ".strata-convert-x.qcow2.part" "$(ls -A to)"
"$STRATA" -q convert -O raw big.raw to/x.qcow2
is "after the next" "x.qcow2" "$(ls -A to)"
cmp big.raw to/x.qcow2 || failed=1

# What a terminal shows: python gives the program one.
terminal() {
    python3 - "$@" <<'P'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    text += piece
os.waitpid(pid, 0)
sys.stdout.buffer.write(text)
P
}
terminal "$STRATA" info big.raw >shown
grep -q '\[' shown && { echo "a quick command showed a bar"; failed=1; }
terminal "$STRATA" convert -O qcow2 -r 60M big.raw to/y.qcow2 >shown
tr '\r' '\n' <shown | grep -Eq '^to/y.qcow2 \[#+\.*\] +[0-9]+%  .*MiB of 96 MiB  .*/s' || {
    echo "a slow command showed no bar"
    failed=1
}
terminal "$STRATA" -q convert -O qcow2 -r 60M big.raw to/y.qcow2 >shown
is "a quiet command shows" "" "$(cat shown)"

note "standard files"
"$STRATA" formats >/dev/full 2>err
is "status on a full device" 5 $?
cat err >>transcript
"$STRATA" formats >&- 2>err
is "status without standard output" 4 $?
cat err >>transcript
"$STRATA" formats 2>err | true
is "status of a closed pipe" 4 "${PIPESTATUS[0]}"
cat err >>transcript
"$STRATA" -q convert -O raw big.raw to/z.raw >&- 2>&-
cmp big.raw to/z.raw || { echo "messages went into the image"; failed=1; }
finish
exit $failed
