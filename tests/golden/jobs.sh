#!/bin/bash
# The commands of jobs: what plan, run, status, history, log and abandon print.
# label: quick
. "$(dirname "$0")/lib.bash"
need qemu-img python3

# Sources are allocated in full: they are larger on disk than the results everywhere.
mkdir out slow a b
disk a/disk.raw 32M
qemu-img convert -O qcow2 -o preallocation=full a/disk.raw b/base.qcow2
qemu-img convert -O qcow2 -o preallocation=full a/disk.raw b/other.qcow2
(cd b && qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2)
cat >job.yaml <<'Y'
strata: 1
name: pair
machines:
  - name: web01
    disks: [b/top.qcow2]
  - name: db01
    disks: [b/other.qcow2]
    tags: [wave2]
stages:
  - preflight: {guest: no}
  - convert: {format: qcow2, to: "out/${machine}-${disk}.qcow2"}
  - verify
Y

note "before anything was run"
strata status
strata log job.yaml
strata abandon job.yaml

note "plan and run one, then all"
strata plan --machine web01 job.yaml
strata run --machine web01 job.yaml
strata run job.yaml
strata --json run job.yaml
strata plan --tag wave2 job.yaml
strata status
strata status pair
strata history --machine db01 job.yaml
strata log --machine 'web*' pair
strata run --fresh -q --machine db01 --events events.jsonl job.yaml
python3 - >>transcript <<'P'
import json
lines = [json.loads(line) for line in open("events.jsonl")]
for event in lines:
    if event["event"] not in ("progress", "checkpoint"):
        print(event["time"], event["machine"], event["stage"], event["event"])
P

note "a machine that fails does not stop the others"
mv b/base.qcow2 b/away
strata run --fresh job.yaml
strata --json plan --machine web01 job.yaml
strata status
mv b/away b/base.qcow2

note "mistakes"
sed -e 's/preflight:/preflite:/' -e 's/format: qcow2/format: qcow9/' job.yaml >wrong.yaml
strata plan wrong.yaml
strata --json run wrong.yaml
: >empty.yaml
strata run empty.yaml
strata run missing.yaml
strata run --machine nobody job.yaml
strata run --var half job.yaml

note "interrupted, and gone on with"
sed 's,out/,slow/,; s,b/top.qcow2,a/disk.raw,; s/^name: pair/name: slow\npolicy: {disk: 400K}/' \
    job.yaml >slow.yaml
# Starts the slow run and ends it once it is copying.
interrupted() {
    local pid
    rm -f slow.jsonl
    "$STRATA" run "$@" --machine web01 --events slow.jsonl slow.yaml >/dev/null 2>slow.err &
    pid=$!
    for _ in $(seq 100); do
        grep -qs '"progress"' slow.jsonl && break
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid
    note "exit $?"
    masked <slow.err >>transcript
}
interrupted
strata status slow
strata plan --machine web01 slow.yaml
"$STRATA" run --machine web01 slow.yaml >/dev/null 2>&1
note "then exit $?"
qemu-img compare -f raw -F qcow2 a/disk.raw slow/web01-0.qcow2 >/dev/null || note "contents differ"
ls -A slow >>transcript
rm slow/*
interrupted --fresh
strata abandon --machine web01 slow.yaml
strata status slow
ls -A slow >>transcript
# Sizes on disk, times and how far the interrupted run came differ from run to run.
sed -i -E -e 's/[0-9.]+ ([KMGT]iB|bytes)/SIZE/g' -e 's/\b[0-9]+s\b/Ns/g' -e 's/ {2,}/  /g' \
    -e 's/("(before|after|saved|read|written|allocated|need|at_most|free)": )[0-9]+/\1N/' transcript
finish
