#!/usr/bin/env python3
"""Makes damaged VHD images, one fault each, and says what must happen.

usage: vhd_make.py DIR      writes DIR/NAME.vhd and prints "NAME EXPECTED" lines

EXPECTED is an exit status of reading the whole image, or `same` when the fault must not change what
is read (the bytes of sound.vhd). Layouts are those of Microsoft's "Virtual Hard Disk Image Format
Specification" 1.0.
"""
import os
import struct
import sys

SECTOR = 512
BLOCK = 65536
BLOCKS = 6
SIZE = (BLOCKS - 1) * BLOCK + 4 * SECTOR  # the last block is used in part
HEADER, BAT, FIRST = 512, 1536, 2048
STRIDE = SECTOR + BLOCK
END = FIRST + 3 * STRIDE
UUID = bytes(range(16))
TABLE_LARGE = 1 << 33  # bytes of a sparse file that has room for the largest table


def checksum(data, field):
    return ~(sum(data) - sum(data[field:field + 4])) & 0xffffffff


class Vhd:
    """A sound dynamic image: blocks 0, 2 and 5 hold data."""

    def __init__(self, kind=3):
        self.bytes = bytearray(END + SECTOR)
        footer = bytearray(SECTOR)
        struct.pack_into(">8sIIQI4sI4sQQHBBI", footer, 0, b"conectix", 2, 0x10000, HEADER, 0,
                         b"win ", 0xa0000, b"Wi2k", SIZE, SIZE, 9, 4, 17, kind)
        footer[68:84] = UUID
        self.bytes[0:SECTOR] = footer
        self.bytes[END:] = footer
        struct.pack_into(">8sQQIII", self.bytes, HEADER, b"cxsparse", 2**64 - 1, BAT, 0x10000,
                         BLOCKS, BLOCK)
        self.bytes[BAT:BAT + SECTOR] = b"\xff" * SECTOR
        for i, block in enumerate((0, 2, 5)):
            at = FIRST + i * STRIDE
            self.put(BAT + 4 * block, ">I", at // SECTOR)
            self.bytes[at:at + SECTOR] = b"\xff" * SECTOR
            self.bytes[at + SECTOR:at + STRIDE] = bytes([65 + i]) * BLOCK
        self.resum()

    def put(self, at, fmt, *values):
        struct.pack_into(fmt, self.bytes, at, *values)

    def footers(self, at, fmt, *values):
        self.put(at, fmt, *values)
        self.put(END + at, fmt, *values)

    def resum(self):
        for at in (0, END):
            self.put(at + 64, ">I", checksum(self.bytes[at:at + SECTOR], 64))
        self.put(HEADER + 36, ">I", checksum(self.bytes[HEADER:HEADER + 1024], 36))

    def locator(self, name, index=0, code=b"W2ru", at=BAT + 64):
        data = name.encode("utf-16-le")
        self.bytes[at:at + len(data)] = data
        self.put(HEADER + 576 + 24 * index, ">4sIIIQ", code, 512, len(data), 0, at)


CASES = []


def case(expected, kind=3):
    def register(function):
        CASES.append((function.__name__, expected, kind, function))
        return function
    return register


def field(name, expected, place, at, fmt, value):
    """One field of both footers, the header or the BAT."""
    def change(v):
        if place == "footer":
            v.footers(at, fmt, value)
        else:
            v.put((HEADER if place == "header" else BAT) + at, fmt, value)
    CASES.append((name, expected, 3, change))


field("footer_cookie_front", 3, "header", 0, ">8s", b"conectix")
field("version_2", 3, "footer", 12, ">I", 0x20000)
field("version_0", 3, "footer", 12, ">I", 0)
field("header_at_end", 3, "footer", 16, ">Q", END + SECTOR - 1023)
field("header_past_end", 3, "footer", 16, ">Q", 1 << 40)
field("header_huge", 3, "footer", 16, ">Q", 2**64 - 1)
field("header_on_bat", 3, "footer", 16, ">Q", BAT)
field("header_on_itself", 3, "footer", 16, ">Q", 0)
field("size_zero", 3, "footer", 48, ">Q", 0)
field("size_odd", 3, "footer", 48, ">Q", SIZE + 1)
field("size_over_table", 3, "footer", 48, ">Q", BLOCKS * BLOCK + SECTOR)
field("size_huge", 3, "footer", 48, ">Q", 2**64 - 512)
field("size_signed", 3, "footer", 48, ">Q", 2**63)
field("original_size", "same", "footer", 40, ">Q", 2**64 - 1)
field("geometry", "same", "footer", 56, ">I", 0xffffffff)
field("timestamp", "same", "footer", 24, ">I", 0xffffffff)
field("features", "same", "footer", 8, ">I", 0xffffffff)
field("type_none", 3, "footer", 60, ">I", 0)
field("type_reserved", 3, "footer", 60, ">I", 5)
field("type_huge", 3, "footer", 60, ">I", 0xffffffff)
field("type_fixed", 3, "footer", 60, ">I", 2)
field("type_differencing", 3, "footer", 60, ">I", 4)
field("table_past_end", 3, "header", 16, ">Q", END + SECTOR)
field("table_at_end", 3, "header", 16, ">Q", END + SECTOR - 4)
field("table_huge", 3, "header", 16, ">Q", 2**64 - 4)
field("table_on_footer", 3, "header", 16, ">Q", 0)
field("header_version", 3, "header", 24, ">I", 0x20000)
field("entries_zero", 3, "header", 28, ">I", 0)
field("entries_few", 3, "header", 28, ">I", BLOCKS - 1)
field("entries_huge", "same", "header", 28, ">I", 0xffffffff)
field("block_zero", 3, "header", 32, ">I", 0)
field("block_one", 3, "header", 32, ">I", 1)
field("block_odd", 3, "header", 32, ">I", BLOCK + 512)
field("block_small", 3, "header", 32, ">I", 512)
field("block_large", 3, "header", 32, ">I", 1 << 31)
field("bat_past_end", 3, "bat", 0, ">I", 0x7fffffff)
field("bat_largest", 3, "bat", 8, ">I", 0xfffffffe)
field("bat_at_end", 3, "bat", 8, ">I", END // SECTOR)


@case("same")
def sound(v):
    pass


@case("same")
def tail_lost(v):
    del v.bytes[END:]


@case("same")
def front_lost(v):
    v.bytes[0:SECTOR] = bytes(SECTOR)


@case(3)
def both_sums_wrong(v):
    v.resum()
    v.bytes[100] += 1
    v.bytes[END + 101] += 1


@case(3)
def cut_in_block(v):
    del v.bytes[FIRST + 2 * STRIDE + 2000:]


@case(3)
def cut_in_table(v):
    del v.bytes[BAT + 8:]


@case(3)
def cut_in_header(v):
    del v.bytes[HEADER + 100:]


@case(3, 4)
def no_parent_name(v):
    pass


@case(3, 4)
def parent_missing(v):
    v.locator(".\\missing.vhd")


@case(3, 4)
def parent_itself(v):
    v.put(HEADER + 40, ">16s", UUID)
    v.locator(".\\parent_itself.vhd")


@case(3, 4)
def parent_not_vhd(v):
    v.locator(".\\cases")


@case(3, 4)
def parent_other_uuid(v):
    v.locator(".\\sound.vhd")


@case(9, 4)
def parent_outside(v):
    v.locator("..\\..\\..\\..\\..\\..\\..\\..\\etc\\passwd")


@case(9, 4)
def parent_protocol(v):
    v.locator("nbd://127.0.0.1/x")


@case(9, 4)
def parent_json(v):
    v.locator('json:{"file.filename":"passwd"}')


@case(3, 4)
def parent_half_surrogate(v):
    v.locator("x.vhd")
    v.put(BAT + 64, "<H", 0xd800)


@case(3, 4)
def locator_huge(v):
    v.locator("x.vhd")
    v.put(HEADER + 576 + 8, ">I", 0xffffffff)


@case(3, 4)
def locator_past_end(v):
    v.locator("x.vhd")
    v.put(HEADER + 576 + 16, ">Q", 2**64 - 2)


@case(3, 4)
def name_without_end(v):
    v.bytes[HEADER + 64:HEADER + 576] = b"\x00a" * 256


def large_table(path):
    """2 TiB in blocks of 512 bytes: 4 billion entries, in a file with a hole for a table."""
    v = Vhd()
    v.footers(48, ">Q", 0xfffffff0 * SECTOR)
    v.put(HEADER + 16, ">QIII", 1 << 20, 0x10000, 0xffffffff, 512)
    v.resum()
    with open(path, "wb") as f:
        f.write(v.bytes[:END])
        f.truncate((1 << 20) + 4 * 0xffffffff + 1024)
        f.seek(-512, os.SEEK_END)
        f.write(v.bytes[END:])


def main():
    for name, expected, kind, change in CASES:
        v = Vhd(kind)
        change(v)
        if name not in ("both_sums_wrong", "tail_lost", "front_lost") and len(v.bytes) > END:
            v.resum()
        with open(os.path.join(sys.argv[1], name + ".vhd"), "wb") as f:
            f.write(v.bytes)
        print(name, expected)
    large_table(os.path.join(sys.argv[1], "large_table.vhd"))
    print("large_table", 3)


if __name__ == "__main__":
    main()
