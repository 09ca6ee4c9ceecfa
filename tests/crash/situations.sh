#!/bin/bash
# What `run` does in each situation that a job can meet between two attempts: the status it ends
# with, what it says, and what it leaves on the disk.
# label: quick
# timeout: 300
set -u
export TZ=UTC
: "${STRATA:?}"
command -v qemu-img >/dev/null && command -v qemu-io >/dev/null || { echo "skipped: qemu-img and qemu-io are not installed"; exit 77; }
STRATA=$(readlink -f "$STRATA")
dir=$(mktemp -d "${TMPDIR:-/tmp}/strata-situations.XXXXXX")
mounted=
finish() { [ -n "$mounted" ] && umount "$mounted" 2>/dev/null; rm -rf "$dir"; }
trap finish EXIT
cd "$dir" || exit 1
failed=0
bad() { echo "FAIL: $*"; tail -3 said | sed 's/^/    /'; failed=1; }
run() { "$STRATA" --state "$dir/state" --progress none run "$@" >said 2>&1; }
# expect STATUS WHAT PATTERN COMMAND...: the status, and the pattern in what was said
expect() {
  local want=$1 what=$2 pattern=$3; shift 3
  "$@"; local rc=$?
  if [ "$rc" != "$want" ]; then bad "$what: status $rc, wanted $want"
  elif [ -n "$pattern" ] && ! grep -Eq -- "$pattern" said; then bad "$what: nothing like '$pattern' was said"
  else echo "ok: $what"; fi
}
empty() { [ -z "$(ls -A "$1" 2>/dev/null)" ] || bad "$2: left $(ls -A "$1")"; }

disk() { # FILE: 64 MiB with 20 MiB of data
  qemu-img create -q -f qcow2 "$1" 64M
  head -c 20M /dev/urandom >noise && qemu-io -f qcow2 -c "write -s noise 1M 20M" "$1" >/dev/null && rm noise
}
# job NAME SOURCE 'STAGES' ['MORE']
job() { printf 'strata: 1\nname: %s\n%s\nmachines: [{name: m, source: %s}]\nstages: %s\n' "$1" "${4:-}" "$2" "$3" >"$1.yaml"; }
# starts a run and kills it once it has committed something
interrupt() {
  "$STRATA" --state "$dir/state" --progress none --events events run "$1" >said 2>&1 & local pid=$!
  for _ in $(seq 200); do grep -q '"checkpoint"' events 2>/dev/null && break; kill -0 $pid 2>/dev/null || break; sleep 0.05; done
  kill "-${2:-9}" $pid 2>/dev/null; wait $pid 2>/dev/null; local rc=$?; rm -f events; return $rc
}
# waits for the part of a run in a folder
begun() { until [ -n "$(find "$1" -name '.strata-*')" ] || ! kill -0 "$2" 2>/dev/null; do sleep 0.05; done; }
reset() { rm -rf out state; mkdir out; }
convert='{convert: {format: raw, to: out/a.raw}}'
slow='policy: {disk: 2M}' # ten seconds: nothing here is done before it is told to stop

disk a.qcow2
# finished runs
reset; job a a.qcow2 "[preflight, $convert, verify]"
expect 0 "a run" '' run a.yaml
expect 0 "a finished run is not done again" unchanged run a.yaml
rm out/a.raw
expect 0 "an output that is gone is written again" '' run a.yaml; [ -s out/a.raw ] || bad "no output"
echo x >>out/a.raw
expect 6 "an output that somebody changed is not replaced" 'exists' run a.yaml
job a a.qcow2 "[preflight, {convert: {format: raw, to: out/a.raw, exists: overwrite}}, verify]"
expect 0 "unless the job says so" '' run a.yaml
touch a.qcow2
expect 0 "a source that changed after the end starts a new run" 'done' run a.yaml
expect 0 "whose own output may be replaced without a word" '' run a.yaml

# options
job a a.qcow2 "[preflight, {convert: {format: qcow2, to: out/a.raw, exists: overwrite}}, verify]"
expect 0 "other options write again" '' run a.yaml; qemu-img info out/a.raw | grep -q qcow2 || bad "still raw"
job a a.qcow2 "[preflight, {convert: {format: qcow2, to: out/a.raw, exists: overwrite}}, verify, {command: {run: [sh, -c, 'echo \$STRATA_OUTPUTS \$STRATA_ATTEMPT >ran']}}]"
inode=$(stat -c %i out/a.raw)
expect 0 "a stage added at the end" '' run a.yaml
[ "$inode" = "$(stat -c %i out/a.raw)" ] || bad "the copy was thrown away"
[ "$(cat ran)" = "$dir/out/a.raw 1" ] || bad "the command got: $(cat ran)"

# interruptions
reset; job b a.qcow2 "[$convert, verify]" "$slow"
interrupt b.yaml INT; [ $? = 130 ] || bad "status of SIGINT"; grep -q "run" said || bad "SIGINT does not say how to go on"
interrupt b.yaml TERM; [ $? = 143 ] || bad "status of SIGTERM"
interrupt b.yaml; sed -i 's/disk: 2M/disk: 800M/' b.yaml
"$STRATA" --state state plan b.yaml >said 2>&1; grep -q "goes on at" said || bad "the plan does not say where it goes on"
expect 0 "goes on after SIGINT, SIGTERM and SIGKILL" '' run b.yaml
qemu-img compare -q a.qcow2 out/a.raw || bad "other contents"
[ "$(ls -A out)" = a.raw ] || bad "left behind: $(ls -A out)"

# the date is that of the start, and a clock that was set back does no harm
reset; job p a.qcow2 '[preflight, {convert: {format: raw, to: "out/${date}.raw"}}, verify]' "$slow"
STRATA_NOW=1700000000 interrupt p.yaml; sed -i 's/disk: 2M/disk: 800M/' p.yaml
export STRATA_NOW=1600000000
expect 0 "a clock that was set back" '' run p.yaml
unset STRATA_NOW
[ "$(ls -A out)" = 2023-11-14.raw ] || bad "other names: $(ls -A out)"
expect 0 "an unchanged run of another day" unchanged run p.yaml

# and so is the environment, for the machine's texts
reset; job q a.qcow2 '[preflight, {convert: {format: raw, to: "out/${env:WAVE}.raw"}}, verify]' "$slow"
WAVE=one interrupt q.yaml; sed -i 's/disk: 2M/disk: 800M/' q.yaml
WAVE=two "$STRATA" --state state plan q.yaml >said 2>&1
grep -q "goes on at" said || bad "the plan begins again"; grep -q "out/one.raw" said || bad "the plan renames the target"
expect 0 "an environment that changed while interrupted" '' run q.yaml
[ "$(ls -A out)" = one.raw ] || bad "other names: $(ls -A out)"
WAVE=two expect 0 "a new run takes the present environment" '' run q.yaml
[ "$(ls -A out | tr '\n' ' ')" = "one.raw two.raw " ] || bad "the new run wrote: $(ls -A out)"

# a source that changes
reset; job c a.qcow2 "[$convert, verify]" "$slow"
interrupt c.yaml; qemu-io -f qcow2 -c 'write -P 7 0 64k' a.qcow2 >/dev/null
expect 11 "a source that changed since the interruption" 'a\.qcow2.*changed' run c.yaml
sed -i 's/disk: 2M/source_changed: restart/' c.yaml
expect 0 "source_changed: restart" '' run c.yaml
qemu-img compare -q a.qcow2 out/a.raw || bad "other contents after restart"
reset; job c a.qcow2 "[$convert, {command: {run: [sh, -c, 'touch a.qcow2']}}, verify]"
expect 11 "a source that changes before publication" 'nothing was published' run c.yaml
[ -e out/a.raw ] && bad "published all the same"

# options changed while interrupted: the part is dropped
reset; job d a.qcow2 "[$convert]" "$slow"
interrupt d.yaml; job d a.qcow2 '[{convert: {format: vhd, to: out/d.vhd}}]'
expect 0 "options changed since the interruption" '' run d.yaml
[ "$(ls -A out)" = d.vhd ] || bad "left behind: $(ls -A out)"

# abandon
reset; job e a.qcow2 "[$convert]" "$slow"
interrupt e.yaml; [ -n "$(ls -A out)" ] || bad "no part to abandon"
"$STRATA" --state state abandon e.yaml >said 2>&1 || bad "abandon"
empty out abandon

# the state
reset; job f a.qcow2 "[$convert]" "$slow"
interrupt f.yaml; printf 'garbage garbage garbage' >state/f/m.db
expect 4 "a damaged state" 'm\.db.*damaged' run f.yaml
sed -i 's/disk: 2M/disk: 800M/' f.yaml
expect 0 "--fresh gets past it" '' run --fresh f.yaml
[ "$(ls -A out)" = a.raw ] || bad "left behind: $(ls -A out)"
reset; job g a.qcow2 "[$convert]" "$slow"
"$STRATA" --state state --progress none run g.yaml >/dev/null 2>&1 & pid=$!
begun out $pid
expect 7 "two runs at once" "process $pid" run g.yaml
kill -9 $pid; wait $pid 2>/dev/null

# mistakes and refusals, nothing written
reset
job h a.qcow2 '[verify]'; expect 2 "verify before anything was written" 'h\.yaml:[0-9]+:' run h.yaml
job h a.qcow2 '[{convert: {format: qcow2, to: a.qcow2}}]'; expect 6 "the target is the source" 'a\.qcow2' run h.yaml
job h a.qcow2 '[{convert: {format: qcow2, to: a.qcow2, exists: overwrite}}]'; expect 6 "even with overwrite" 'source' run h.yaml
job h a.qcow2 '[convert]'; expect 6 "the default target of the same format" 'a\.qcow2' run h.yaml
job h none.qcow2 "[$convert]"; expect 4 "a missing source" 'none\.qcow2' run h.yaml
job h . "[$convert]"; run h.yaml && bad "a folder as source"
: >zero.img; job h zero.img "[$convert]"; expect 3 "a source without a byte" 'zero\.img' run h.yaml
job h a.qcow2 '[{convert: {format: raw, to: nowhere/a.raw}}]'; expect 4 "a folder that is missing" nowhere run h.yaml
printf 'strata: 1\nname: h\nmachines: [{name: m, disks: [a.qcow2, a.qcow2]}]\nstages: [%s]\n' "$convert" >h.yaml
expect 2 "two disks with one target" 'a\.raw' run h.yaml
printf 'strata: 1\nname: h\nmachines: [{name: m, source: a.qcow2}, {name: n, source: a.qcow2}]\nstages: [%s]\n' "$convert" >h.yaml
expect 2 "two machines with one target" 'a\.raw' run h.yaml
empty out "the refusals"

# commands
job i a.qcow2 "[{convert: {format: raw, to: nowhere/x}}, {command: {run: [touch, failed], on: failure}}, {command: {run: [touch, always], on: always}}, {command: {run: [touch, succeeded]}}]"
run i.yaml && bad "no failure"
[ -e succeeded ] && bad "a command for success ran after a failure"
job i a.qcow2 '[{command: {run: ["false"]}}, {command: {run: [touch, failed], on: failure}}, {command: {run: [touch, always], on: always}}, {command: {run: [touch, succeeded]}}]'
expect 6 "a command that fails" 'false' run i.yaml
{ [ -e failed ] && [ -e always ] && [ ! -e succeeded ]; } || bad "commands after a failure: $(ls)"
job i a.qcow2 '[{command: {run: [sleep, "30"], timeout: 1s}}]'; expect 6 "a command that takes too long" 'timeout' run --fresh i.yaml

# contents that change between writing and verifying
reset; job v a.qcow2 "[$convert, {command: {run: [sh, -c, 'printf X | dd of=\$STRATA_OUTPUTS bs=1 seek=5242885 conv=notrunc status=none']}}, verify]"
expect 1 "a verify that finds a difference" 'offset 5242880 ' run v.yaml
[ -e out/a.raw ] && bad "published all the same"
job v a.qcow2 "[$convert, {verify: {against: $(printf '0%.0s' {1..64})}}]"
expect 1 "a verify against another digest" 'digest' run --fresh v.yaml

# side by side, and one after the other
reset; disk b.qcow2
printf 'strata: 1\nname: j\npolicy: {parallel: 2}\nmachines: [{name: m, source: a.qcow2}, {name: bad, source: none}, {name: n, source: b.qcow2}]\nstages: [{convert: {format: raw, to: "out/${machine}"}}, verify]\n' >j.yaml
expect 4 "one of three machines fails" 'none' run j.yaml
for m in m:a n:b; do qemu-img compare -q "${m#*:}.qcow2" "out/${m%:*}" || bad "side by side: $m"; done

# several files, external and internal snapshots
reset; job k a.qcow2 '[{convert: {format: vmdk, subformat: twoGbMaxExtentSparse, to: out/k.vmdk}}, verify]'
expect 0 "several files" '' run k.yaml; qemu-img compare -q a.qcow2 out/k.vmdk || bad "several files differ"
qemu-img snapshot -c before b.qcow2; qemu-img convert -O raw b.qcow2 before.raw; qemu-io -f qcow2 -c 'write -P 9 2M 1M' b.qcow2 >/dev/null
job l b.qcow2 '[{consolidate: {at: before}}, {convert: {format: raw, to: out/l.raw}}, verify]'
expect 0 "an internal snapshot" '' run l.yaml; cmp -s before.raw out/l.raw || bad "not the snapshot"
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 top.qcow2; qemu-io -c 'write -P 3 3M 1M' top.qcow2 >/dev/null
job l top.qcow2 '[{consolidate: {at: a}}, {convert: {format: raw, to: out/a.raw}}, verify]'
expect 0 "an image of the chain" '' run l.yaml; qemu-img compare -q a.qcow2 out/a.raw || bad "not the parent"

# past the page cache, interrupted too
reset; job s a.qcow2 "[$convert, verify]" 'policy: {disk: 2M, direct: yes}'
interrupt s.yaml; sed -i 's/disk: 2M/disk: 800M/' s.yaml
expect 0 "direct: yes" '' run s.yaml
qemu-img compare -q a.qcow2 out/a.raw || bad "direct: other contents"
sync a.qcow2; dd if=a.qcow2 of=/dev/null iflag=nocache count=0 status=none
expect 0 "direct: yes, once more" '' run --fresh s.yaml
if command -v fincore >/dev/null && dd if=/dev/zero of=out/try bs=4096 count=1 oflag=direct status=none 2>/dev/null; then
  for file in a.qcow2 out/a.raw; do
    cached=$(fincore -b -n -o RES "$file")
    [ "$cached" -lt 2000000 ] || bad "direct: $cached bytes of $file are in the page cache"
  done
else
  echo "not tried without direct I/O: that the page cache is left alone"
fi

# a full disk in the middle
mkdir small
if mount -t tmpfs -o size=40m none small 2>/dev/null; then
  mounted=$dir/small
  mount -o remount,ro small
  job o a.qcow2 '[{convert: {format: raw, to: small/o.raw}}]'
  expect 4 "a read-only filesystem" "cannot write to '.*small'.*read-only" run o.yaml
  grep -q "convert" said && bad "the stage began"
  mount -o remount,rw small
  job n a.qcow2 '[{convert: {format: raw, to: small/n.raw}}, verify]' 'policy: {disk: 5M}'
  "$STRATA" --state state --progress none run n.yaml >said 2>&1 & pid=$!
  begun small $pid; head -c 30M /dev/zero >small/other 2>/dev/null; wait $pid
  [ $? = 5 ] || bad "status of a disk that fills up"; grep -q "run the same command again" said || bad "a full disk does not say how to go on"
  rm small/other; sed -i 's/disk: 5M/disk: 800M/' n.yaml
  expect 0 "goes on after the disk was full" '' run n.yaml; qemu-img compare -q a.qcow2 small/n.raw || bad "full disk: other contents"
else
  echo "not tried without the right to mount: a full disk"
fi

# a device that is larger than what is written to it
truncate -s 80M device.img
if device=$(losetup -f --show device.img 2>/dev/null); then
  job r a.qcow2 "[{convert: {format: vhd, subformat: fixed, to: $device, exists: overwrite}}]"
  "$STRATA" --state state plan r.yaml >said 2>&1 || bad "the plan for a device"
  grep -q "target.device-larger" said || bad "no warning of a device that is larger than a fixed VHD"
  job r a.qcow2 "[{convert: {format: qcow2, to: $device, exists: overwrite}}]"
  "$STRATA" --state state plan r.yaml >said 2>&1 || bad "the plan for a device"
  grep -q "target.device-larger" said && bad "a warning where the start is enough"
  losetup -d "$device"
else
  echo "not tried without the right to make a loop device: a device that is larger"
fi

# a folder that another user may not write
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  mkdir theirs mine && chmod 755 . theirs && chmod 777 mine && cp "$STRATA" program && chmod 755 program && chmod 644 a.qcow2
  job u a.qcow2 '[{convert: {format: raw, to: theirs/u.raw}}]'
  theirs() { setpriv --reuid 65534 --regid 65534 --clear-groups ./program --state mine run u.yaml >said 2>&1; }
  expect 4 "a folder without permission" "cannot write to '.*theirs'.*as a user" theirs
else
  echo "not tried without root and setpriv: a folder without permission"
fi
exit $failed
