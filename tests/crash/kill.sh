#!/bin/bash
# A run killed at random moments, again and again, ends with the same bytes as one that was not.
# label: full
# timeout: 600
set -u
: "${STRATA:?}"
command -v qemu-img >/dev/null && command -v qemu-io >/dev/null || { echo "skipped: qemu-img and qemu-io are not installed"; exit 77; }
STRATA=$(readlink -f "$STRATA")
dir=$(mktemp -d "${TMPDIR:-/tmp}/strata-kill.XXXXXX")
pid=
finish() { [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; rm -rf "$dir"; }
trap finish EXIT
cd "$dir" || exit 1
fail() { echo "FAIL: $*"; exit 1; }
seed=${SEED:-$RANDOM}; RANDOM=$seed
echo "seed $seed"

# a chain of two layers with data that compresses, data that does not, and holes
qemu-img create -q -f vmdk base.vmdk 256M
head -c 24M /dev/urandom >noise; yes 'some text that repeats' | head -c 24M >text
qemu-io -f vmdk -c "write -s noise 1M 24M" -c "write -s text 40M 24M" -c "write -s noise 130M 24M" base.vmdk >/dev/null
qemu-img create -q -f vmdk -b base.vmdk -F vmdk top.vmdk
qemu-io -f vmdk -c "write -s text 12M 8M" -c "write -s noise 200M 8M" -c "write -z 44M 4M" top.vmdk >/dev/null
rm noise text

# NAME FORMAT OPTIONS: writes NAME.yaml
job() {
  cat >"$1.yaml" <<Y
strata: 1
name: $1
policy: {disk: 60M}
machines: [{name: m, source: top.vmdk}]
stages: [preflight, {convert: {format: $2, $3 to: "out/\${machine}-\${disk}.img"}}, verify]
Y
}
strata_run() { exec "$STRATA" --state "$dir/state" --progress none -q run "$@" >>log 2>&1; }
run() ( strata_run "$@" )

for case in 'plain|qcow2|' 'zstd|qcow2|compression: zstd,' 'stream|vmdk|subformat: streamOptimized,' \
            'split|vmdk|subformat: twoGbMaxExtentSparse,' 'vhd|vhd|' 'raw|raw|'; do
  IFS='|' read -r name format options <<<"$case"
  job "$name" "$format" "$options"
  rm -rf out state log; mkdir out
  run "$name.yaml" || { tail -3 log; fail "$name: the undisturbed run failed"; }
  want=$(cd out && sha256sum -- * | sort)
  rm -rf out state; mkdir out
  kills=0
  for _ in 1 2 3 4 5 6; do
    strata_run "$name.yaml" & pid=$!
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    kill -9 "$pid" 2>/dev/null && kills=$((kills + 1))
    wait "$pid" 2>/dev/null; pid=
  done
  run "$name.yaml" || { tail -3 log; fail "$name: the run after $kills kills failed"; }
  [ "$(cd out && sha256sum -- * | sort)" = "$want" ] || fail "$name: other bytes after $kills kills"
  left=$(find out -name '.*' -type f)
  [ -z "$left" ] || fail "$name: left behind: $left"
  run "$name.yaml" || fail "$name: the run after the end failed"
  echo "ok: $name after $kills kills"
done
