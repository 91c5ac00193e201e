#!/usr/bin/env python3
"""Runs a test of a build with ThreadSanitizer, and fails when any process of it had a report.

    watch.py [--suppressions FILE] COMMAND...

The brokers of a test are its children, and some are killed: neither their exit codes nor their
output reach ctest reliably. So each process writes its reports to a file of its own in a directory
made for this run, and a file there is a failure, whatever COMMAND says.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

REPORT_LINES = 150  # of each process
REPORTS = 5


def options_for(directory, suppressions):
    # Nothing halts: a test goes on as without races, and shows all of them at once.
    options = {"log_path": f"{directory}/report", "exitcode": "66", "halt_on_error": "0",
               "second_deadlock_stack": "1"}
    if suppressions:
        options["suppressions"] = os.path.abspath(suppressions)
    return ":".join(f"{name}={value}" for name, value in options.items())


def tell(reports):
    for report in reports[:REPORTS]:
        lines = report.read_text(errors="replace").splitlines()
        print(f"== {report.name}", *lines[:REPORT_LINES], sep="\n", file=sys.stderr)
        if len(lines) > REPORT_LINES:
            print(f"... and {len(lines) - REPORT_LINES} lines more", file=sys.stderr)
    print(f"ThreadSanitizer: reports of {len(reports)} processes", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suppressions")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        # Whoever asks this one to stop means the test.
        child = subprocess.Popen(arguments.command, env=os.environ | {
            "TSAN_OPTIONS": options_for(directory, arguments.suppressions)})
        signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number))
        code = child.wait()
        reports = sorted(pathlib.Path(directory).iterdir())
        if reports:
            tell(reports)
            code = code or 1
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
