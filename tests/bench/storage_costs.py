#!/usr/bin/env python3
"""What a durable message costs: rates, time to the acknowledgement and bytes on disk, for each
store.acknowledge_after; beside what the disk under the store can do at all, and what somebody else
notices of it.

Starts the broker on an empty store for every row, lets `stentor bench` load it, and prints tables
for docs/storage.md. Takes a few minutes; the directory needs about a gigabyte.

    storage_costs.py STENTOR [--directory DIR] [--shards N] [--seconds S] [--tables T,...]
"""
import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from broker_process import BrokerProcess

MODES = ("disk", "os", "memory")
# publishers, messages under way for each
CROWDS = ((1, 1), (1, 32), (10, 32), (1000, 4))


class Broker(BrokerProcess):
    def __init__(self, binary, parent, shards, mode):
        self.directory = tempfile.mkdtemp(dir=parent)
        super().__init__(binary, self.directory, f"node.shards={shards}",
                         f"store.acknowledge_after={mode}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.directory)

    def bench(self, binary, *arguments):
        done = subprocess.run(
            [binary, "bench", *arguments, "-p", str(self.port), "--broker-pid",
             str(self.pid), "--json", "--quiet", "--patience", "60"],
            stdout=subprocess.PIPE, text=True, check=False)
        result = json.loads(done.stdout)
        if done.returncode != 0:
            sys.exit(f"bench {' '.join(arguments)}: {done.stdout}")
        return {phase["name"]: phase for phase in result["phases"]}

    def log_bytes(self):
        total = 0
        for name in os.listdir(os.path.join(self.directory, "log")):
            try:
                total += os.stat(os.path.join(self.directory, "log", name)).st_blocks * 512
            except FileNotFoundError:
                pass
        return total


class LargestLog:
    """How large the log became while something else ran."""

    def __init__(self, broker):
        self.broker, self.bytes, self.done = broker, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(0.02):
            self.bytes = max(self.bytes, self.broker.log_bytes())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def syncs_per_second(parent, size):
    """A file that is appended to and synced, as SQLite's write-ahead log is."""
    with tempfile.TemporaryFile(dir=parent) as file:
        block, count, end = b"\0" * size, 0, time.monotonic() + 2
        while time.monotonic() < end:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
        return count / 2


def thousands(rate):
    return f"{rate / 1000:.1f} k"


def span(latency):
    return f"{latency['p50']:.2f} / {latency['p99']:.2f} ms"


def messages_for(publishers, window, seconds, mode):
    """About so many are done in that time on a slow machine."""
    if publishers * window == 1:
        return int(seconds * (700 if mode == "disk" else 4000))
    return int(seconds * 30_000)


def print_syncs(parent):
    print("| synced at a time | fdatasync a second |\n|---|---|")
    for size in (4096, 65536, 1 << 20):
        print(f"| {size // 1024} KiB | {syncs_per_second(parent, size):.0f} |", flush=True)


def print_rates(start, options):
    """`away` publishes for a durable session that is away and comes back; `there` for one that is
    connected."""
    print("\n| acknowledge_after | QoS | publishers x window | away: accepted/s | p50 / p99 |"
          " CPU each | bytes each | drained/s | there: delivered/s | accepted p50 / p99 |"
          " CPU each |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for mode, qos, (publishers, window) in itertools.product(MODES, (1, 2), CROWDS):
        count = messages_for(publishers, window, options.seconds, mode)
        common = ["-q", str(qos), "--publishers", str(publishers),
                  "--window", str(window), "--batch", str(max(1, window // 2))]
        with start(mode) as away, LargestLog(away) as log:
            phases = away.bench(options.binary, "offline", "--sessions", "1",
                                "--broadcast", "--messages", str(count), *common)
        publish, drain = phases["publish"], phases["drain"]
        with start(mode) as there:
            live = there.bench(options.binary, "fanin", "--durable", "--subscribers",
                               "1", "--duration", str(options.seconds), *common)["traffic"]
        print(f"| {mode} | {qos} | {publishers} x {window} |"
              f" {thousands(publish['acknowledged_per_second'])} |"
              f" {span(publish['acknowledge_ms'])} |"
              f" {publish['broker_cpu_us_per_publish']:.1f} us |"
              f" {log.bytes / count:.0f} |"
              f" {thousands(drain['delivered_per_second'])} |"
              f" {thousands(live['delivered_per_second'])} |"
              f" {span(live['acknowledge_ms'])} |"
              f" {live['broker_cpu_us_per_delivery']:.1f} us |", flush=True)


def print_topics(start, options):
    print("\n| topics | accepted/s | delivered/s | CPU each |\n|---|---|---|---|")
    for topics in (1, 1_000_000):
        with start("disk") as many:
            live = many.bench(options.binary, "fanin", "--durable", "--subscribers", "1",
                              "--publishers", "10", "-q", "1", "--topics", str(topics),
                              "--duration", str(options.seconds))["traffic"]
        print(f"| {topics:,} | {thousands(live['acknowledged_per_second'])} |"
              f" {thousands(live['delivered_per_second'])} |"
              f" {live['broker_cpu_us_per_delivery']:.1f} us |", flush=True)


def print_bystander(start, options):
    print("\n| meanwhile | a bystander's QoS 0, 500/s: p50 / p99 / worst |\n|---|---|")
    bystander = ["pairs", "--pairs", "10", "-q", "0", "--rate", "500",
                 "--duration", str(2 * options.seconds)]
    for crowd in (False, True):
        with start("disk") as busy:
            load = None
            if crowd:
                load = subprocess.Popen(
                    [options.binary, "bench", "offline", "--sessions", "200", "--broadcast",
                     "--messages", str(int(options.seconds * 4000)), "-q", "1", "-p",
                     str(busy.port), "--quiet", "--patience", "60"],
                    stdout=subprocess.DEVNULL)
            seen = busy.bench(options.binary, *bystander)["traffic"]["delivery_ms"]
            if load is not None:
                load.wait()
        name = "200 sessions away, then draining" if crowd else "nothing"
        print(f"| {name} | {seen['p50']:.2f} / {seen['p99']:.2f} / {seen['max']:.1f} ms |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--tables", default="syncs,rates,topics,bystander",
                        help="which, in this order (default: all)")
    options = parser.parse_args()
    parent = tempfile.mkdtemp(dir=options.directory)

    def start(mode):
        return Broker(options.binary, parent, options.shards, mode)

    tables = {"syncs": lambda: print_syncs(parent), "rates": lambda: print_rates(start, options),
              "topics": lambda: print_topics(start, options),
              "bystander": lambda: print_bystander(start, options)}
    try:
        for name in options.tables.split(","):
            tables[name]()
    finally:
        shutil.rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    main()
