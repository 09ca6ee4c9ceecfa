#!/usr/bin/env python3
"""Makes disks with damaged partition tables, one fault each, and says what must be found.

usage: ptable_make.py DIR      writes DIR/NAME.raw and prints "NAME TABLE COUNT ISSUES" lines

TABLE is mbr, gpt or none, COUNT the partitions that are listed, ISSUES yes or no. Layouts are those
of the UEFI Specification 2.10, section 5.
"""
import os
import struct
import sys
import zlib

SECTOR = 512
SECTORS = 4096
LAST = SECTORS - 1


def mbr_entry(disk, sector, index, kind, start, count, status=0):
    at = sector * SECTOR
    struct.pack_into("<B3xB3xII", disk, at + 446 + 16 * index, status, kind, start, count)
    disk[at + 510:at + 512] = b"\x55\xaa"


def header(disk, lba, alternate, table, **fields):
    """A header whose checksums are right, whatever the fields say."""
    f = dict(size=92, my=lba, alternate=alternate, table=table, count=128, entry=128)
    f.update(fields)
    length = f["count"] * f["entry"]
    data = bytes(disk[table * SECTOR:table * SECTOR + min(length, 1 << 20)])
    crc = f.get("crc", zlib.crc32(data))
    h = bytearray(SECTOR)
    struct.pack_into("<8sIIIIQQQQ16sQIII", h, 0, b"EFI PART", 0x10000, f["size"], 0, 0, f["my"],
                     f["alternate"], 34, SECTORS - 34, b"G" * 16, f["table"], f["count"], f["entry"],
                     crc)
    struct.pack_into("<I", h, 16, zlib.crc32(h[:min(f["size"], SECTOR)]))
    disk[lba * SECTOR:(lba + 1) * SECTOR] = h


def gpt(partitions=((64, 127), (128, 1023)), **primary):
    disk = bytearray(SECTORS * SECTOR)
    mbr_entry(disk, 0, 0, 0xee, 1, LAST)
    for i, (first, last) in enumerate(partitions):
        entry = struct.pack("<16s16sQQQ", b"T" * 16, b"U" * 16, first, last, 0)
        for table in (2, LAST - 32):
            disk[table * SECTOR + 128 * i:table * SECTOR + 128 * i + len(entry)] = entry
    header(disk, LAST, 1, LAST - 32)
    header(disk, 1, primary.pop("alternate", LAST), 2, **primary)
    return disk


def logical():
    disk = bytearray(SECTORS * SECTOR)
    mbr_entry(disk, 0, 0, 0x83, 8, 56)
    mbr_entry(disk, 0, 1, 0x0f, 64, 2000)
    mbr_entry(disk, 64, 0, 0x83, 8, 100)
    mbr_entry(disk, 64, 1, 0x05, 512, 1000)
    mbr_entry(disk, 576, 0, 0x83, 8, 100)
    return disk


def changed(disk, at, data):
    disk[at:at + len(data)] = data
    return disk


def linked(target):
    disk = logical()
    mbr_entry(disk, 576, 1, 0x05, target, 100)
    return disk


def endless():
    disk = bytearray(SECTORS * SECTOR)
    mbr_entry(disk, 0, 0, 0x05, 1, SECTORS - 1)
    for sector in range(1, SECTORS - 1):
        mbr_entry(disk, sector, 0, 0x83, 1, 1)
        mbr_entry(disk, sector, 1, 0x05, sector, 1)
    return disk


def four_extended():
    disk = bytearray(SECTORS * SECTOR)
    for i in range(4):
        mbr_entry(disk, 0, i, 0x05, 64, 2000)
    mbr_entry(disk, 64, 0, 0x83, 8, 8)
    return disk


def no_copy():
    return changed(changed(gpt(), SECTOR + 60, b"x"), LAST * SECTOR + 60, b"x")


CASES = [
    ("sound_gpt", gpt(), "gpt 2 no"),
    ("sound_logical", logical(), "mbr 4 no"),
    ("empty", bytearray(SECTORS * SECTOR), "none 0 no"),
    ("one_sector", bytearray(SECTOR), "none 0 no"),
    ("only_mbr", logical()[:SECTOR], "mbr 2 yes"),
    ("all_ones", bytearray(b"\xff" * SECTORS * SECTOR), "none 0 no"),
    ("boot_text", changed(logical(), 446, b"Missing operating system"), "none 0 no"),
    ("ebr_to_itself", linked(512), "mbr 4 yes"),
    ("ebr_to_first", linked(0), "mbr 4 yes"),
    ("ebr_outside", linked(2000), "mbr 4 yes"),
    ("ebr_past_disk", linked(0xfffffff0), "mbr 4 yes"),
    ("ebr_unsigned", linked(600), "mbr 4 yes"),
    ("ebr_endless", endless(), "mbr 256 yes"),
    ("four_extended", four_extended(), "mbr 8 yes"),
    ("count_huge", gpt(count=0xffffffff, crc=0), "gpt 2 yes"),
    ("count_zero", gpt(count=0), "gpt 2 yes"),
    ("entry_huge", gpt(entry=0x80000000, crc=0), "gpt 2 yes"),
    ("entry_zero", gpt(entry=0), "gpt 2 yes"),
    ("entry_odd", gpt(entry=129), "gpt 2 yes"),
    ("both_huge", gpt(count=0xffffffff, entry=0xffffffff, crc=0), "gpt 2 yes"),
    ("header_huge", gpt(size=0xffffffff), "gpt 2 yes"),
    ("header_small", gpt(size=16), "gpt 2 yes"),
    ("wrong_place", gpt(my=7), "gpt 2 yes"),
    ("alternate_huge", gpt(alternate=2**64 - 1), "gpt 2 yes"),
    ("alternate_zero", gpt(alternate=0), "gpt 2 yes"),
    ("alternate_itself", gpt(alternate=1), "gpt 2 yes"),
    ("table_wrong_sum", gpt(crc=1), "gpt 2 yes"),
    ("past_disk", gpt([(64, 1 << 40)]), "gpt 1 yes"),
    ("largest", gpt([(0, 2**64 - 1)]), "gpt 1 yes"),
    ("backwards", gpt([(200, 100), (128, 1023)]), "gpt 1 yes"),
    ("overlap", gpt([(64, 200), (128, 1023)]), "gpt 2 yes"),
    ("on_table", gpt([(20, 200)]), "gpt 1 yes"),
    ("no_copy", no_copy(), "gpt 0 yes"),
    ("half", gpt()[:SECTORS * SECTOR // 2], "gpt 2 yes"),
]


def main():
    for name, disk, expected in CASES:
        with open(os.path.join(sys.argv[1], name + ".raw"), "wb") as f:
            f.write(disk)
        print(name, expected)


if __name__ == "__main__":
    main()
