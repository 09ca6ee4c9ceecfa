#!/bin/bash
# The schema in the tree is what the program generates, is a schema, and explains every key.
# label: quick
cd "$(dirname "$0")/../.." || exit 1
: "${STRATA:=build/strata}"
if ! "$STRATA" schema | diff -u schemas/job.schema.json -; then
    echo "schemas/job.schema.json is stale: run '$STRATA schema >schemas/job.schema.json'"
    exit 1
fi
python3 -c 'import jsonschema' 2>/dev/null || { echo "skipped: no python3-jsonschema"; exit 77; }
python3 - <<'P'
import json, sys
from jsonschema.validators import validator_for

schema = json.load(open("schemas/job.schema.json"))
validator_for(schema).check_schema(schema)
bare = []

def walk(node, path):
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            for key, value in node["properties"].items():
                here = f"{path}.{key}"
                if not (isinstance(value, dict) and value.get("description")):
                    bare.append(here)
        for key, value in node.items():
            walk(value, f"{path}.{key}" if key not in ("properties", "items") else path)
    elif isinstance(node, list):
        for value in node:
            walk(value, path)

walk(schema, "job")
for key in bare:
    print(f"{key} has no description: an editor has nothing to show for it")
sys.exit(bool(bare))
P
