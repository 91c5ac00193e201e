#!/usr/bin/env python3
"""Runs a program beside a broker of its own.

    with_broker.py --shards N STENTOR COMMAND...

Starts `STENTOR serve` on a free port of 127.0.0.1, then COMMAND with that port in the environment
variable STENTOR_PORT, and stops the broker with SIGTERM. Succeeds if COMMAND does and the broker
then exits with 0. The environment variable STENTOR_BINARY names another broker than STENTOR.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "kit"))

from broker import die_with_parent

PATIENCE_SECONDS = 20


def port_of(broker):
    for line in broker.stdout:
        match = re.match(r"listening url=mqtt://127\.0\.0\.1:(\d+)", line)
        if match:
            return match.group(1)
    return None


def start(stentor, shards, log, *more):
    """A broker on a free port, with `more` arguments, and that port (None: it did not start)."""
    broker = subprocess.Popen(
        [os.environ.get("STENTOR_BINARY", stentor), "serve",
         "--listen", "mqtt://127.0.0.1:0", "--data", ":memory:",
         "--set", f"node.shards={shards}", *more],
        stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent)
    return broker, port_of(broker)


def stop(broker):
    broker.send_signal(signal.SIGTERM)
    try:
        return broker.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        broker.kill()
        return "no end"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", required=True)
    parser.add_argument("stentor")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    with tempfile.TemporaryFile("w+") as log:
        broker, port = start(options.stentor, options.shards, log)
        result = 1
        if port:
            environment = os.environ | {"STENTOR_PORT": port}
            result = subprocess.run(options.command, env=environment, check=False).returncode
        end = stop(broker)
        if result != 0 or end != 0:
            log.seek(0)
            print(f"-- the broker's end: {end}; its log:\n{log.read()}", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
