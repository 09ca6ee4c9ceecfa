#!/usr/bin/env python3
"""Random images made by qemu, converted by strata, judged by qemu.

    differential.py [--seed N] [--cases N] [--seconds N] [--case N] [--keep]

A case is an image that qemu-img and qemu-io made (random writes, zero writes, discards, compressed
clusters, internal snapshots, backing chains; raw, qcow2, VMDK, VHD) and a conversion by strata to a
random format with random options. It passes when
  - qemu-img compare finds both equal, and qemu-img check finds the result clean,
  - `strata compare` agrees and the tree digest is the same before and after,
  - `strata digest --flat` of the source is the SHA-256 of what qemu-img convert -O raw writes.
Every case follows from the seed and its number: `--seed S --case N` repeats one. A case that fails
prints its command lines.
"""
import argparse
import concurrent.futures
import hashlib
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

STRATA = os.environ.get("STRATA", "build/strata")
MIB = 1 << 20
LIMIT = 120  # seconds for one command


class Failed(Exception):
    pass


class Case:
    def __init__(self, seed, number, base):
        self.random = random.Random(f"{seed}:{number}")
        self.dir = os.path.join(base, str(number))
        self.log = []
        self.count = 0
        os.mkdir(self.dir)

    # -- running

    def run(self, *argv, data=None):
        line = shlex.join(argv)
        if data:
            line += " <<'E'\n" + data + "E"
        self.log.append(line)
        try:
            done = subprocess.run(argv, cwd=self.dir, input=data, capture_output=True, text=True,
                                  timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"no end after {LIMIT} s: {line}") from None
        if done.returncode:
            raise Failed(f"exit {done.returncode}: {line}\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def name(self, suffix):
        self.count += 1
        return f"{self.count}.{suffix}"

    def chance(self, percent):
        return self.random.randrange(100) < percent

    # -- contents

    def place(self, size, unit):
        """A random range in units, more often small than large, sometimes at the very end."""
        units = size // unit
        if not units:
            return 0, size
        length = min(units, self.random.choice([1, 1, 2, 3, 8, 17, self.random.randint(1, units)]))
        start = self.random.randint(0, units - length)
        if self.chance(10):
            start = units - length
        return start * unit, length * unit

    def commands(self, size, cluster):
        """qemu-io commands that change an image of `size` bytes."""
        out = []
        for _ in range(self.random.randint(0, 12)):
            unit = self.random.choice([512, 4096, cluster, cluster])
            at, length = self.place(size, unit)
            length = min(length, 4 * MIB)
            if not length:
                continue
            kind = self.random.randrange(10)
            if kind < 5:
                out.append(f"write -q -P {self.random.randint(1, 255)} {at} {length}")
            elif kind < 7:
                out.append(f"write -q -z {self.random.choice(['', '-u '])}{at} {length}")
            elif kind == 7:
                out.append(f"discard -q {at} {length}")
            else:
                out.append(f"write -q -s noise {at} {length}")
        return out

    def compressed(self, size, cluster):
        """qemu-io writes compressed clusters only where nothing was written before."""
        first = self.random.sample(range(size // cluster), min(size // cluster, 6))
        return [f"write -q -c -P {self.random.randint(0, 255)} {at * cluster} {cluster}"
                for at in first[:self.random.randint(0, 6)]]

    def fill(self, image, form, size, cluster, compress=False):
        commands = self.compressed(size, cluster) if compress else []
        commands += self.commands(size, cluster)
        if commands:
            self.run("qemu-io", "-d", "unmap", "-f", form, image, data="\n".join(commands) + "\n")

    def size(self):
        size = self.random.choice([1, 2, 3, 5, 8, 16, 33, 64]) * MIB
        return size + self.random.choice([0, 0, 0, 512, 4096, 65536 + 512, -512])

    # -- sources

    def qcow2(self, size, backing=None):
        path = self.name("qcow2")
        cluster = 512 << self.random.randrange(13)
        compat = "0.10" if self.chance(15) else "1.1"
        options = [f"cluster_size={cluster}", f"compat={compat}"]
        if compat == "1.1":
            if cluster >= 16384 and self.chance(30):
                options.append("extended_l2=on")
            options.append(f"refcount_bits={1 << self.random.randrange(7)}")
            if self.chance(30):
                options.append("compression_type=zstd")
            if self.chance(10):
                options.append("lazy_refcounts=on")
        if not backing and self.chance(15):
            options.append(f"preallocation={self.random.choice(['metadata', 'falloc', 'full'])}")
        more = ["-b", backing[1], "-F", backing[0]] if backing else []
        # Narrow counters hold neither snapshots nor several compressed clusters in one.
        narrow = "refcount_bits=1" in options or "refcount_bits=2" in options
        plain = narrow or any("preallocation" in o for o in options)
        self.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", ",".join(options), *more, path,
                 str(size))
        self.fill(path, "qcow2", size, cluster, not plain and self.chance(40))
        if self.chance(25) and not narrow:
            self.run("qemu-img", "snapshot", "-c", "first", path)
            self.fill(path, "qcow2", size, cluster)
        return path

    def vmdk(self, size, backing=None, sparse=False):
        path = self.name("vmdk")
        forms = ["monolithicSparse", "twoGbMaxExtentSparse"]
        if not sparse:
            forms += ["monolithicFlat", "twoGbMaxExtentFlat", "streamOptimized"]
        form = self.random.choice(forms)
        options = [f"subformat={form}"]
        if form.endswith("Sparse") and self.chance(40):
            options.append("zeroed_grain=on")
        if form == "streamOptimized":
            raw = self.raw(size)
            self.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options[0], raw, path)
            return path
        if backing:
            # a child of VMware has its parent's size
            self.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", ",".join(options), "-b",
                     backing[1], "-F", "vmdk", path)
        else:
            self.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", ",".join(options), path,
                     str(size))
        self.fill(path, "vmdk", size, 65536)
        return path

    def vpc(self, size, backing=None):
        path = self.name("vhd")
        options = f"subformat={self.random.choice(['dynamic', 'dynamic', 'fixed'])}"
        if self.chance(60):
            options += ",force_size=on"
        self.run("qemu-img", "create", "-q", "-f", "vpc", "-o", options, path, str(size))
        self.fill(path, "vpc", size, 2 * MIB)
        return path

    def raw(self, size, backing=None):
        path = self.name("raw")
        self.run("qemu-img", "create", "-q", "-f", "raw", path, str(size))
        self.fill(path, "raw", size, 65536)
        return path

    def source(self):
        """Returns (format, path) of the top of a chain."""
        size = max(MIB, self.size())
        with open(os.path.join(self.dir, "noise"), "wb") as f:
            f.write(self.random.randbytes(self.random.choice([512, 5000, 100000])))
        form = self.random.choice(["qcow2"] * 5 + ["vmdk"] * 4 + ["vpc", "raw"])
        if form == "qcow2" and self.chance(40):
            below = self.random.choice(["raw", "vmdk", "vpc", "qcow2", "qcow2"])
            top = (below, getattr(self, below)(size))
            for _ in range(self.random.randint(1, 3)):
                if self.chance(25):
                    size = max(MIB, size + self.random.choice([-MIB, -512, 512, 3 * MIB]))
                top = ("qcow2", self.qcow2(size, top))
            return top
        if form == "vmdk" and self.chance(40):
            path = self.vmdk(size, sparse=True)
            for _ in range(self.random.randint(1, 3)):
                path = self.vmdk(size, ("vmdk", path), sparse=True)
            return "vmdk", path
        return form, getattr(self, form)(size)

    # -- targets

    def target(self):
        """Returns (format of strata, format of qemu, options, path)."""
        form = self.random.choice(["qcow2"] * 4 + ["vmdk"] * 3 + ["vhd", "vdi", "raw"])
        options = []
        if form == "qcow2":
            cluster = 512 << self.random.randrange(13)
            options.append(f"cluster_size={cluster}")
            if self.chance(15):
                options.append("compat=0.10")
                if self.chance(40):
                    options.append("compression=zlib")
            else:
                kind = self.random.choice(["none", "none", "zlib", "zstd"])
                if kind != "none":
                    options.append(f"compression={kind}")
                elif self.chance(30):
                    options.append("preallocation="
                                   + self.random.choice(["metadata", "falloc", "full"]))
                if cluster >= 16384 and kind == "none" and self.chance(30):
                    options.append("extended_l2=yes")
                if self.chance(20):
                    options.append(f"refcount_bits={1 << self.random.randrange(7)}")
        elif form == "vmdk":
            options.append("subformat=" + self.random.choice(
                ["monolithicSparse", "streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse",
                 "twoGbMaxExtentFlat"]))
        elif form == "vhd":
            options.append("subformat=" + self.random.choice(["dynamic", "fixed"]))
            if options == ["subformat=dynamic"] and self.chance(20):
                options.append("block_size=512K")
        elif form == "vdi":
            options.append("subformat=" + self.random.choice(["dynamic", "fixed"]))
        peer = "vpc" if form == "vhd" else form
        return form, peer, options, "result." + form

    # -- judging

    def check(self):
        form, source = self.source()
        mine, peer, options, result = self.target()
        probe = ["-f", {"vpc": "vhd"}.get(form, form)] if form == "raw" or self.chance(50) else []
        given = [word for option in options for word in ("-o", option)]
        before = self.run(STRATA, "digest", *probe, source).split()[0]
        self.run(STRATA, "convert", "-q", "--no-sync", *probe, "-O", mine, *given, source, result)
        self.run("qemu-img", "compare", "-f", form, "-F", peer, source, result)
        if peer in ("qcow2", "vmdk", "vdi"):
            # leaks count as well: a fresh image has none
            self.run("qemu-img", "check", "-q", "-f", peer, result)
        if not probe:
            self.run(STRATA, "compare", source, result)
        after = self.run(STRATA, "digest", "-f", mine, result).split()[0]
        if before != after and self.virtual(form, source) == self.virtual(peer, result):
            raise Failed(f"the digest was {before}, is {after}")
        self.run("qemu-img", "convert", "-f", form, "-O", "raw", source, "flat")
        with open(os.path.join(self.dir, "flat"), "rb") as f:
            flat = hashlib.file_digest(f, "sha256").hexdigest() if hasattr(
                hashlib, "file_digest") else hashlib.sha256(f.read()).hexdigest()
        told = self.run(STRATA, "digest", "--flat", *probe, source).split()[0]
        if told != flat:
            raise Failed(f"the flat digest should be {flat}, is {told}")

    def virtual(self, form, path):
        for line in self.run("qemu-img", "info", "-f", form, path).split("\n"):
            if line.startswith("virtual size:"):
                return int(line.split("(")[1].split()[0])
        raise Failed("qemu-img info tells no size")


def one(seed, number, base, keep):
    case = Case(seed, number, base)
    try:
        case.check()
        bad = None
    except Failed as e:
        bad = str(e)
    if not (bad and keep):
        shutil.rmtree(case.dir, ignore_errors=True)
    return number, bad, case.log


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--seed", type=int, default=int(time.time()))
    args.add_argument("--cases", type=int, default=400, help="at most so many")
    args.add_argument("--seconds", type=int, default=150, help="begin no case after that")
    args.add_argument("--case", type=int, help="this one alone")
    args.add_argument("--keep", action="store_true", help="keep the files of cases that fail")
    args = args.parse_args()
    global STRATA
    STRATA = shutil.which(STRATA) or sys.exit(f"there is no {STRATA}")
    STRATA = os.path.abspath(STRATA)

    numbers = [args.case] if args.case is not None else range(args.cases)
    end = time.monotonic() + args.seconds
    base = tempfile.mkdtemp(prefix="strata-differential.")
    workers = len(os.sched_getaffinity(0))
    done = failed = 0
    print(f"seed {args.seed}", flush=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            todo = iter(numbers)
            running = set()
            while True:
                while len(running) < workers and time.monotonic() < end:
                    number = next(todo, None)
                    if number is None:
                        break
                    running.add(pool.submit(one, args.seed, number, base, args.keep))
                if not running:
                    break
                finished, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    number, bad, log = future.result()
                    done += 1
                    if bad:
                        failed += 1
                        print(f"\nFAIL case {number} (repeat: {sys.argv[0]} --seed {args.seed} "
                              f"--case {number} --keep)\n{bad}\nits commands:")
                        print("\n".join("  " + line for line in log), flush=True)
    finally:
        if not args.keep or not failed:
            shutil.rmtree(base, ignore_errors=True)
        else:
            print(f"kept in {base}")
    print(f"{done - failed} passed, {failed} failed")
    sys.exit(1 if failed or not done else 0)


if __name__ == "__main__":
    main()
