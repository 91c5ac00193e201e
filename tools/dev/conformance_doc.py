#!/usr/bin/env python3
"""Writes docs/conformance.md from the tables under tests/conformance: every numbered statement of
MQTT 3.1.1 and 5.0 with its rows, or with the reason why it has none.

    conformance_doc.py [--check] [ROOT]

With --check nothing is written; it fails when the document is not what would be written. It always
fails when a statement that binds a server has neither row nor reason, when a row names a statement
that does not exist, or when two rows of a table have the same title.
"""

import argparse
import collections
import dataclasses
import pathlib
import re
import sys

FOLDERS = {"v311": "3.1.1", "v5": "5.0"}
CHAPTERS = {
    1: "Data representation",
    2: "Packet format",
    3: "Packets",
    4: "Operational behaviour",
    6: "WebSocket",
    7: "Conformance",
}
NUMBERED = re.compile(r"\d+\.\d+\.\d+-\d+")
SECTION = re.compile(r"s\d+(\.\d+)*")


@dataclasses.dataclass
class Statement:
    version: str
    number: str  # "3.1.2-24"
    binds: str
    paraphrase: str
    reason: str = ""
    rows: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Row:
    table: str  # "v5/connect"
    line: int
    title: str
    clauses: list
    needs: list = dataclasses.field(default_factory=list)


class Problems:
    def __init__(self):
        self.lines = []

    def add(self, where, what):
        self.lines.append(f"{where}: {what}")


def tsv(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            yield number, line.split("\t")


def read_statements(folder, problems):
    statements = {}
    for number, cells in tsv(folder / "statements.tsv"):
        where = f"statements.tsv:{number}"
        if len(cells) != 4 or cells[2] not in ("server", "client", "both"):
            problems.add(where, "expected version, identifier, server|client|both, paraphrase")
            continue
        key = (cells[0], cells[1].removeprefix("MQTT-"))
        if key in statements:
            problems.add(where, f"{cells[1]} of {cells[0]} a second time")
        statements[key] = Statement(*key, *cells[2:])
    for number, cells in tsv(folder / "untested.tsv"):
        where = f"untested.tsv:{number}"
        statement = statements.get((cells[0], cells[1].removeprefix("MQTT-")))
        if statement is None or len(cells) != 3:
            problems.add(where, "expected version, identifier of a statement, reason")
        else:
            statement.reason = cells[2]
    return statements


def read_rows(folder, problems):
    rows = []
    for version in FOLDERS:
        for path in sorted((folder / version).glob("*.txt")):
            table = f"{version}/{path.stem}"
            titles = set()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if line.startswith("=="):
                    title, _, clauses = line[2:].rpartition("|")
                    rows.append(Row(table, number, title.strip(), clauses.split()))
                    if title.strip() in titles:
                        problems.add(f"{table}.txt:{number}", "a title of this table again")
                    titles.add(title.strip())
                elif line.startswith("needs "):
                    rows[-1].needs += line.split()[1:]
    return rows


def connect(statements, rows, problems):
    for row in rows:
        version = FOLDERS[row.table.split("/")[0]]
        for clause in row.clauses:
            where = f"{row.table}.txt:{row.line}"
            if NUMBERED.fullmatch(clause):
                statement = statements.get((version, clause))
                if statement is None:
                    problems.add(where, f"{version} has no statement {clause}")
                else:
                    statement.rows.append(row)
            elif clause != "house" and not SECTION.fullmatch(clause):
                problems.add(where, f"not a clause: {clause}")
    for statement in statements.values():
        name = f"MQTT-{statement.number} of {statement.version}"
        if not statement.rows and not statement.reason:
            problems.add(name, "neither row nor reason")
        if statement.rows and statement.reason:
            problems.add(name, "has rows, and a reason in untested.tsv why not")


# --- writing ------------------------------------------------------------------------------------


def text(value):
    return re.sub(r"([|*_<>`$#])", r"\\\1", value)


def row_list(rows):
    parts = []
    for row in rows:
        needs = f" ({', '.join(row.needs)})" if row.needs else ""
        parts.append(f"`{row.table}` {text(row.title)}{needs}")
    return "<br>".join(parts)


def statement_tables(statements, version):
    chapters = collections.defaultdict(list)
    for statement in statements.values():
        if statement.version == version:
            chapters[int(statement.number.split(".")[0])].append(statement)
    for chapter, members in sorted(chapters.items()):
        yield f"### {version}, chapter {chapter}: {CHAPTERS[chapter]}"
        yield ""
        yield "| statement | binds | in our words | rows |"
        yield "|---|---|---|---|"
        for one in members:
            rows = row_list(one.rows) or f"none: {text(one.reason)}"
            yield f"| {one.number} | {one.binds} | {text(one.paraphrase)} | {rows} |"
        yield ""


def summary(statements, rows):
    yield "| | statements | bind a server | with rows | without, with a reason | rows |"
    yield "|---|---|---|---|---|---|"
    for folder, version in FOLDERS.items():
        mine = [one for one in statements.values() if one.version == version]
        server = sum(one.binds != "client" for one in mine)
        tested = sum(bool(one.rows) for one in mine)
        own = sum(row.table.startswith(folder + "/") for row in rows)
        yield (f"| {version} | {len(mine)} | {server} | {tested} | {len(mine) - tested} "
               f"| {own} |")


def other_rows(rows):
    for row in rows:
        others = [clause for clause in row.clauses if not NUMBERED.fullmatch(clause)]
        if others and len(others) == len(row.clauses):
            yield f"| {', '.join(others)} | {row_list([row])} |"


def document(statements, rows):
    yield "# Conformance"
    yield ""
    yield "<!-- Written by tools/dev/conformance_doc.py from tests/conformance: do not edit. -->"
    yield ""
    yield ("Every numbered statement of the two specifications, in our own words, with the rows "
           "of `tests/conformance` that show it. How rows are read and run, and what we chose "
           "where the specification leaves a choice: `tests/conformance/README.md`.")
    yield ""
    yield ("A row runs against the simulated broker, and against the real binary over TCP, except "
           "`(acl)`: only the real binary has authorisation; `(sim)`: only the simulation can "
           "run it. `(test-auth)`: in the simulation by an authentication method made for tests, "
           "against the real binary by SCRAM-SHA-256.")
    yield ""
    yield from summary(statements, rows)
    yield ""
    yield "## Statements"
    yield ""
    for version in FOLDERS.values():
        yield from statement_tables(statements, version)
    yield "## Rows without a numbered statement"
    yield ""
    yield "`s3.1.2.5`: an unnumbered sentence of that section. `house`: a choice of ours."
    yield ""
    yield "| clause | row |"
    yield "|---|---|"
    yield from other_rows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).parents[2],
                        type=pathlib.Path)
    arguments = parser.parse_args()

    problems = Problems()
    folder = arguments.root / "tests" / "conformance"
    statements = read_statements(folder, problems)
    rows = read_rows(folder, problems)
    connect(statements, rows, problems)

    wanted = "\n".join(document(statements, rows)) + "\n"
    target = arguments.root / "docs" / "conformance.md"
    if arguments.check:
        if not target.exists() or target.read_text(encoding="utf-8") != wanted:
            problems.add("docs/conformance.md", "out of date: run tools/dev/conformance_doc.py")
    elif not problems.lines:
        target.write_text(wanted, encoding="utf-8")
    for line in problems.lines:
        print(line, file=sys.stderr)
    return 1 if problems.lines else 0


if __name__ == "__main__":
    sys.exit(main())
