#!/usr/bin/env python3
"""The code map of docs/ARCHITECTURE.md: each header with the first sentence of its comment, each
stage with its file. `codemap.py` checks that the map is up to date, `codemap.py --write` renews it."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "ARCHITECTURE.md")
BEGIN, END = "<!-- code map: tests/lint/codemap.py --write -->\n", "<!-- end of the code map -->\n"
FOLDERS = ["engine/base", "engine/config", "engine/io", "engine/codec", "engine/image", "engine/job",
           "formats", "stages", "engine/cli"]


def sentence(path):
    with open(path, encoding="utf-8") as f:
        comment = re.match(r"\s*/\*(.*?)\*/", f.read(), re.S)
    if not comment:
        return ""
    lines = [line.strip().lstrip("*").strip() for line in comment[1].strip().split("\n")]
    text = " ".join(lines[:lines.index("")] if "" in lines else lines)
    text = re.split(r"(?<=[a-z)`'\]])\.(?: |$)", text, maxsplit=1)[0]
    return text.replace("|", "\\|").rstrip(".:")


def entries(folder):
    for top, names, files in os.walk(os.path.join(ROOT, folder)):
        names.sort()
        headers = [n for n in sorted(files) if n.endswith(".h")]
        if folder == "stages":  # a stage has no header
            headers += [n for n in sorted(files) if n.endswith(".c")]
        for name in headers:
            path = os.path.join(top, name)
            yield os.path.relpath(path, os.path.join(ROOT, folder)), sentence(path)


def code_map():
    out = []
    for folder in FOLDERS:
        rows = list(entries(folder))
        if rows:
            out += [f"**{folder}**", "", "| file | what |", "|---|---|"]
            out += [f"| [{name}](../{folder}/{name}) | {what} |" for name, what in rows] + [""]
    return BEGIN + "\n" + "\n".join(out) + END


def main():
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    begin, end = page.index(BEGIN), page.index(END) + len(END)
    fresh = page[:begin] + code_map() + page[end:]
    if sys.argv[1:] == ["--write"]:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(fresh)
    elif fresh != page:
        sys.exit("the code map in docs/ARCHITECTURE.md is stale: run tests/lint/codemap.py --write")


main()
