#!/usr/bin/env python3
"""Checks what the compiler cannot: who includes whom, what nobody may write, what nobody builds.

Run as a ctest and by `stentor.sh check`. The tables below are the rules; changing a row of ROWS is
a decision that wants an ADR under docs/adr/.

    check_tree.py [--build BUILD_DIRECTORY] [ROOT]

With --build, sources that no target of that build directory compiles are errors too.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import subprocess
import sys

# --- who may include whom ---------------------------------------------------------------------

# A library is known by how its headers are named; the first match counts.
LIBRARIES = [
    ("asio", r"boost/asio"),
    ("beast", r"boost/beast"),
    ("json", r"boost/json|jansson\.h"),
    ("boost", r"boost/"),
    ("spdlog", r"spdlog/"),
    ("fmt", r"fmt/"),
    ("openssl", r"openssl/"),
    ("argon2", r"argon2\.h"),
    ("sqlite", r"sqlite3\.h"),
    ("toml", r"toml\+\+/|toml\.hpp"),
    ("cli", r"CLI/"),
    ("test", r"gtest/|gmock/"),
    ("benchmark", r"benchmark/"),
    ("paho", r"mqtt/|MQTT"),
    ("mimalloc", r"mimalloc"),
    ("systemd", r"systemd/"),
    ("uring", r"liburing"),
    ("epoll", r"sys/(epoll|eventfd|timerfd)\.h"),
    ("sockets", r"sys/(socket|un)\.h|netinet/|arpa/|netdb\.h|net/|linux/"),
    ("posix", r"sys/|[a-z_0-9]+\.h$"),
    ("std", r"[a-z_0-9]+$"),
]


@dataclasses.dataclass(frozen=True)
class Row:
    """What the files under `folder` may include; the longest matching folder decides.

    `ours` are folders or files of the repository ("*" in them as in a shell, "/" for everything),
    `never` takes some of them away again. Every folder may include itself and std.
    """

    folder: str
    ours: tuple = ()
    never: tuple = ()
    libraries: tuple = ()


BELOW_CORE = ("base", "protocol", "auth", "persistence")
ENGINES = ("persistence/memory", "persistence/sqlite", "persistence/jetstream")
ASIO = ("base/asio", "auth/http/client")
PURE_NEVER = ("base/log.hpp",) + ASIO

ROWS = [
    # fmt because log.hpp takes format strings, which g++ 12 has no std::format for.
    Row("base", libraries=("boost", "fmt", "posix")),
    Row("base/log.cpp", ("base",), libraries=("boost", "fmt", "posix", "spdlog")),
    Row("base/asio", ("base",), libraries=("boost", "asio", "beast")),
    Row("protocol", ("base",), PURE_NEVER, ("boost",)),
    Row("auth", ("base", "protocol/topic"), ASIO,
        ("boost", "openssl", "argon2", "posix")),
    Row("auth/jwt", ("base", "auth"), ASIO, ("boost", "openssl", "json", "posix")),
    Row("auth/http", ("base", "auth"), ASIO,
        ("boost", "openssl", "json", "posix")),
    # The one place below the server that has sockets: it asks a web service.
    Row("auth/http/client", ("base", "auth"),
        libraries=("boost", "openssl", "posix", "asio", "beast")),
    Row("persistence", ("base", "protocol"), ("protocol/session",) + ASIO, ("boost", "posix")),
    Row("persistence/sqlite", ("base", "protocol", "persistence"), ("protocol/session",),
        ("boost", "posix", "sqlite")),
    Row("persistence/state", ("base", "protocol", "persistence"), ("protocol/session",),
        ("boost", "posix", "sqlite")),
    Row("server/core", BELOW_CORE, ENGINES + ASIO, ("boost",)),
    Row("server/metrics", ("base", "protocol"), libraries=("boost", "fmt", "posix")),
    # Beast for the HTTP upgrade of a WebSocket only; its buffers are Asio's, nothing else of it is.
    Row("server/shard",
        BELOW_CORE + ("server/core", "server/transport", "server/metrics"), ENGINES + ASIO,
        ("boost", "fmt", "posix", "sockets", "epoll", "openssl")),
    Row("server/transport",
        BELOW_CORE + ("server/core", "server/shard", "server/metrics"), ENGINES + ASIO,
        ("boost", "fmt", "posix", "sockets", "epoll", "openssl", "beast")),
    # The transport for what stands between a socket and HTTP: docs/adr/0009-http-door.md.
    Row("server/admin",
        BELOW_CORE + ("server/core", "server/shard", "server/transport", "server/metrics"),
        ENGINES + ("protocol/session",),
        ("boost", "fmt", "posix", "sockets", "openssl", "asio", "beast", "json")),
    Row("server/config", ("base", "protocol/topic", "*options.hpp"),
        libraries=("boost", "fmt", "posix", "sockets", "toml")),
    Row("server/app", ("/",),
        libraries=("boost", "fmt", "posix", "sockets", "epoll", "openssl", "asio", "beast", "json",
                   "sqlite", "cli", "mimalloc", "systemd")),
    # The tools speak MQTT through protocol/; of the server they know the configuration only.
    Row("tools", ("base", "protocol", "auth", "server/config"),
        libraries=("boost", "fmt", "posix", "sockets", "epoll", "openssl", "asio", "beast", "json",
                   "cli")),
    Row("tests", ("/",),
        libraries=tuple(name for name, _ in LIBRARIES if name not in ("spdlog",))),
]
ROWS += [dataclasses.replace(row, folder=f"server/{name}")
         for row in ROWS if row.folder == "server/admin" for name in ("bridge", "cluster", "push")]

# A unit test sits beside its source, under its row, and may use this as well.
UNIT_TEST_OURS = ("tests/kit", "persistence/memory")
UNIT_TEST_LIBRARIES = ("test", "posix", "fmt")

# --- what nobody may write ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ban:
    """`pattern` in the code (comments and strings are blanked) of files under `where` is an error,
    except under `allowed`."""

    pattern: str
    instead: str
    where: tuple = ("",)
    allowed: tuple = ()
    files: str = r"\.(hpp|cpp)$"
    unit_tests: bool = True  # whether *_test.cpp are held to it as well


BANS = [
    Ban(r"\b(steady|system|high_resolution)_clock::now\b|\b(clock_gettime|gettimeofday)\b",
        "take `Instant now`, or call monotonic_now() of base/clock.hpp",
        allowed=("base/clock.cpp", "tests/kit")),
    Ban(r"\b(monotonic_now|wall_clock_unix_ms)\b",
        "this code is a calculation: take `Instant now` as a parameter",
        where=("protocol", "server/core"), unit_tests=False),
    Ban(r"\brandom_device\b|\bgetrandom\b|\bRAND_bytes\b|\b(s?rand|rand_r)\s*\(",
        "random_bytes() or a seeded Random of base/random.hpp", allowed=("base/random.cpp",)),
    Ban(r"\brandom_(seed|bytes|hash_key)\b",
        "this code is a calculation: take the randomness as a parameter",
        where=("protocol", "server/core"), unit_tests=False),
    Ban(r"\bsleep_(for|until)\b|\b(usleep|nanosleep|sleep)\s*\(",
        "wait for a condition or advance the clock", allowed=("tests/kit",)),
    Ban(r"\bstd::j?thread\b(?!::)|\bpthread_create\b|\bstd::async\b",
        "threads are started in the places that BANS names",
        where=("base", "protocol", "server/core", "server/config", "server/metrics",
               "server/transport"),
        unit_tests=False),
    Ban(r"\b(shared_ptr|weak_ptr|make_shared)\b",
        "unique_ptr, an id with a generation, or IntrusivePtr",
        where=("protocol", "server/core", "server/shard")),
    Ban(r"\busing\s+namespace\b", "name what is used", files=r"\.hpp$"),
    Ban(r"\bFRIEND_TEST\b|\bfriend\s+class\s+\w*Test\b|#\s*define\s+(private|protected)\b",
        "test what a user of the class can see"),
    Ban(r"\bstd::(cout|cerr|clog)\b|\bprintf\s*\(", "STENTOR_LOG",
        where=("base", "protocol", "auth", "persistence", "server"), allowed=("server/app",),
        unit_tests=False),
]

LINE_CHARACTERS_MAX = 100
LINE_FILES = re.compile(r"\.(hpp|cpp|cmake|py|sh)$|CMakeLists\.txt$")
HEADER_LINES = 200
SOURCE_LINES = 600

# ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    text: str
    warning: bool = False

    def __str__(self):
        return f"{self.path}:{self.line}: {'warning' if self.warning else 'error'}: {self.text}"


TOKENS = re.compile(
    r'R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"'  # raw string
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)*'",  # not the separator of 1'000
    re.DOTALL)


# The second group is the header; there is none where a macro or another line has it, or where a
# directive is one of the less usual.
INCLUDE = re.compile(
    r'^[ \t]*(?:#[ \t]*include[ \t]*(["<])([^">\n]+)[">]'
    r"|(?:#|%:)[ \t]*(?:include|import)[^\n]*)",
    re.MULTILINE)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    """The text with comments, strings and characters blanked, every line where it was."""
    return TOKENS.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def under(path, folder):
    """Whether `path` is `folder` (a folder, file or pattern; "" and "/" are everything)."""
    if folder in ("", "/"):
        return True
    if "*" in folder:
        return pathlib.PurePosixPath(path).match(folder)
    return path == folder or path.startswith(folder + "/")


def row_of(path):
    rows = [row for row in ROWS if under(path, row.folder)]
    return max(rows, key=lambda row: len(row.folder), default=None)


def library_of(header):
    return next((name for name, pattern in LIBRARIES if re.match(pattern, header)), header)


def is_unit_test(path):
    return path.endswith("_test.cpp")


def check_includes(path, text, exists):
    row = row_of(path)
    if row is None:
        yield Finding(path, 1, "no row of check_tree.py says what this folder may include")
        return
    code = TOKENS.sub(lambda m: m.group() if m.group().startswith('"') else blank(m), text)
    for match in INCLUDE.finditer(code):
        header, line = match.group(2), line_of(code, match.start())
        if header is None:
            yield Finding(path, line, "an include names its header, on its line: "
                                      f"`{match.group().strip()}` could be any")
            continue
        if match.group(1) == '"':
            if not exists(header):
                yield Finding(path, line,
                              f'"{header}" is not a path from the root of the repository')
            elif not may_include_ours(path, row, header):
                yield Finding(path, line, f"{row.folder} must not include {header}")
        else:
            name = library_of(header)
            allowed = row.libraries + ("std",)
            if is_unit_test(path):
                allowed += UNIT_TEST_LIBRARIES
            # Asio's buffers are what Beast's HTTP parser reads from.
            beast_needs = "beast" in row.libraries and header == "boost/asio/buffer.hpp"
            if name not in allowed and not beast_needs:
                yield Finding(path, line, f"{row.folder} must not include {name} (<{header}>)")


def may_include_ours(path, row, header):
    folder = row.folder if not row.folder.endswith(".cpp") else ""
    ours = row.ours + ((folder,) if folder else ())
    never = row.never
    if is_unit_test(path):
        ours += UNIT_TEST_OURS
        never = tuple(n for n in never if n not in UNIT_TEST_OURS)
    if under(header, "server/app") and not under(path, "server/app") and not under(path, "tests"):
        return False
    return any(under(header, o) for o in ours) and not any(under(header, n) for n in never)


def check_bans(path, code):
    for ban in BANS:
        if not re.search(ban.files, path) or (is_unit_test(path) and not ban.unit_tests):
            continue
        if not any(under(path, w) for w in ban.where) or any(under(path, a) for a in ban.allowed):
            continue
        for match in re.finditer(ban.pattern, code):
            yield Finding(path, line_of(code, match.start()),
                          f"`{match.group().strip()}` is not for this place: {ban.instead}")


def check_catch_all(path, code):
    for match in re.finditer(r"\bcatch\s*\(\s*\.\.\.\s*\)\s*\{", code):
        depth, end = 1, match.end()
        while end < len(code) and depth:
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        if not re.search(r"\bthrow\s*;|\b(rethrow|terminate|abort|current_exception)",
                         code[match.end():end]):
            yield Finding(path, line_of(code, match.start()),
                          "catch (...) that does not rethrow: catch what can be answered")


def check_text(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if LINE_FILES.search(path) and len(line) > LINE_CHARACTERS_MAX:
            yield Finding(path, number, f"{len(line)} characters, {LINE_CHARACTERS_MAX} at most")
        if re.search(r"\.(hpp|cpp)$", path) and re.search(r"//.*\b(TODO|FIXME|XXX)\b(?!\(#\d+\))",
                                                          line):
            yield Finding(path, number, "an open end carries an issue number: TODO(#12)")


def check_shape(path, text):
    lines = text.count("\n")
    if path.endswith(".hpp"):
        start = text.lstrip()
        if not re.match(r"#pragma once\s*\n\s*(//|/\*)", start):
            yield Finding(path, 1, "a header starts with #pragma once and a comment that says what "
                                   "it is, whether it is pure and which thread runs it")
        if lines > HEADER_LINES:
            yield Finding(path, 1, f"{lines} lines: what second thing is in here?", warning=True)
    elif path.endswith(".cpp") and not is_unit_test(path) and lines > SOURCE_LINES:
        yield Finding(path, 1, f"{lines} lines: what second thing is in here?", warning=True)


def check_built(paths, root, build):
    """Every .cpp must be compiled by some target: a test that does not run is worse than none."""
    commands = json.loads((build / "compile_commands.json").read_text())
    built = set()
    for command in commands:
        file = (pathlib.Path(command["directory"]) / command["file"]).resolve()
        if file.is_relative_to(root):
            built.add(file.relative_to(root).as_posix())
    for path in paths:
        if path.endswith(".cpp") and path not in built:
            yield Finding(path, 1, "no target builds this file")


def check_file(path, text, exists):
    if re.search(r"\.(hpp|cpp)$", path):
        code = code_of(text)
        yield from check_includes(path, text, exists)
        yield from check_bans(path, code)
        yield from check_catch_all(path, code)
        yield from check_shape(path, text)
    yield from check_text(path, text)


def files_of(root):
    """What git knows or would add; in an unpacked archive everything but the build."""
    try:
        listing = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            check=True, capture_output=True).stdout.decode()
        names = listing.split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith(("build/", ".git/"))]
    wanted = re.compile(r"\.(hpp|cpp|cmake|py|sh)$|CMakeLists\.txt$")
    return sorted({n for n in names if wanted.search(n) and (root / n).is_file()})


def main():
    parser = argparse.ArgumentParser(description="Checks include directions and banned constructs.")
    parser.add_argument("--build", type=pathlib.Path, help="a configured build directory")
    parser.add_argument("root", type=pathlib.Path, nargs="?",
                        default=pathlib.Path(__file__).resolve().parents[2])
    arguments = parser.parse_args()
    root = arguments.root.resolve()

    paths = files_of(root)
    findings = []
    for path in paths:
        text = (root / path).read_text(encoding="utf-8")
        findings += check_file(path, text, lambda header: (root / header).is_file())
    if arguments.build:
        findings += check_built(paths, root, arguments.build)

    for finding in sorted(findings):
        print(finding)
    errors = sum(not finding.warning for finding in findings)
    print(f"{len(paths)} files, {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
