"""The house: a folder of src/ includes only what ARCHITECTURE.md's table lets it (style.md of the project, section 2).

Prints the first edge that breaks the picture. A new edge is a decision, made here and in ARCHITECTURE.md together.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAY_INCLUDE = {
    "base": "",
    "config": "base",
    "event": "base",
    "analytics": "base",
    "net": "base config",
    "log": "base config event",
    "cluster": "base config",
    "feeds": "net log event config base",
    "processors": "log cluster event analytics config base",
    "stores": "log event net config base",
    "gateway": "log event net config base",
    "app": "base config event analytics net log cluster feeds processors stores gateway",
}

# An outside library has one home, and is included only in .cc files there (tests may use what they test with).
HOMES = {
    "spdlog/": {"base"}, "fmt/": {"base"}, "date/": {"base"},
    "toml++/": {"config"},
    "simdjson.h": {"event"},
    "openssl/": {"net"}, "zlib.h": {"net"}, "curl/": {"net"},
    "sqlite3.h": {"log"}, "zstd.h": {"log"}, "xxhash.h": {"event", "log"},
    "libpq-fe.h": {"stores"},
    "libxml/": {"feeds"},
    "CLI/": {"app"},
    "nats/": {"log", "cluster"},
    "nlohmann/": set(),
    "boost/": set(),
}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def errors():
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        folder = path.relative_to(ROOT / "src").parts[0]
        is_test = path.stem.endswith(("_test", "_for_tests", "_test_support"))
        # A header that only the .cc files of its own folder share counts as one of them.
        is_internal = path.stem.endswith("_internal")
        allowed = set(MAY_INCLUDE.get(folder, "").split()) | {folder}
        for bracket, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            where = path.relative_to(ROOT)
            if bracket == '"':
                first = name.split("/")[0]
                if first != folder and name.endswith("_internal.h"):
                    yield f'{where} includes "{name}", which is internal to {first}'
                elif "/" not in name:
                    yield f'{where} includes "{name}": write the path from src/'
                elif first not in allowed:
                    yield f'{where} includes "{name}", but {folder} may include only: {" ".join(sorted(allowed))}'
            elif not is_test:
                for library, homes in HOMES.items():
                    if name.startswith(library):
                        if folder not in homes:
                            yield f"{where} includes <{name}>, whose home is {' or '.join(sorted(homes)) or 'tests and bench only'}"
                        elif path.suffix == ".h" and not is_internal:
                            yield f"{where} includes <{name}> in a header: keep it in a .cc of {folder}"


def main():
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    unknown = folders - set(MAY_INCLUDE)
    found = [f"src/{name} is not in the table of the house" for name in sorted(unknown)] + list(errors())
    for line in found:
        print(line)
    print(f"layers: {len(found)} broken edges")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
