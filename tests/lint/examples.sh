#!/bin/bash
# Every example job is valid by the schema, and plans, with sources made for it.
# label: quick
cd "$(dirname "$0")/../.." || exit 1
: "${STRATA:=build/strata}"
STRATA=$(readlink -f "$STRATA")
for tool in qemu-img mkfs.ext4 sfdisk python3; do
    PATH=$PATH:/usr/sbin command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/strata-examples.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# The sources: an export, the qcow2 a migration of it made, and room for results.
mkdir -p "$work"/exports/web01 "$work"/{pool,out,made}
python3 tests/lib/vmware_export.py "$work/exports/web01" --size 64M --data 4M || exit 1
qemu-img create -q -f qcow2 "$work/made/web01-0.qcow2" 64M

for job in jobs/examples/*.yaml; do
    head -1 "$job" | grep -qx '# yaml-language-server: $schema=../../schemas/job.schema.json' || {
        echo "$job: the first line does not name the schema"
        failed=1
    }
    pool=$work/pool
    grep -q '^ *disks: \["${pool}' "$job" && pool=$work/made
    if ! "$STRATA" plan "$job" --state "$work/state" --var exports="$work/exports" \
        --var pool="$pool" --var out="$work/out" >"$work/log" 2>&1; then
        echo "$job does not plan:"
        cat "$work/log"
        failed=1
    fi
done
[ $failed = 0 ] || exit 1

python3 -c 'import jsonschema, yaml' 2>/dev/null || {
    echo "skipped: no python3-jsonschema or python3-yaml to validate the examples with"
    exit 77
}
python3 - jobs/examples/*.yaml <<'P'
import json, re, sys, yaml
from jsonschema.validators import validator_for

class Core(yaml.SafeLoader):
    """YAML 1.2, as editors read it: `on` and `yes` are words."""

Core.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:bool"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))

schema = json.load(open("schemas/job.schema.json"))
validator = validator_for(schema)(schema)
bad = 0
for path in sys.argv[1:]:
    for error in validator.iter_errors(yaml.load(open(path), Core)):
        where = "/".join(map(str, error.absolute_path))
        print(f"{path}: at '{where}': {error.message}")
        bad = 1
sys.exit(bad)
P
