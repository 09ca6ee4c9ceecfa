#!/bin/bash
# Images from other programs: each has the content that its collection's INDEX.tsv says (path,
# format, kind, virtual size, SHA-256 of the guest's bytes or "error"). The collection is looked for
# in STRATA_SAMPLES, else beside the source tree.
# label: full
# timeout: 600
: "${STRATA:=build/strata}" "${SOURCE_DIR:=$(dirname "$0")/../..}"
samples=${STRATA_SAMPLES:-$SOURCE_DIR/../shared/samples}
[ -r "$samples/INDEX.tsv" ] || { echo "skipped: no collection of images (STRATA_SAMPLES)"; exit 77; }
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 - "$STRATA" "$samples" <<'P'
import csv, os, resource, subprocess, sys

strata, samples = sys.argv[1:]
MEMORY = 1 << 30  # address space of one run: hostile tables must not be believed
aliases = {"vpc": "vhd"}
listed = subprocess.run([strata, "formats"], capture_output=True, text=True, check=True).stdout
formats = {line.split()[0] for line in listed.splitlines() if line.strip()}
good, bad, other = 0, [], 0

def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

for row in csv.DictReader(open(os.path.join(samples, "INDEX.tsv")), delimiter="\t",
                          quoting=csv.QUOTE_NONE):
    form = aliases.get(row["format"], row["format"])
    if form not in formats:
        other += 1
        continue
    path, want = os.path.join(samples, row["path"]), row["content_sha256"]
    try:
        done = subprocess.run([strata, "digest", "--flat", "-f", form, path], capture_output=True,
                              text=True, timeout=120, preexec_fn=limits)
    except subprocess.TimeoutExpired:
        bad.append(f"{row['path']}: no end after 120 s")
        continue
    said = done.stdout.split()[0] if done.stdout else ""
    refused = done.returncode == 3 and done.stderr.strip()
    # a damaged image is either read as its best reader reads it, or refused with words
    if want == "error":
        ok = refused
    elif row["kind"] == "malformed":
        ok = refused or (done.returncode == 0 and said == want)
    else:
        ok = done.returncode == 0 and said == want
    if ok:
        good += 1
    else:
        bad.append(f"{row['path']}: exit {done.returncode}, '{said or done.stderr.strip()}', "
                   f"wanted {want}")
print("\n".join(bad))
print(f"{good} passed, {len(bad)} failed, {other} of formats not handled")
sys.exit(bool(bad) or not good)
P
