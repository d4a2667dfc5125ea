"""Prints docs/requirements.md: which requirement has which test, and what is not there yet.

    python3 tests/requirements_map.py            prints the page
    python3 tests/requirements_map.py --check    fails if the committed page differs, or cites an id that does not exist

A test cites the ids that it would fail without: in its name, in its body, or in the comment above it. docs/requirements.tsv has the
ids with their titles, docs/requirements-notes.tsv what there is to say of one beside its tests (`superseded by`, `not there yet`).
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "requirements.md"
ID = re.compile(r"(?<!\.)\b(S[0-4]-R?\d+|C-\d+|D\d{1,2})\b(?:\s*(?:to|\.\.)\s*(S[0-4]-R?\d+|C-\d+|D\d{1,2}|R?\d+)\b)?")
CPP_TEST = re.compile(r'^\s*TEST_CASE(?:_TEMPLATE|_FIXTURE)?\(.*?"((?:[^"\\]|\\.)*)"', re.M)
PY_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)", re.M)
JS_TEST = re.compile(r'^\s*(?:await )?(?:test|it)\(\s*["\'`](.*?)["\'`]\s*,', re.M)


def read_table(path):
    rows = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


def expand(first, last):
    """`S0-1 to S0-5` and `C-7 .. 9` name every id between."""
    if not last:
        return [first]
    head = re.match(r"(.*?)(\d+)$", first)
    tail = re.search(r"(\d+)$", last)
    return [f"{head[1]}{n}" for n in range(int(head[2]), int(tail[1]) + 1)]


def test_files():
    for pattern in ("src/**/*_test.cc", "tests/**/*.py", "tests/**/*_test.cc", "ui/**/*.test.ts", "ui/**/*.test.mjs", "clients/**/*.test.*", "clients/**/test_*.py", "tests/**/*.mjs"):
        for path in sorted(ROOT.glob(pattern)):
            if "node_modules" not in path.parts and path.name not in ("requirements_map.py", "layers_test.py"):
                yield path


def cited():
    """id -> list of (file, test name) in order of files."""
    found = {}
    for path in test_files():
        text = path.read_text(encoding="utf-8")
        expression = {".cc": CPP_TEST, ".py": PY_TEST}.get(path.suffix, JS_TEST)
        tests = [(m.start(), m[1]) for m in expression.finditer(text)]
        if not tests:
            continue
        for match in ID.finditer(text):
            line_start = text.rfind("\n", 0, match.start()) + 1
            above = re.match(r"\s*(//|#|/\*|\*|@)", text[line_start:])
            name = None
            if above:
                # A comment directly above a test belongs to that test, one inside a test to the test around it.
                following = [t for t in tests if t[0] >= match.start()]
                if following and not re.search(r"^[^\s/#*@]", text[match.end():following[0][0]].split("\n", 1)[-1], re.M):
                    name = following[0][1]
            if name is None:
                line_end = text.find("\n", match.start())
                before = [t for t in tests if t[0] <= line_end]
                name = before[-1][1] if before else None
            if name is None:
                continue
            for one in expand(match[1], match[2]):
                places = found.setdefault(one, [])
                if (path, name) not in places:
                    places.append((path, name))
    return found


def page():
    titles = read_table(ROOT / "docs" / "requirements.tsv")
    notes = read_table(ROOT / "docs" / "requirements-notes.tsv")
    tests = cited()
    out = ["# Requirements and their tests", "",
           "Printed by `tests/requirements_map.py` from the ids that the tests cite; a test that cites an id would fail without what it asks for.",
           "`S<n>` are items of the five source documents, `C` where they contradict one another, `D` what no comparable system has.", ""]
    with_test = [i for i in titles if i in tests]
    noted = [i for i in titles if i not in tests and i in notes]
    missing = [i for i in titles if i not in tests and i not in notes]
    out += [f"{len(with_test)} have a test, {len(noted)} have a word of explanation instead, {len(missing)} are not there yet.", ""]
    group = None
    for one, title in titles.items():
        head = one.split("-")[0] if one[0] == "S" else one[0]
        if head != group:
            group = head
            name = {"S": "Source document 00" + head[1:], "C": "Contradictions", "D": "What no other system has"}[head[0]]
            out += [f"## {name}", "", "| id | what | tests |", "|---|---|---|"]
        cells = []
        for path, test in tests.get(one, [])[:4]:
            cells.append(f"`{path.relative_to(ROOT)}`: {test}".replace("|", "\\|"))
        if len(tests.get(one, [])) > 4:
            cells.append(f"and {len(tests[one]) - 4} more")
        if one in notes:
            cells.append(f"*{notes[one]}*")
        title = title.replace("|", "\\|")
        out.append(f"| {one} | {title} | {'<br>'.join(cells) or 'not there yet'} |")
        following = list(titles)[list(titles).index(one) + 1:][:1]
        if following and (following[0].split("-")[0] if following[0][0] == "S" else following[0][0]) != group:
            out.append("")
    return "\n".join(out) + "\n", [i for i in tests if i not in titles], [i for i in notes if i not in titles]


def main():
    text, unknown, unknown_notes = page()
    if "--check" not in sys.argv:
        sys.stdout.write(text)
        return
    wrong = [f"a test cites {i}, which docs/requirements.tsv does not have" for i in unknown] + [f"docs/requirements-notes.tsv has {i}, which docs/requirements.tsv does not have" for i in unknown_notes]
    if PAGE.read_text(encoding="utf-8") != text:
        wrong.append("docs/requirements.md is not what the tests say: python3 tests/requirements_map.py > docs/requirements.md")
    print("\n".join(wrong) or "requirements: the page says what the tests say")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
