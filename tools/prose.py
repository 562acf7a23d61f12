#!/usr/bin/env python3
"""Checks that comments and documentation are plain technical English. CONTRIBUTING.md has the rules.

Usage: tools/prose.py [--base COMMIT] [--lines N]

Counts words that hide the subject of a sentence, in comments of Rust and WIT files and in the text of Markdown files:

    relatives  what, whatever, whoever, whichever
    pronouns   who, whom, whose, nobody, somebody, anybody, everybody, no one, others
    speech     say, tell, ask, hear, speak, and their forms

The whole tree may have at most 3 relatives, 1 pronoun and 2 words of speech per 1,000 words. The same holds for the lines
that a change adds since the merge base with COMMIT (default: $PROSE_BASE, origin/main or main), where one word of each kind
is always free. There, names of new functions and the literals of the host count too. Text in backticks, double quotes and
fenced blocks does not count. Nor does a line with the marker `prose: ok`, for a sentence that no noun makes clearer.

--lines N lists the N densest lines of the tree and checks nothing.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

RELATIVES = "what|whatever|whoever|whichever"
PRONOUNS = "who|whom|whose|nobody|somebody|anybody|everybody|no one|others"
SPEECH = (
    "say|says|said|saying|tell|tells|told|telling|ask|asks|asked|asking|"
    "hear|hears|heard|speak|speaks|spoken|spoke"
)
# The most per 1,000 words, the words, and the remedy.
RULES = {
    "relatives": (3, RELATIVES, "name the thing"),
    "pronouns": (1, PRONOUNS, "name the subject"),
    "speech": (2, SPEECH, "machines return, report, log, request"),
}
PATTERNS = {kind: re.compile(rf"\b(?:{words})\b", re.I) for kind, (_, words, _) in RULES.items()}
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
FUNCTION = re.compile(r"\bfn (\w+)")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
QUOTED = re.compile(r"`[^`\n]*`|\"[^\"\n]*\"")
MARKER = "prose: ok"


def git(*arguments):
    """Returns the output of a git command, or None if it fails."""
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace")
    return ran.stdout if ran.returncode == 0 else None


def prose(path, known_functions=None):
    """Yields the prose of a file: numbers and texts of lines. With a set of functions also names of further functions,
    and the texts of the host's errors, log lines and help."""
    fenced = False
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        text = None
        if path.suffix == ".md":
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif not fenced:
                text = line
        elif comment := re.match(r"\s*//[/!]?\s?(.*)", line) or re.search(r"\s//\s(.*)", line):
            text = comment.group(1)
        elif known_functions is not None:
            function = FUNCTION.search(line)
            literals = LITERAL.findall(line) if path.parts[:2] == ("host", "src") else []
            parts = [function.group(1).replace("_", " ")] if function and function.group(1) not in known_functions else []
            text = " ".join(parts + [literal for literal in literals if len(WORD.findall(literal)) > 2]) or None
            if text and MARKER not in line:
                yield number, text
            continue
        if text is not None and MARKER not in line:
            yield number, QUOTED.sub("", text)


def added_since(commit):
    """Returns the numbers of the lines that were added since a commit, by file, and the functions that were removed or
    moved. New files count as a whole."""
    added, functions, path = defaultdict(set), set(), None
    for line in git("diff", "-U0", "--no-color", commit).splitlines():
        if line.startswith("+++ "):
            path = line[6:]
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(hunk.group(1)), int(hunk.group(2) or 1)
            added[path].update(range(first, first + count))
        elif line.startswith("-") and (function := FUNCTION.search(line)):
            functions.add(function.group(1))
    return added, functions


def base(wanted):
    """Returns the merge base of HEAD and the wanted or default commit. Returns None for shallow clones and exports, and
    where there is no change: on `main` without edits."""
    is_edited = git("diff", "--quiet", "HEAD") is None
    for name in [wanted] if wanted else ["origin/main", "main"]:
        found = (git("merge-base", "HEAD", name) or "").strip()
        if found and (is_edited or found != git("rev-parse", "HEAD").strip()):
            return found
    return None


def check(title, lines, free, listed):
    """Prints how many words of each kind some lines have. Returns whether all kinds are within their limits. `free` words
    of each kind are always allowed. `listed` also prints the places of those above their limit."""
    words, good = sum(len(WORD.findall(text)) for _, text in lines), True
    for kind, (most, _, remedy) in RULES.items():
        hits = [(place, hit) for place, text in lines for hit in PATTERNS[kind].findall(text)]
        limit = max(free, most * words // 1000)
        print(f"prose: {title}: {words} words, {len(hits)} {kind} (limit {limit})")
        if len(hits) > limit:
            good = False
            for place, hit in hits if listed else []:
                print(f"{place}: `{hit}`: {kind}: {remedy}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=os.environ.get("PROSE_BASE"), help="compare with the merge base with this commit")
    parser.add_argument("--lines", type=int, metavar="N", help="list the N densest lines and check nothing")
    options = parser.parse_args()
    os.chdir(Path(__file__).resolve().parent.parent)
    listed = git("ls-files", "--cached", "--others", "--exclude-standard")
    names = listed.splitlines() if listed else [str(path) for path in Path().rglob("*") if "target" not in path.parts]
    files = [path for path in map(Path, names) if path.suffix in (".rs", ".wit", ".md") and path.is_file()]

    whole = [(f"{path}:{number}", text) for path in files for number, text in prose(path)]
    if options.lines:
        dense = []
        for place, text in whole:
            hits = sum(len(pattern.findall(text)) for pattern in PATTERNS.values())
            dense.append((hits / max(len(WORD.findall(text)), 6), f"{place}: {text.strip()}"))
        for _, line in sorted(dense, reverse=True)[: options.lines]:
            print(line)
        return 0

    good = check("whole tree", whole, free=0, listed=False)
    if not good:
        print("prose: the tree is above a limit; `tools/prose.py --lines 40` lists the densest lines")
    commit = base(options.base)
    if commit is None:
        print("prose: no change to compare with another commit, so only the whole tree was checked")
        return 0 if good else 1
    added, functions = added_since(commit)
    for name in (git("ls-files", "--others", "--exclude-standard") or "").splitlines():
        added[name] = range(sys.maxsize)
    changed = [path for path in files if str(path) in added]
    lines = [
        (f"{path}:{number}", text)
        for path in changed
        for number, text in prose(path, functions)
        if number in added[str(path)]
    ]
    good &= check(f"added since {commit[:12]}", lines, free=1, listed=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
