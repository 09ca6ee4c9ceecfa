#!/usr/bin/env python3
"""Makes what an export from VMware looks like: a .vmx and a VMDK snapshot chain of three links.

The disk has an MBR, one ext4 partition and real files of this machine. Each snapshot is a state of
that filesystem: after the first one files were added, after the second one some were deleted and
another added, so the deltas hold what a guest would have written. Nothing needs root or a loop
device: mkfs.ext4 -d fills the filesystem, debugfs changes it, qemu-io writes the differences.

    vmware_export.py DIR [--name web01] [--size 1G] [--data 160M]
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

START = 1 << 20  # the partition begins where every partitioner of today puts it
GRAIN = 64 << 10
MATERIAL = ["/usr/include", "/usr/share/doc", "/usr/share/perl", "/usr/bin", "/usr/lib"]

VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "{name}"
guestOS = "debian12-64"
firmware = "bios"
memsize = "1024"
numvcpus = "2"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "{name}-000002.vmdk"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = ""
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.addressType = "static"
ethernet0.address = "00:50:56:01:02:03"
ethernet0.networkName = "VM Network"
"""


def size(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(text[:-1]) << units[text[-1]] if text[-1] in units else int(text)


def run(*argv, data=None):
    done = subprocess.run(argv, input=data, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()}")


def gather(into, budget):
    """Copies files of this machine until the budget is spent."""
    for top in MATERIAL:
        share = budget // 2
        for folder, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path) or not os.access(path, os.R_OK):
                    continue
                cost = os.path.getsize(path)
                if cost > share:
                    continue
                copy = into + path
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(path, copy)
                share -= cost
                budget -= cost
            if share < 4096:
                break


def write_random(path, length, seed):
    with open(path, "wb") as f:
        f.write(random.Random(seed).randbytes(length))


def write_difference(old, new, image, scratch):
    """Writes what differs between two raw disks into a VMDK, grain by grain."""
    commands = []
    with open(old, "rb") as a, open(new, "rb") as b:
        at = 0
        while block := b.read(GRAIN):
            if a.read(GRAIN) != block:
                piece = os.path.join(scratch, f"{at}.bin")
                with open(piece, "wb") as f:
                    f.write(block)
                commands.append(f"write -q -s {piece} {at} {len(block)}")
            at += len(block)
    run("qemu-io", "-f", "vmdk", image, data="\n".join(commands) + "\n")


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("dir")
    args.add_argument("--name", default="web01")
    args.add_argument("--size", type=size, default="1G", help="of the disk")
    args.add_argument("--data", type=size, default="160M", help="of the files on it, about")
    args = args.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.makedirs(args.dir, exist_ok=True)

    with tempfile.TemporaryDirectory(dir=args.dir, prefix=".making-") as work:
        tree, part = os.path.join(work, "tree"), os.path.join(work, "part")
        os.makedirs(os.path.join(tree, "etc"))
        for name in ("os-release", "passwd", "debian_version"):
            if os.path.exists("/etc/" + name):
                shutil.copyfile("/etc/" + name, os.path.join(tree, "etc", name))
        gather(tree, args.data)
        write_random(os.path.join(tree, "cache.bin"), 8 << 20, 1)
        with open(part, "wb") as f:
            f.truncate(args.size - START)
        run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", tree, part)

        states = [os.path.join(work, f"state{i}.raw") for i in range(3)]
        added = os.path.join(work, "added")
        changes = [None, f"write {added} /added.bin\n",
                   f"rm /cache.bin\nwrite {added} /added-later.bin\n"]
        for i, state in enumerate(states):
            if changes[i]:
                write_random(added, (2 + i) << 20, 10 + i)
                run("debugfs", "-w", "-f", "-", part, data=changes[i])
            with open(state, "wb") as f:
                f.truncate(args.size)
            run("sfdisk", "-q", state, data="label: dos\nlabel-id: 0x5374\n2048,,83,*\n")
            run("dd", f"if={part}", f"of={state}", "bs=1M", "seek=1", "conv=notrunc,sparse",
                "status=none")

        links = [f"{args.name}.vmdk", f"{args.name}-000001.vmdk", f"{args.name}-000002.vmdk"]
        out = os.path.join(work, "export")
        os.mkdir(out)
        run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse",
            states[0], os.path.join(out, links[0]))
        for i in (1, 2):
            child = os.path.join(out, links[i])
            run("qemu-img", "create", "-q", "-f", "vmdk", "-b", links[i - 1], "-F", "vmdk", child)
            write_difference(states[i - 1], states[i], child, work)
        with open(os.path.join(out, f"{args.name}.vmx"), "w", encoding="utf-8") as f:
            f.write(VMX.format(name=args.name))
        for name in os.listdir(out):
            os.replace(os.path.join(out, name), os.path.join(args.dir, name))


main()
