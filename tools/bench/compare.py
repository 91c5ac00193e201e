#!/usr/bin/env python3
"""Runs fixed workloads against Stentor and Mosquitto in turns and prints ratios.

    compare.py [--suite peers|store] [--rows PART[,PART...]] [--repeat N] [--seconds S]
               [--json FILE]

Each row starts a fresh broker on a free loopback port, one processor for it and another for the
generator where there are two, and stops it again. Figures are medians over the repetitions; a ratio
above 1 means that Stentor is better. On a machine that does other things, believe ratios and
processor time per message only.

Stentor answers for durable sessions when their messages are on disk; Mosquitto runs without
persistence, as it does by default, and keeps everything in memory.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 20
RUN_SECONDS = 120  # a row is over long before; then it hangs


@dataclasses.dataclass(frozen=True)
class Figure:
    """`key` of the last phase called `phase`."""

    label: str
    phase: str
    key: str
    unit: str
    smaller_is_better: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    words: tuple
    figures: tuple
    durable: bool = False  # Stentor on disk, not in memory
    timed: bool = True     # takes --duration


def throughput(phase, what):
    return (Figure("", phase, f"{what}_per_second", "/s"),
            Figure("broker CPU", phase,
                   f"broker_cpu_us_per_{what.replace('delivered', 'delivery')}"
                   .replace("published", "publish").replace("connected", "connect"),
                   "us", smaller_is_better=True))


def latency(phase, what):
    return tuple(Figure(p, phase, f"{what}.{p}", "ms", smaller_is_better=True)
                 for p in ("p50", "p99"))


TRAFFIC = throughput("traffic", "delivered")
ROWS = (
    Row("fan-out 1 -> 1000, QoS 0", ("fanout", "-q", "0"), TRAFFIC),
    Row("fan-out 1 -> 1000, QoS 1", ("fanout", "-q", "1"), TRAFFIC),
    Row("fan-in 20 -> 1, QoS 0", ("fanin", "-q", "0", "--window", "256"), TRAFFIC),
    Row("fan-in 20 -> 1, QoS 1", ("fanin", "-q", "1", "--window", "256"), TRAFFIC),
    Row("fan-in 20 -> 1, QoS 1, durable", ("fanin", "-q", "1", "--window", "256", "--durable"),
        TRAFFIC, durable=True),
    Row("500 pairs, QoS 1", ("pairs", "--pairs", "500", "-q", "1"), TRAFFIC),
    Row("500 pairs, QoS 1, durable", ("pairs", "--pairs", "500", "-q", "1", "--durable"),
        TRAFFIC, durable=True),
    Row("500 pairs, QoS 2", ("pairs", "--pairs", "500", "-q", "2"), TRAFFIC),
    Row("100 pairs at 2000/s, QoS 1", ("pairs", "--pairs", "100", "-q", "1", "--rate", "2000"),
        latency("traffic", "delivery_ms") + TRAFFIC[1:]),
    Row("100 pairs at 2000/s, QoS 1, durable",
        ("pairs", "--pairs", "100", "-q", "1", "--rate", "2000", "--durable"),
        latency("traffic", "delivery_ms") + TRAFFIC[1:], durable=True),
    Row("matching: 100 pairs among 10 k mixed filters, QoS 0",
        ("pairs", "--pairs", "100", "--filters", "100"), TRAFFIC),
    Row("1000 offline sessions x 100, QoS 1", ("offline",),
        throughput("publish", "published") + throughput("drain", "delivered"),
        durable=True, timed=False),
    Row("one topic, 5000 offline sessions, QoS 1",
        ("offline", "--broadcast", "--sessions", "5000", "--publishers", "1", "--messages", "200"),
        throughput("publish", "published") + throughput("drain", "delivered"),
        durable=True, timed=False),
    Row("publish to nobody, 100 k topics, QoS 1",
        ("pub", "--publishers", "10", "--topics", "100000", "-q", "1"),
        throughput("traffic", "published")),
    Row("50 k retained, QoS 1", ("retained", "--topics", "50000", "-q", "1", "--window", "256"),
        throughput("store", "published") + throughput("replay", "delivered"), timed=False),
    Row("connect + 2 subscriptions",
        ("conn", "--clients", "5000", "--subscriptions", "2", "--hold", "0.5"),
        throughput("connect", "connected") +
        (Figure("memory per client", "connect", "bytes_per_client", "B", smaller_is_better=True),),
        timed=False),
)

# What durable messages cost: the table of docs/storage.md.
STORE_ROWS = tuple(
    Row(f"online, {publishers} publishers, QoS {qos}",
        ("fanin", "--durable", "-q", str(qos), "--publishers", str(publishers), "--window",
         "32" if publishers > 100 else "256"),
        TRAFFIC + latency("traffic", "acknowledge_ms"), durable=True)
    for qos in (1, 2) for publishers in (1, 10, 1000)
) + tuple(
    Row(f"one by one, {publishers} publishers, QoS 1",
        ("fanin", "--durable", "-q", "1", "--publishers", str(publishers), "--window", "1"),
        TRAFFIC + latency("traffic", "acknowledge_ms"), durable=True)
    for publishers in (1, 10, 1000)
) + (
    Row("online, 10 publishers, 1 M topics, QoS 1",
        ("fanin", "--durable", "-q", "1", "--publishers", "10", "--topics", "1000000", "--window",
         "256"),
        TRAFFIC + latency("traffic", "acknowledge_ms"), durable=True),
) + tuple(
    Row(f"offline, {publishers} publishers, {text}, QoS {qos}",
        ("offline", "--broadcast", "--sessions", "1", "--messages", "200000", "--topics",
         str(topics), "-q", str(qos), "--publishers", str(publishers), "--window",
         "32" if publishers > 100 else "256"),
        throughput("publish", "published") + latency("publish", "acknowledge_ms") +
        throughput("drain", "delivered"), durable=True, timed=False)
    for publishers, topics, text, qos in ((1, 1, "1 topic", 1), (10, 1, "1 topic", 1),
                                          (1000, 1, "1 topic", 1), (10, 1, "1 topic", 2),
                                          (10, 1000000, "1 M topics", 1))
) + (
    Row("broadcast to 5000 offline, QoS 1",
        ("offline", "--broadcast", "--sessions", "5000", "--publishers", "1", "--messages", "200"),
        throughput("publish", "published") + throughput("drain", "delivered"),
        durable=True, timed=False),
)


class Broker:
    """One broker process; a context. `command` is given the port and a directory of its own."""

    def __init__(self, command, cpu, directory):
        self.directory = tempfile.mkdtemp(prefix="broker-", dir=directory)
        self.log = open(os.path.join(self.directory, "log"), "wb")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        self.process = subprocess.Popen(command(self.port, self.directory), stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, preexec_fn=pin)

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = pathlib.Path(self.log.name).read_text(errors="replace")
                    self.__exit__()
                    raise SystemExit(f"compare.py: the broker does not start:\n{said}")
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def stentor_command(binary, durable):
    def command(port, directory):
        settings = {"node.shards": 1, "logging.level": "warn", "limits.receive_maximum": 1000,
                    "limits.inflight_maximum": 1000,
                    "limits.transient_queue_messages_max": 1000000,
                    "limits.transient_queue_bytes_max": "256MiB"}
        words = [binary, "serve", "--listen", f"mqtt://127.0.0.1:{port}",
                 "--data", os.path.join(directory, "data") if durable else ":memory:"]
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        return words
    return command


def mosquitto_command(binary):
    def command(port, directory):
        path = os.path.join(directory, "mosquitto.conf")
        pathlib.Path(path).write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\n"
            "max_inflight_bytes 0\npersistence false\nlog_dest stderr\n"
            "log_type error\nlog_type warning\nconnection_messages false\n")
        return [binary, "-c", path]
    return command


def run(row, broker, arguments):
    words = [arguments.generator, "bench", *row.words, "-p", str(broker.port), "--json", "--quiet",
             "--broker-pid", str(broker.process.pid)]
    if arguments.generator_cpu is not None:
        words += ["--cpu", str(arguments.generator_cpu)]
    if row.timed:
        words += ["--duration", str(arguments.seconds)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=RUN_SECONDS, check=False)
    if done.returncode == 2 or not done.stdout:
        raise SystemExit(f"compare.py: {' '.join(words)}:\n{done.stderr}")
    return json.loads(done.stdout)


def value_of(figure, result):
    phases = [phase for phase in result["phases"] if phase["name"] == figure.phase]
    if not phases:
        return None
    phase = phases[-1]
    if figure.key == "bytes_per_client":
        return ((phase["broker_resident_bytes_after"] - phase["broker_resident_bytes_before"])
                / max(1, phase["connected"]))
    value = phase
    for part in figure.key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def shown(value, unit):
    if value is None:
        return "-"
    if unit != "/s":
        return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {letter}/s"
    return f"{value:.3g} /s"


def lines_of(row, results):
    """(label, {broker: median}, ratio, unit) for each figure of the row."""
    for number, figure in enumerate(row.figures):
        medians = {broker: median([value_of(figure, each) for each in each_results])
                   for broker, each_results in results.items()}
        ours, theirs = medians["stentor"], medians["mosquitto"]
        ratio = None
        if ours and theirs:
            ratio = theirs / ours if figure.smaller_is_better else ours / theirs
        label = figure.label
        if len({each.phase for each in row.figures}) > 1:
            label = f"{figure.phase} {label}".strip()
        yield row.name if number == 0 else "", label, medians, ratio, figure.unit


def print_table(rows, all_results):
    table = [("workload", "figure", "Stentor", "Mosquitto", "ratio")]
    for row in rows:
        for name, label, medians, ratio, unit in lines_of(row, all_results[row.name]):
            table.append((name, label or "throughput", shown(medians["stentor"], unit),
                          shown(medians["mosquitto"], unit), f"{ratio:.2f}" if ratio else "-"))
    widths = [max(len(line[i]) for line in table) for i in range(5)]
    for number, line in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def faults_of(rows, all_results):
    for row in rows:
        for broker, results in all_results[row.name].items():
            for result in results:
                if not result["ok"]:
                    facts = {key: result[key] for key in
                             ("failure", "lost", "doubled", "disordered", "refused", "unsent")
                             if result.get(key)}
                    yield f"{row.name}, {broker}: {facts}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stentor", default=str(ROOT / "build/release/stentor"))
    parser.add_argument("--generator", default=str(ROOT / "build/release/stentor"),
                        help="whose `bench` loads them")
    parser.add_argument("--mosquitto", default=shutil.which("mosquitto") or "/usr/sbin/mosquitto")
    parser.add_argument("--suite", choices=("peers", "store"), default="peers",
                        help="what brokers are compared by; what durable messages cost")
    parser.add_argument("--rows", default="", help="only rows whose name contains one of these")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of traffic per run")
    parser.add_argument("--directory", default=str(ROOT / "build"), help="where brokers keep files")
    parser.add_argument("--json", help="write all results into this file")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    parts = [part.strip() for part in arguments.rows.split(",") if part.strip()]
    rows = [row for row in (ROWS if arguments.suite == "peers" else STORE_ROWS)
            if not parts or any(re.search(re.escape(part), row.name) for part in parts)]
    if not rows:
        raise SystemExit("compare.py: no row has such a name")
    cpus = sorted(os.sched_getaffinity(0))
    broker_cpu = cpus[0] if len(cpus) > 1 else None
    arguments.generator_cpu = cpus[1] if len(cpus) > 1 else None
    results = {row.name: {"stentor": [], "mosquitto": []} for row in rows}
    for number in range(arguments.repeat):
        for row in rows:
            commands = {"stentor": stentor_command(arguments.stentor, row.durable),
                        "mosquitto": mosquitto_command(arguments.mosquitto)}
            order = list(commands) if number % 2 == 0 else list(reversed(commands))
            for name in order:
                print(f"{number + 1}/{arguments.repeat}  {row.name}: {name}", file=sys.stderr)
                with Broker(commands[name], broker_cpu, arguments.directory) as broker:
                    results[row.name][name].append(run(row, broker, arguments))
    print_table(rows, results)
    faults = list(faults_of(rows, results))
    for fault in faults:
        print(f"FAULT: {fault}")
    if arguments.json:
        facts = {"cpus": os.cpu_count(), "load": os.getloadavg(), "seconds": arguments.seconds,
                 "results": results}
        pathlib.Path(arguments.json).write_text(json.dumps(facts, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
