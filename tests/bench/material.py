"""The disks that the benchmark converts: real files in an ext4 filesystem, made once.

The mix is what guests hold: mostly programs, libraries and documents, which compress, and a fifth of
packed data, which does not (git objects, archives, compressed pages; random bytes where a machine
has too few of them). A machine with less material gives each file several times, every copy with its
bytes rotated, so that no two are the same."""
import os
import random
import subprocess
import tempfile

PLAIN = ["/usr/lib", "/usr/bin", "/usr/share", "/usr/include", "/usr/local", "/usr/libexec", "/lib",
         "/opt", "/var/lib"]
PACKED = (".gz", ".xz", ".zst", ".bz2", ".zip", ".jar", ".whl", ".deb", ".pack", ".png", ".jpg",
          ".7z", ".tgz", ".woff2")
FILE_MAX = 256 << 20
ROTATE = 4099  # bytes per copy: not a multiple of any block


def readable(folder, packed):
    for top, names, files in os.walk(folder):
        names.sort()
        for name in sorted(files):
            path = os.path.join(top, name)
            if name.endswith(PACKED) != packed or os.path.islink(path):
                continue
            try:
                if not os.path.isfile(path) or not 0 < os.path.getsize(path) <= FILE_MAX:
                    continue
            except OSError:
                continue
            yield path


def put(path, into, turn):
    """Copies a file, rotated by as many steps as it was used before. Returns its length."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        return 0
    cut = turn * ROTATE % max(1, len(data))
    os.makedirs(os.path.dirname(into), exist_ok=True)
    with open(into, "wb") as f:
        f.write(data[cut:])
        f.write(data[:cut])
    return len(data)


def gather(into, budget, folders, packed):
    """Fills `into` with files up to the budget, in as many turns as it takes."""
    got = turn = 0
    while got < budget:
        before = got
        for folder in folders:
            for path in readable(folder, packed):
                if got >= budget:
                    return
                got += put(path, f"{into}/{turn}{path}", turn)
        turn += 1
        if got == before:
            break
    rest = random.Random(got)
    piece = 8 << 20
    for i in range(max(0, budget - got + piece - 1) // piece):
        with open(f"{into}/random-{i}", "wb") as f:
            f.write(rest.randbytes(piece))


def run(*argv, **more):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **more)


class Material:
    def __init__(self, folder, quick):
        self.dir = folder
        self.size = (1 << 30) if quick else (6 << 30)
        self.data = (600 << 20) if quick else (4300 << 20)

    def get(self, name):
        """The path of a source disk, made when it is not there."""
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            part = path + ".making"
            print(f"making {name}", flush=True)
            if name == "disk.raw":
                self.make_disk(part)
            else:
                form = {"disk.vmdk": "monolithicSparse", "stream.vmdk": "streamOptimized"}[name]
                run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={form}",
                    self.get("disk.raw"), part)
            os.rename(part, path)
            os.sync()
        return path

    def make_disk(self, path):
        start = 1 << 20
        with tempfile.TemporaryDirectory(dir=self.dir, prefix="tree-") as tree:
            os.mkdir(tree + "/packed")
            os.mkdir(tree + "/plain")
            gather(tree + "/packed", self.data // 5, PLAIN, True)
            gather(tree + "/plain", self.data * 4 // 5, PLAIN, False)
            with open(path, "wb") as f:
                f.truncate(self.size)
            run("mkfs.ext4", "-q", "-F", "-L", "bench", "-d", tree, "-E", f"offset={start}", path,
                f"{(self.size - start) >> 10}k", stderr=subprocess.DEVNULL)
        run("sfdisk", "-q", path, input=b"label: dos\n2048,,83,*\n", stderr=subprocess.DEVNULL)

    @staticmethod
    def copy_data(source, target, length):
        """Fills `target` with `length` bytes of what `source` holds, holes left out."""
        fd, at, left = source.fileno(), 0, length
        end = os.fstat(fd).st_size
        while left > 0 and at < end:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            stop = os.lseek(fd, at, os.SEEK_HOLE)
            while at < stop and left > 0:
                block = os.pread(fd, min(4 << 20, stop - at, left), at)
                target.write(block)
                at += len(block)
                left -= len(block)
        while left > 0:
            target.write(b"\0" * min(left, 1 << 20))
            left -= 1 << 20
