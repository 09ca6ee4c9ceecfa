#!/usr/bin/env python3
"""The rules of the tree that a compiler does not check. One rule a call:

    lint.py layers      quote includes follow the layer table, angle includes are known
    lint.py confined    each library's headers are used in one folder
    lint.py banned      what is unsafe, or belongs to the command line alone
    lint.py length      files stay readable
    lint.py words       nothing unfinished, no paths of somebody's machine, no pages that are missing

Prints one line per breach, as file:line: text, and exits with 1 when there is any.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Folder of a layer -> the layers whose headers it may include besides its own (docs/ARCHITECTURE.md).
LAYERS = {
    "engine/base": [],
    "engine/config": ["engine/base"],
    "engine/io": ["engine/base"],
    "engine/codec": ["engine/base"],
    "engine/image": ["engine/base", "engine/io", "engine/codec"],
    "engine/guest": ["engine/base"],
    "engine/job": ["engine/base", "engine/config", "engine/io", "engine/image", "engine/guest"],
    "formats": ["engine/base", "engine/io", "engine/codec", "engine/image"],
    "stages": ["engine/base", "engine/config", "engine/io", "engine/codec", "engine/image", "engine/guest",
               "engine/job"],
}
LAYERS["engine/cli"] = list(LAYERS)

# Library -> its headers. Each library is for one folder to know (the tests aside).
LIBRARIES = {
    "libyaml": r"yaml\.h",
    "libdeflate": r"libdeflate\.h",
    "zlib": r"zlib\.h",
    "zstd": r"zstd(_errors)?\.h",
    "bzip2": r"bzlib\.h",
    "lzma": r"lzma\.h",
    "sqlite": r"sqlite3\.h",
    "jansson": r"jansson\.h",
    "libcrypto": r"openssl/.*",
    "libcurl": r"curl/.*",
    "libnbd": r"libnbd\.h",
    "libxml2": r"libxml/.*",
    "libarchive": r"archive(_entry)?\.h",
    "libguestfs": r"guestfs\.h",
}
# jansson builds and reads JSON documents: two folders speak JSON to the outside.
SHARED = {"jansson": {"engine/job", "engine/cli"}}

SYSTEM = re.compile(
    r"(assert|ctype|dirent|endian|errno|fcntl|fnmatch|getopt|glob|inttypes|langinfo|libgen|limits"
    r"|locale|malloc|math|mntent|poll|pthread|pwd|sched|setjmp|signal|spawn|stdarg|stdatomic"
    r"|stdbool|stddef|stdint|stdio|stdlib|string|strings|termios|time|unistd|wchar|wctype"
    r"|iconv|immintrin)\.h|(sys|linux|net|netinet|arpa)/\w+\.h")

ANYWHERE = ("strcpy strcat stpcpy sprintf vsprintf gets strtok atoi atol atoll atof alloca tmpnam "
            "tempnam mktemp strncat bcopy bzero usleep asctime ctime gmtime localtime readdir_r "
            "signal vfork").split()
EDGE_ONLY = ("printf vprintf fprintf vfprintf puts fputs putchar fputc putc perror exit abort "
             "getenv secure_getenv setenv putenv unsetenv system popen setlocale err errx warn "
             "warnx syslog").split()
# What a folder below the command line may do after all, and why.
EXCEPTIONS = {
    ("engine/job", "getenv"): "secrets and ${env:NAME} are read where they are asked for",
}

breaches = 0


def breach(path, line, text):
    global breaches
    breaches += 1
    print(f"{os.path.relpath(path, ROOT)}:{line}: {text}")


def files(*tops, ends=(".c", ".h")):
    for top in tops:
        for folder, names, found in os.walk(os.path.join(ROOT, top)):
            names[:] = sorted(n for n in names if n != "seeds" and not n.startswith("build"))
            for name in sorted(found):
                if name.endswith(ends):
                    yield os.path.join(folder, name)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text):
    """The text with comments and the insides of literals blanked; lines stay where they were."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def includes(path):
    for number, line in enumerate(read(path).split("\n"), 1):
        if m := re.match(r'\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', line):
            yield number, m[2], m[3]


def layer_of(path):
    inside = os.path.relpath(path, ROOT)
    return next((l for l in LAYERS if inside.startswith(l + "/")), None)


def lint_layers():
    for path in files("engine", "formats", "stages"):
        own = layer_of(path)
        if not own:
            breach(path, 1, "is in no layer: name its folder in the layer table")
            continue
        for number, system, quoted in includes(path):
            if system:
                if not SYSTEM.fullmatch(system) and not library_of(system):
                    breach(path, number, f"<{system}> is neither a system header nor of a library "
                           "in the tables of tests/lint/lint.py")
                continue
            if os.path.exists(os.path.join(os.path.dirname(path), quoted)) and "/" not in quoted:
                continue
            roots = [own] + LAYERS[own]
            if any(os.path.exists(os.path.join(ROOT, r, quoted)) for r in roots):
                if ".." not in quoted:
                    continue
            holder = next((l for l in LAYERS if os.path.exists(os.path.join(ROOT, l, quoted))), None)
            breach(path, number, f"{own} may not include \"{quoted}\""
                   + (f" of {holder}" if holder else ""))


def library_of(header):
    return next((l for l, p in LIBRARIES.items() if re.fullmatch(p, header)), None)


def lint_confined():
    users = {}
    for path in files("engine", "formats", "stages"):
        for number, system, _ in includes(path):
            library = system and library_of(system)
            if library:
                users.setdefault(library, {}).setdefault(
                    os.path.relpath(os.path.dirname(path), ROOT), (path, number))
    for library, folders in users.items():
        if len(folders) > 1 and not set(folders) <= SHARED.get(library, set()):
            for folder, (path, number) in folders.items():
                breach(path, number, f"{library} is used in {len(folders)} folders "
                       f"({', '.join(sorted(folders))})")


def lint_banned():
    call = re.compile(r"(?<![\w.>])(\w+)\s*\(")
    # Its release would run on whatever the stack held, when a return comes before the first value.
    unset = re.compile(r"\bAUTO\(\w+\)\s+[^=;{}()]*;")
    for path in files("engine", "formats", "stages", "tests"):
        layer = layer_of(path)
        for m in unset.finditer(code(read(path))):
            breach(path, code(read(path)).count("\n", 0, m.start()) + 1,
                   "a variable with AUTO needs a first value")
        for number, line in enumerate(code(read(path)).split("\n"), 1):
            for name in call.findall(line):
                if name in ANYWHERE:
                    breach(path, number, f"{name} is not used here: there is a safer way")
                elif (name in EDGE_ONLY and layer and layer != "engine/cli"
                      and (layer, name) not in EXCEPTIONS):
                    breach(path, number, f"{name} belongs to engine/cli alone")


def lint_length():
    for path in files("engine", "formats", "stages", "tests", ends=(".c", ".h", ".py", ".sh")):
        lines = read(path).count("\n")
        if lines > 700:
            breach(path, lines, f"{lines} lines: split it by role (600 is the aim, 700 the end)")
        elif lines > 600:
            print(f"{os.path.relpath(path, ROOT)}: {lines} lines: time to split it")


def lint_words():
    # Written with brackets, so that this file does not trip over itself.
    unfinished = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|/wor[k]/|"
                            r"(?i:not (yet )?implemente[d])")
    tops = ["engine", "formats", "stages", "tests", "docs", "jobs", "schemas"]
    paths = list(files(*tops, ends=(".c", ".h", ".py", ".sh", ".md", ".yaml", ".txt", ".json")))
    paths += [os.path.join(ROOT, n) for n in sorted(os.listdir(ROOT))
              if n.endswith((".md", ".sh", ".txt", ".json"))]
    for path in paths:
        for number, line in enumerate(read(path).split("\n"), 1):
            if m := unfinished.search(line):
                breach(path, number, f"'{m[0]}' does not belong here")
            for page in re.findall(r"\bdocs/[\w/-]+\.md\b", line):
                if not os.path.exists(os.path.join(ROOT, page)):
                    breach(path, number, f"there is no {page}")


if __name__ == "__main__":
    rule = globals().get("lint_" + (sys.argv[1] if len(sys.argv) == 2 else ""))
    if not rule:
        sys.exit(__doc__)
    rule()
    sys.exit(1 if breaches else 0)
