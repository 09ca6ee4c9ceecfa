#!/usr/bin/env python3
"""Makes damaged qcow2 images, one fault each, and says what must happen.

usage: qcow2_make.py DIR      writes DIR/NAME.qcow2 and prints "NAME COMMAND EXPECTED" lines

EXPECTED is an exit status; `same` when the fault must not change what is read (the bytes of
sound.qcow2); `peer` when it is read as qemu reads it, or refused with status 3.
Layouts are those of qemu's docs/interop/qcow2.
"""
import os
import random
import struct
import sys
import zlib

CLUSTER = 65536
COPIED = 1 << 63
CODED = 1 << 62
HEADER, REFTABLE, REFBLOCK, L1, L2, DATA = (i * CLUSTER for i in range(6))
DATA_CLUSTERS = 4
CODED_AT = DATA + DATA_CLUSTERS * CLUSTER  # a compressed cluster, the last of the file


def deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -12)
    return z.compress(data) + z.flush()


class Image:
    """A sound image of 16 clusters: 4 plain, 1 zero, 1 compressed, the rest unallocated."""

    def __init__(self, version=3, extended=False):
        rng = random.Random(1)
        plain = bytes(rng.randrange(256) for _ in range(CLUSTER)) * DATA_CLUSTERS
        stream = deflate(b"strata " * 9362 + b"ok")
        self.sectors = (len(stream) - 1) // 512
        self.bytes = bytearray(CODED_AT + (self.sectors + 1) * 512)
        self.put(HEADER, ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, 0, 0, 16, 16 * CLUSTER, 0, 1, L1,
                 REFTABLE, 1, 0, 0)
        if version == 3:
            self.put(72, ">QQQII", 16 if extended else 0, 0, 0, 4, 112)
        self.put(REFTABLE, ">Q", REFBLOCK)
        for i in range(CODED_AT // CLUSTER + 1):
            self.put(REFBLOCK + 2 * i, ">H", 1)
        self.put(L1, ">Q", COPIED | L2)
        self.entry_size = 16 if extended else 8
        for i in range(DATA_CLUSTERS):
            self.entry(i, COPIED | DATA + i * CLUSTER, 0xffffffff)
        if version == 3:
            self.entry(6, 0 if extended else 1, 0xffffffff << 32)
        self.entry(9, self.coded(CODED_AT, self.sectors))
        self.bytes[DATA:CODED_AT] = plain
        self.bytes[CODED_AT:CODED_AT + len(stream)] = stream

    @staticmethod
    def coded(pos, sectors):
        return CODED | sectors << 54 | pos

    def put(self, at, fmt, *values):
        end = at + struct.calcsize(fmt)
        if end > len(self.bytes):
            self.bytes.extend(bytes(end - len(self.bytes)))
        struct.pack_into(fmt, self.bytes, at, *values)
        return self

    def entry(self, index, word, bitmap=0):
        at = L2 + index * self.entry_size
        self.put(at, ">Q", word)
        return self.put(at + 8, ">Q", bitmap) if self.entry_size == 16 else self

    def text(self, at, data):
        return self.put(at, f">{len(data)}s", data)

    def extension(self, kind, data, length=None):
        return self.put(112, ">II", kind, len(data) if length is None else length).text(120, data)

    def backing(self, name):
        return self.put(8, ">QI", 0x400, len(name)).text(0x400, name)

    def cut(self, size):
        del self.bytes[size:]
        return self


def header_cases():
    def field(at, fmt, *values):
        return Image().put(at, fmt, *values)

    huge = 0xffffffffffff0000
    yield "magic-only", Image().cut(4), 3
    yield "v2-header-short", Image(2).cut(71), 3
    yield "v3-header-short", Image().cut(103), 3
    for v in (0, 1, 4, 0xffffffff):
        yield f"version-{v:x}", field(4, ">I", v), 3
    for v in (1, 0x6f, 65537, huge, 2**64 - 1):
        yield f"backing-offset-{v:x}", field(8, ">QI", v, 5), 3
    for v in (1024, 65536, 0xffffffff):
        yield f"backing-size-{v:x}", field(8, ">QI", 0x400, v), 3
    yield "backing-size-0", field(8, ">QI", 0x400, 0), "same"
    for v in (0, 8, 22, 31, 32, 64, 0xffffffff):
        yield f"cluster-bits-{v:x}", field(20, ">I", v), 3
    for v in (9, 12, 15, 17, 21):  # the tables now lie elsewhere
        yield f"cluster-bits-{v:x}", field(20, ">I", v), "peer"
    for v in (2**29 + 512, 2**62, 2**63, 2**64 - 1):
        yield f"size-{v:x}", field(24, ">Q", v), 3
    for v in (1, 2, 3, 0xffffffff):
        yield f"crypt-{v:x}", field(32, ">I", v), 3
    for v in (0, 0x400001, 0x20000000, 0x7fffffff, 0xffffffff):
        yield f"l1-size-{v:x}", field(36, ">I", v), 3
    for v in (1, L1 + 512, 1 << 40, 2**63 - CLUSTER, huge, 2**64 - 1, HEADER, DATA):
        yield f"l1-offset-{v:x}", field(40, ">Q", v), 3
    for v in (1, 512, 2**63 - CLUSTER, huge, 2**64 - 1):
        yield f"reftable-offset-{v:x}", field(48, ">Q", v), 3
    for v in (0, 1 << 40):
        yield f"reftable-elsewhere-{v:x}", field(48, ">Q", v), "same"
    for v in (0, 129, 0x7fffffff, 0xffffffff):
        yield f"reftable-clusters-{v:x}", field(56, ">I", v), 3
    for v in (1 << 5, 1 << 31, 1 << 63):
        yield f"incompatible-{v:x}", field(72, ">Q", v), 3
    for v in (1, 2, 3):
        yield f"incompatible-{v:x}", field(72, ">Q", v), "same"
    yield "incompatible-data-file-without-name", field(72, ">Q", 4), 3
    yield "incompatible-compression-without-type", field(72, ">Q", 8), 3
    yield "extended-flag-on-plain-tables", field(72, ">Q", 16), "peer"
    yield "compatible-all", field(80, ">Q", 2**64 - 1), "same"
    yield "autoclear-all", field(88, ">Q", 2**64 - 1), "same"
    for v in (7, 31, 0xffffffff):
        yield f"refcount-order-{v:x}", field(96, ">I", v), 3
    for v in (0, 72, 96, 105, 65544, 0x7fffffff, 0xffffffff):
        yield f"header-length-{v:x}", field(100, ">I", v), 3
    for v in (1, 2, 255):
        yield f"compression-{v:x}", field(104, ">B", v), 3


def extension_cases():
    yield "extension-too-long", Image().extension(0x1234, b"", 0x7fffffff), 3
    yield "extension-longer-than-all", Image().extension(0x1234, b"", 0xffffffff), 3
    yield "extension-to-the-end", Image().extension(0x1234, b"", CLUSTER - 120), "same"
    yield "extension-unknown", Image().extension(0x1234, b"abc"), "same"
    yield "extension-into-backing-name", Image().backing(b"x").extension(1, b"", 0x400 - 119), 3
    for name, data in {
        "short": b"\0" * 8,
        "empty": struct.pack(">IIQQ", 0, 0, 0, 0),
        "many": struct.pack(">IIQQ", 0xffffffff, 0, 64, DATA),
        "huge": struct.pack(">IIQQ", 1, 0, 2**63, 2**63),
        "wild": struct.pack(">IIQQ", 1, 0, CLUSTER, DATA),
    }.items():
        yield f"bitmaps-{name}", Image().extension(0x23852875, data), "same"
    yield "features-odd", Image().extension(0x6803f857, b"\0\1no end" + b"\xff" * 61), "same"


def snapshot_cases():
    def table(record, count=1):
        image = Image().put(60, ">IQ", count, 0x200000)
        return image.text(0x200000, record)

    def record(l1=L1, l1_size=1, id_len=1, name_len=1, extra=16):
        return struct.pack(">QIHHIIQII", l1, l1_size, id_len, name_len, 0, 0, 0, 0, extra) + \
            struct.pack(">QQ", 0, 16 * CLUSTER) + b"1a" + b"\0" * 6

    yield "snapshot-sound", table(record()), "same"
    yield "snapshots-huge", Image().put(60, ">IQ", 0xffffffff, 0x200000), 3
    yield "snapshots-65537", Image().put(60, ">IQ", 65537, 0x200000), 3
    yield "snapshots-unaligned", Image().put(60, ">IQ", 1, 0x200100), 3
    yield "snapshots-past-end", Image().put(60, ">IQ", 1, 1 << 40), 3
    yield "snapshots-end-of-numbers", Image().put(60, ">IQ", 1, 2**64 - CLUSTER), 3
    yield "snapshots-more-than-there", table(record(), 2), 3
    yield "snapshots-of-zeroes", table(bytes(65536 * 40), 65536), "same"
    yield "snapshots-are-data", Image().put(60, ">IQ", 7, DATA), 3
    yield "snapshot-id-too-long", table(record(id_len=65535)), 3
    yield "snapshot-name-too-long", table(record(name_len=65535)), 3
    yield "snapshot-extra-huge", table(record(extra=0xffffffff)), 3
    yield "snapshot-l1-huge", table(record(l1_size=0xffffffff)), 3
    yield "snapshot-l1-unaligned", table(record(l1=L1 + 8)), 3
    yield "snapshot-l1-past-end", table(record(l1=1 << 40)), "same"


def table_cases():
    for bit in list(range(9)) + list(range(56, 63)):
        yield f"l1-bit-{bit}", Image().put(L1, ">Q", COPIED | L2 | 1 << bit), 3
    yield "l1-unaligned", Image().put(L1, ">Q", COPIED | L2 + 512), 3
    yield "l1-past-end", Image().put(L1, ">Q", COPIED | 1 << 40), 3
    for name, at in {"header": CLUSTER, "refblock": REFBLOCK, "self": L1, "data": DATA}.items():
        yield f"l1-to-{name}", Image().put(L1, ">Q", COPIED | at), "peer"
    for bit in list(range(1, 9)) + list(range(56, 62)):
        yield f"l2-bit-{bit}", Image().entry(1, COPIED | DATA | 1 << bit), 3
    yield "l2-unaligned", Image().entry(1, COPIED | DATA + 512), 3
    yield "l2-past-end", Image().entry(1, COPIED | 1 << 40), 3
    yield "l2-zero-unaligned", Image().entry(1, COPIED | DATA + 513), 3
    yield "l2-zero-in-v2", Image(2).entry(1, 1), 3
    yield "l2-copied-nothing", Image().entry(12, COPIED), "same"
    for name, at in {"self": L2, "l1": L1, "refblock": REFBLOCK}.items():
        yield f"l2-to-{name}", Image().entry(1, COPIED | at), "peer"
    yield "subclusters-sound", Image(extended=True), "same"
    yield "subclusters-both", Image(extended=True).entry(0, COPIED | DATA, 1 << 32 | 1), 3
    yield "subclusters-nowhere", Image(extended=True).entry(0, 0, 1), 3
    yield "subclusters-zero-flag", Image(extended=True).entry(0, COPIED | DATA | 1, 1), 3
    yield "subclusters-coded", Image(extended=True).entry(9, Image.coded(CODED_AT, 3), 1), 3
    yield "reftable-wild", Image().put(REFTABLE, ">Q", 0xfffffffffffffe01), "same"
    yield "refcounts-zero", Image().text(REFBLOCK, bytes(64)), "same"


def coded_cases():
    def stream(data):
        image = Image().text(CODED_AT, data + bytes(-len(data) % 512))
        return image.entry(9, Image.coded(CODED_AT, (len(data) - 1) // 512))

    yield "coded-past-end", Image().entry(9, Image.coded(1 << 40, 3)), 3
    yield "coded-claims-too-much", Image().entry(9, Image.coded(CODED_AT, 127)), "same"
    yield "coded-cut", Image().entry(9, Image.coded(CODED_AT, 0)), "peer"
    yield "coded-garbage", stream(b"\xff" * 4096), 3
    yield "coded-is-header", Image().entry(9, Image.coded(0, 3)), 3
    yield "coded-too-short", stream(deflate(b"short")), 3
    yield "coded-empty", stream(deflate(b"")), 3
    yield "coded-bomb", stream(deflate(bytes(64 << 20))[:CLUSTER]), "peer"
    bomb = stream(deflate(bytes(CLUSTER)))
    for i in range(16):
        bomb.entry(i, Image.coded(CODED_AT, 0))
    yield "coded-one-for-all", bomb, 0
    yield "coded-type-zstd", Image().put(72, ">Q", 8).put(104, ">B", 1), 3


def name_cases():
    for name, text, status in (
        ("self", b"backing-self.qcow2", 3),
        ("missing", b"no-such-file", 3),
        ("absolute", b"/etc/passwd", 9),
        ("dots", b"../../../../../../../../etc/passwd", 9),
        ("link", b"link-outside", 9),
        ("json", b'json:{"driver":"file","filename":"/etc/passwd"}', 9),
        ("nbd", b"nbd://127.0.0.1:1/x", 9),
        ("loop-a", b"backing-loop-b.qcow2", 3),
        ("loop-b", b"backing-loop-a.qcow2", 3),
    ):
        yield f"backing-{name}", Image().backing(text), status
    for name, text, status in (
        ("inside", b"sound.qcow2", 3),
        ("missing", b"no-such-file", 3),
        ("absolute", b"/etc/passwd", 9),
        ("link", b"link-outside", 9),
    ):
        yield f"data-file-{name}", Image().put(72, ">Q", 4).extension(0x44415441, text), status


def cut_cases():
    whole = len(Image().bytes)
    for size in sorted({*range(CLUSTER, whole, CLUSTER), *range(CLUSTER + 512, whole, 5 * 4096)}):
        yield f"cut-{size:07x}", Image().cut(size), "peer" if size > DATA else 3


def main():
    folder = sys.argv[1]
    os.symlink("/etc/passwd", os.path.join(folder, "link-outside"))
    cases = [("sound", Image(), "same")]
    for group in (header_cases, extension_cases, snapshot_cases, table_cases, coded_cases,
                  name_cases, cut_cases):
        cases.extend(group())
    for name, image, expected in cases:
        with open(os.path.join(folder, name + ".qcow2"), "wb") as f:
            f.write(image.bytes)
        print(name, expected)


main()
