#!/bin/bash
# Sets up a Debian machine (12 or newer) for strata. As root, or as a user with sudo.
#
#   ./setup.sh demo    install what is needed, build, make a small VMware export, migrate it to KVM
#   ./setup.sh test    install what the tests need too, build, run the tests
#   ./setup.sh build   install what is needed and build: build/strata
#
# Runs as often as you like: only missing packages are installed (without any, no network is
# needed), only changed files are built, and a finished migration is not done again.
set -euo pipefail
cd "$(dirname "$0")"

BUILD_PACKAGES="build-essential cmake pkg-config libyaml-dev libdeflate-dev zlib1g-dev libzstd-dev
    libsqlite3-dev libssl-dev libjansson-dev"
DEMO_PACKAGES="qemu-utils e2fsprogs fdisk python3"
TEST_PACKAGES="libcmocka-dev git xfsprogs gdisk clang clang-format shellcheck python3-yaml
    python3-jsonschema sqlite3 mandoc bash-completion"

JOBS=$(nproc)
LOG=$(mktemp "${TMPDIR:-/tmp}/strata-setup.XXXXXX")
trap 'rm -f "$LOG"' EXIT
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

say() { printf '== %s\n' "$*"; }
fail() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

# quiet WHAT COMMAND...: the command's output is shown only when it fails
quiet() {
    local what=$1
    shift
    if ! "$@" >"$LOG" 2>&1 </dev/null; then
        tail -n 40 "$LOG" >&2
        fail "$what failed: the last lines of '$*' are above"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    else fail "packages are missing ($missing) and neither root nor sudo is at hand to install them"
    fi
}

missing_of() {
    local package
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s ' "$package"
    done
}

install_packages() {
    command -v apt-get >/dev/null || fail "this script knows apt only; install the like of: $*"
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    say "installing $missing"
    quiet "apt-get update" as_root apt-get -q update
    # shellcheck disable=SC2086  # a list of words
    quiet "apt-get install" as_root apt-get -qy -o DPkg::Lock::Timeout=300 \
        --no-install-recommends install $missing
}

# The sanitizer and fuzzer runtimes are a package of clang's own version.
install_clang_runtime() {
    install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

build() {
    local tests=OFF
    pkg-config --exists cmocka && tests=ON
    say "building build/strata"
    quiet "configuring" cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DSTRATA_TESTS=$tests
    quiet "building" cmake --build build -j "$JOBS"
}

demo() {
    local export=build/demo/exports/web01 pool=build/demo/pool
    mkdir -p "$export" "$pool"
    if [ ! -e "$export/web01.vmx" ]; then
        say "making a VMware export in $export"
        quiet "making the export" python3 tests/lib/vmware_export.py "$export"
        # What a demo of an earlier export had begun is not gone on with.
        quiet "abandoning" build/strata abandon jobs/examples/vmware-to-kvm.yaml
    fi
    ls -l "$export"
    say "build/strata plan jobs/examples/vmware-to-kvm.yaml"
    build/strata plan jobs/examples/vmware-to-kvm.yaml
    say "build/strata run jobs/examples/vmware-to-kvm.yaml"
    build/strata run jobs/examples/vmware-to-kvm.yaml
    say "what qemu-img says of the result"
    qemu-img check "$pool/web01-0.qcow2"
    qemu-img compare "$export/web01-000002.vmdk" "$pool/web01-0.qcow2"
    say "done: $pool/web01-0.qcow2 is the disk of $export/web01.vmx"
}

run_tests() {
    say "running the tests"
    # The closing lines are ctest's own.
    ctest --test-dir build -L '^(quick|full)$' -j2 --output-on-failure --no-tests=error </dev/null
}

# shellcheck disable=SC2086  # lists of words
case "${1:-}" in
build)
    install_packages $BUILD_PACKAGES
    build
    ;;
demo)
    install_packages $BUILD_PACKAGES $DEMO_PACKAGES
    build
    demo
    ;;
test)
    install_packages $BUILD_PACKAGES $DEMO_PACKAGES $TEST_PACKAGES
    install_clang_runtime
    build
    run_tests
    ;;
*)
    sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0"
    [ "${1:-}" = --help ] || exit 2
    ;;
esac
