"""Makes hostile VMDKs and runs strata over each.

usage: vmdk_cases.py STRATA DIRECTORY

Every case is (name, {file: bytes}, allowed exit statuses); the file 'x.vmdk' is the one opened. A
run must end within 5 seconds, in at most 512 MiB, with one of the statuses, a message on stderr for
each refusal, and no report of a sanitizer.
"""
import os
import resource
import struct
import subprocess
import sys
import time
import zlib

SECONDS = 5
MEMORY = 512 << 20
REFUSED = {3}
OUTSIDE = {9}
READS = {0}
AT_END = 2**64 - 1

TEXT = ('# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=ffffffff\n'
        'createType="monolithicSparse"\n%s')


def text(lines, cid='ffffffff'):
    return (TEXT % lines).replace('parentCID=ffffffff', 'parentCID=' + cid).encode()


FIELDS = dict(version=1, flags=3, capacity=2048, grain=8, desc_at=1, desc_len=2, gtes=512,
              rgd=3, gd=8, overhead=13, unclean=0, newlines=b'\n \r\n', compress=0)


def header(**changes):
    f = dict(FIELDS, **changes)
    return (b'KDMV' + struct.pack('<IIQQQQIQQQB4sH', *(f[k] for k in FIELDS))).ljust(512, b'\0')


def place(parts):
    out = bytearray()
    for sector, data in parts.items():
        end = sector * 512 + len(data)
        out.extend(b'\0' * (end - len(out)))
        out[sector * 512:end] = data
    return bytes(out)


def table(entries):
    return struct.pack('<512I', *(list(entries) + [0] * (512 - len(entries))))


def hosted(gde=9, entries=(13, 21), rgde=4, rentries=(13, 21), desc=None, size=None, **changes):
    data = place({0: header(**changes), 1: desc or text('RW 2048 SPARSE "x.vmdk"\n'),
                  3: struct.pack('<I', rgde), 4: table(rentries), 8: struct.pack('<I', gde),
                  9: table(entries), 13: b'A' * 4096, 21: b'B' * 4096})
    return data if size is None else data[:size]


def both(gde=9, entries=(13, 21), **changes):
    """Without the redundant copy, which would stand in."""
    return hosted(gde, entries, flags=1, **changes)


def grain(lba, data, length=None):
    packed = zlib.compress(data, 9)
    out = struct.pack('<QI', lba, len(packed) if length is None else length) + packed
    return out + b'\0' * (-len(out) % 512)


def marker(value, kind):
    return struct.pack('<QII', value, 0, kind).ljust(512, b'\0')


def stream(body, gd=AT_END, **changes):
    return place({0: header(**dict(dict(version=3, flags=0x30001, compress=1, rgd=0, gd=gd,
                                        overhead=3), **changes)),
                  1: text('RW 2048 SPARSE "x.vmdk"\n'), 3: body})


def whole_stream(first, **changes):
    """One grain, its table, directory, footer and end of stream."""
    body = first + marker(4, 1)
    gt = 3 + len(body) // 512
    body += table([3]) + marker(1, 2)
    gd = 3 + len(body) // 512
    body += struct.pack('<I', gt).ljust(512, b'\0') + marker(1, 3)
    body += header(version=3, flags=0x30001, compress=1, rgd=0, gd=gd, overhead=3, **changes)
    return stream(body + marker(0, 0), **changes)


def cowd(version=1, flags=3, sectors=64, size=1, gd=4, count=1, gde=5, entries=(37,)):
    return place({0: b'COWD' + struct.pack('<IIIIIII', version, flags, sectors, size, gd, count, 99),
                  4: struct.pack('<I', gde), 5: struct.pack('<4096I', *(list(entries) +
                                                                       [0] * (4096 - len(entries)))),
                  37: b'x' * 512})


def sesparse(fields=None, volatile=(0xcafecafe, 0, 0, 0), gde=0x1000000000000000, gte=3 << 60):
    words = [0] * 64
    for at, value in {0: 0xcafebabe, 1: 0x200000001, 2: 64, 3: 8, 4: 64, 10: 1, 11: 1, 16: 2, 17: 1,
                      18: 3, 19: 64, 24: 67, 25: 8, **(fields or {})}.items():
        words[at] = value
    return place({0: struct.pack('<64Q', *words), 1: struct.pack('<4Q', *volatile),
                  2: struct.pack('<Q', gde), 3: struct.pack('<Q', gte), 67: b's' * 4096})


def disk(lines, **more):
    return dict({'x.vmdk': text(lines)}, **more)


def header_cases():
    huge = [2**32 - 1, 2**31, 2**61, 2**63, 2**64 - 2]
    for field, values in {
            'version': [0, 4, 2**32 - 1],
            'flags': [0x40003, 0x10003, 0xffff0003],
            'capacity': [0, 8, 2**37, 2**52, 2**61, 2**63, 2**64 - 1],
            'grain': [0, 3, 2**22] + huge,
            'desc_at': [0, 12, 4096] + huge,
            'desc_len': [0] + huge,
            'gtes': [0, 1, 511, 1024, 2**31, 2**32 - 1],
            'overhead': [2**20] + huge,
            'newlines': [b'\n \n\n', b'\r\n \n'],
            'compress': [1, 2, 65535]}.items():
        for value in values:
            yield 'header %s=%s' % (field, value), {'x.vmdk': hosted(**{field: value})}, REFUSED
    for value in [0, 1, 2, 4096, AT_END] + huge:
        yield 'header gd=%d' % value, {'x.vmdk': both(gd=value)}, REFUSED
        yield 'header gd=rgd=%d' % value, {'x.vmdk': hosted(gd=value, rgd=value)}, REFUSED
    for size in [4, 511, 512, 1500, 2000, 5000, 6000, 13 * 512 + 1, 21 * 512 + 4095]:
        yield 'cut after %d bytes' % size, {'x.vmdk': hosted(size=size)}, REFUSED


def table_cases():
    for value in [1, 2, 7, 8, 4096, 2**31, 2**32 - 1]:
        yield 'directory entry %d' % value, {'x.vmdk': both(gde=value)}, REFUSED
        yield 'grain entry %d' % value, {'x.vmdk': both(entries=(value,))}, REFUSED
    yield 'entry 1 in both, no flag', {'x.vmdk': hosted(entries=(1,), rentries=(1,))}, REFUSED
    many = 65536
    yield 'one table named 65536 times', {'x.vmdk': place({
        0: header(flags=1, desc_at=0, desc_len=0, capacity=many * 4096, gd=1, overhead=0),
        1: struct.pack('<I', 600) * many, 600: table([700] * 512), 700: b'x' * 4096})}, REFUSED


def stream_cases():
    good = grain(0, b'q' * 4096)
    yield 'marker chain without end', {'x.vmdk': stream(good * 3)}, REFUSED
    yield 'metadata of 2^63 sectors', {'x.vmdk': stream(good + marker(2**63, 1))}, REFUSED
    yield 'metadata of 2^55 sectors', {'x.vmdk': stream(good + marker(2**55, 1))}, REFUSED
    yield 'marker of unknown type', {'x.vmdk': stream(good + marker(1, 99) + good)}, REFUSED
    yield 'empty metadata for ever', {'x.vmdk': stream(marker(0, 4) * 20000)}, REFUSED
    yield 'grain of 4 GiB', {'x.vmdk': stream(grain(0, b'q', 2**32 - 1))}, REFUSED
    yield 'grain outside the disk', {'x.vmdk': stream(grain(2**40, b'q') + marker(0, 0))}, REFUSED
    yield 'footer that names a footer', {'x.vmdk': stream(
        good + marker(1, 3) + header(version=3, flags=0x30001, compress=1, rgd=0, gd=AT_END,
                                     overhead=3) + marker(0, 0))}, REFUSED
    yield 'wrong position in a marker', {'x.vmdk': whole_stream(grain(8, b'q' * 4096))}, REFUSED
    yield 'grain of length 0', {'x.vmdk': whole_stream(grain(0, b'q' * 4096, 0))}, REFUSED
    yield 'grain longer than the file', {'x.vmdk': whole_stream(grain(0, b'q' * 4096, 99999))}, REFUSED
    yield 'grain too short inside', {'x.vmdk': whole_stream(grain(0, b'q' * 100))}, REFUSED
    yield 'grain of 64 MiB inside 4 KiB', {'x.vmdk': whole_stream(grain(0, bytes(64 << 20)))}, \
        {0, 3}  # only the first 4 KiB are ever inflated
    yield 'no zlib', {'x.vmdk': whole_stream(struct.pack('<QI', 0, 300).ljust(512, b'\xff'))}, REFUSED
    yield 'compressed grains of 1 GiB', {'x.vmdk': whole_stream(good, grain=2**21)}, REFUSED
    yield 'stream, huge capacity', {'x.vmdk': stream(good + marker(0, 0), capacity=2**37)}, REFUSED


def descriptor_cases():
    one = bytes(512)
    yield 'absolute name', disk('RW 4 FLAT "/etc/passwd" 0\n'), OUTSIDE
    yield 'name with ..', disk('RW 1 FLAT "../../../../../../../etc/passwd" 0\n'), OUTSIDE
    yield 'sparse outside', disk('RW 1 SPARSE "/etc/passwd"\n'), OUTSIDE
    yield 'link outside', disk('RW 1 FLAT "link" 0\n', link='/etc/passwd'), OUTSIDE
    yield 'folder link outside', disk('RW 1 FLAT "etc/passwd" 0\n', etc='/etc'), OUTSIDE
    yield 'device', disk('RW 4 FLAT "/dev/zero" 0\n'), {3, 9}
    yield 'device link', disk('RW 1 FLAT "link" 0\n', link='/dev/zero'), {3, 9}
    yield 'memory', disk('RW 4 FLAT "/proc/self/mem" 0\n'), {3, 9}
    yield 'folder', disk('RW 4 FLAT "." 0\n'), {3, 9}
    yield 'protocol', disk('RW 4 FLAT "nbd://127.0.0.1/x" 0\n'), OUTSIDE
    yield 'json', disk('RW 4 FLAT "json:{}" 0\n'), OUTSIDE
    yield 'Windows drive', disk('RW 4 FLAT "\\\\.\\PhysicalDrive0" 0\n'), REFUSED
    yield 'raw device mapping', disk('RW 4 VMFSRDM "x-rdm.vmdk"\n'), REFUSED
    yield 'itself as sparse', disk('RW 4 SPARSE "x.vmdk"\n'), REFUSED
    yield 'extent past its end', disk('RW 9 FLAT "a" 0\n', a=one), REFUSED
    yield 'offset past the end', disk('RW 1 FLAT "a" 18446744073709551615\n', a=one), REFUSED
    yield 'offset of 2^54', disk('RW 1 FLAT "a" 18014398509481984\n', a=one), REFUSED
    yield 'sizes that overflow', disk('RW 18446744073709551615 ZERO\nRW 2 ZERO\n'), REFUSED
    yield 'sizes that add up', disk('RW 137438953472 ZERO\n' * 3), REFUSED
    yield 'too many extents', disk('RW 1 ZERO\n' * 50000), REFUSED
    yield 'descriptor of 9 MiB', disk('# comment\n' * (9 << 17)), REFUSED
    yield 'one line of 7 MiB', disk('RW 1 FLAT "' + 'a' * (7 << 20) + '" 0\n'), REFUSED
    yield 'long name', disk('RW 1 FLAT "' + 'a' * 4000 + '" 0\n'), {3, 4, 9}
    yield 'control characters', disk('RW 1 FLAT "\x1b[31mred" 0\n'), REFUSED
    yield 'only the first line', {'x.vmdk': b'# Disk DescriptorFile'}, REFUSED
    yield 'its own parent', {'x.vmdk': text('parentFileNameHint="x.vmdk"\nRW 1 ZERO\n',
                                            '11223344')}, REFUSED
    yield 'parents in a circle', {
        'x.vmdk': text('parentFileNameHint="y.vmdk"\nRW 1 ZERO\n', '11223344'),
        'y.vmdk': text('parentFileNameHint="x.vmdk"\nRW 1 ZERO\n', '11223344')}, REFUSED
    yield 'parent outside', {'x.vmdk': text('parentFileNameHint="/etc/passwd"\nRW 1 ZERO\n',
                                            '1')}, OUTSIDE
    yield 'parent without a name', {'x.vmdk': text('RW 1 ZERO\n', '1')}, REFUSED
    yield 'two extents in a sparse file', {'x.vmdk': hosted(
        desc=text('RW 8 SPARSE "x.vmdk"\nRW 8 FLAT "/etc/passwd" 0\n'))}, REFUSED
    yield 'holder of outside extents', {'x.vmdk': hosted(
        capacity=0, desc=text('RW 4 FLAT "/etc/passwd" 0\n'))}, OUTSIDE


def esx_cases():
    huge = [2**31, 2**32 - 1]
    for name, values in {'version': [0, 2], 'sectors': [0] + huge, 'size': [0, 3] + huge,
                         'gd': [0] + huge, 'count': [0], 'gde': [1000, 2**31, 2**32 - 1]}.items():
        for value in values:
            yield 'COWD %s=%d' % (name, value), {'x.vmdk': cowd(**{name: value})}, REFUSED
    for value in [38, 2**32 - 1]:
        yield 'COWD entry %d' % value, {'x.vmdk': cowd(entries=(value,))}, REFUSED
    for at, values in {1: [0, 1], 2: [0, 2**37 + 1, 2**63], 3: [0, 1, 2**63], 4: [0, 65], 5: [1],
                       6: [1], 10: [2, 2**40, 2**63], 16: [0, 2**40, 2**63], 17: [0],
                       18: [2**40, 2**63], 24: [2**40, 2**63, AT_END]}.items():
        for value in values:
            yield 'seSparse word %d=%d' % (at, value), {'x.vmdk': sesparse({at: value})}, REFUSED
    yield 'seSparse dirty', {'x.vmdk': sesparse(volatile=(0xcafecafe, 0, 0, 1))}, REFUSED
    for value in [1, 1 << 60 | 1, 2 << 60, AT_END]:
        yield 'seSparse directory %x' % value, {'x.vmdk': sesparse(gde=value)}, REFUSED
    for value in [1, 4 << 60, 3 << 60 | 1, 0x3fffffffffffffff, AT_END]:
        yield 'seSparse entry %x' % value, {'x.vmdk': sesparse(gte=value)}, REFUSED


def good_cases():
    """What all the above were made from must read."""
    yield 'hosted', {'x.vmdk': hosted()}, READS
    yield 'hosted without copy', {'x.vmdk': both()}, READS
    yield 'stream', {'x.vmdk': whole_stream(grain(0, b'q' * 4096))}, READS
    yield 'COWD', {'x.vmdk': cowd()}, READS
    yield 'seSparse', {'x.vmdk': sesparse()}, READS
    yield 'flat', disk('RW 1 FLAT "a" 0\n', a=bytes(512)), READS


def run(strata, folder, files, allowed):
    os.mkdir(folder)
    for name, data in files.items():
        path = os.path.join(folder, name)
        if isinstance(data, str):
            os.symlink(data, path)
        else:
            with open(path, 'wb') as out:
                out.write(data)
    with open(os.path.join(folder, 'err'), 'w+b') as err:
        begun = time.monotonic()
        child = subprocess.Popen([strata, 'digest', os.path.join(folder, 'x.vmdk')],
                                 stdout=subprocess.DEVNULL, stderr=err, cwd=folder)
        try:
            status = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return 'took more than %d seconds' % SECONDS
        took = time.monotonic() - begun
        err.seek(0)
        said = err.read().decode(errors='replace')
    if status not in allowed:
        return 'exit %d after %.1f s: %s' % (status, took, said.strip()[-300:])
    if status and not said.strip():
        return 'no message'
    if 'Sanitizer' in said or 'runtime error' in said:
        return said[:500]
    if '\x1b' in said:
        return 'a control character reached the terminal'
    return None


def main():
    strata, work = sys.argv[1:]
    passed = failed = 0
    for cases in (good_cases, header_cases, table_cases, stream_cases, descriptor_cases, esx_cases):
        for name, files, allowed in cases():
            wrong = run(strata, os.path.join(work, str(passed + failed)), files, allowed)
            if wrong:
                failed += 1
                print('FAIL  %s: %s' % (name, wrong))
            else:
                passed += 1
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    if most > MEMORY:
        failed += 1
        print('FAIL  the largest run took %d MiB of memory' % (most >> 20))
    print('%d passed, %d failed' % (passed, failed))
    return failed != 0


sys.exit(main())
