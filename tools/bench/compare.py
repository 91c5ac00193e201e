#!/usr/bin/env python3
"""Runs fixed workloads against Stentor and other brokers in turns and prints ratios.

    compare.py [--peers NAME[,NAME...]] [--suite peers|store|tls] [--rows PART[,PART...]]
               [--repeat N] [--seconds S] [--json FILE]

The others are those of Debian that are installed here: mosquitto, nats-server, rabbitmq-server.
`./stentor.sh bench compare --install` installs them first.

Each row starts a fresh broker on a free loopback port, one processor for it and another for the
generator where there are two, and stops it again. Figures are medians over the repetitions; a ratio
above 1 means that Stentor is better. On a machine that does other things, believe ratios and
processor time per message only.

Stentor answers for durable sessions when their messages are on disk; Mosquitto runs without
persistence, as it does by default, and keeps everything in memory. NATS and RabbitMQ write the
messages of durable sessions to files, without waiting for the disk (NATS), or in their classic
queues' way (RabbitMQ). Both speak 3.1.1 and no QoS 2: they have no figures in such rows.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
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
    door: str = "mqtt"     # or mqtts, ws, wss

    def has_qos_2(self):
        return ("-q", "2") in zip(self.words, self.words[1:])


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


TLS_ROWS = tuple(
    Row(f"{name}, {text}", words, figures, timed=timed, door=door)
    for door, text in (("mqtts", "TLS"), ("ws", "WebSocket"), ("wss", "WebSocket over TLS"))
    for name, words, figures, timed in (
        ("fan-out 1 -> 1000, QoS 0", ("fanout", "-q", "0"), TRAFFIC, True),
        ("fan-in 20 -> 1, QoS 1", ("fanin", "-q", "1", "--window", "256"), TRAFFIC, True),
        ("500 pairs, QoS 1", ("pairs", "--pairs", "500", "-q", "1"), TRAFFIC, True),
        ("connect + 2 subscriptions",
         ("conn", "--clients", "2000", "--subscriptions", "2", "--hold", "0.5"),
         throughput("connect", "connected") +
         (Figure("memory per client", "connect", "bytes_per_client", "B",
                 smaller_is_better=True),), False))
)
SUITES = {"peers": ROWS, "store": STORE_ROWS, "tls": TLS_ROWS}


def make_certificate(directory):
    """For 127.0.0.1, its own authority."""
    certificate, key = (os.path.join(directory, name) for name in ("server.crt", "server.key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
                   check=True, stderr=subprocess.DEVNULL)
    return certificate, key


@dataclasses.dataclass(frozen=True)
class Start:
    words: list
    environment: dict = dataclasses.field(default_factory=dict)
    afterwards: tuple = ()  # a command that ends what the broker leaves behind


class Broker:
    """One broker process; a context. `command` is given the port and a directory of its own."""

    def __init__(self, command, cpu, directory):
        self.pid = 0
        self.directory = tempfile.mkdtemp(prefix="broker-", dir=directory)
        self.log = open(os.path.join(self.directory, "log"), "wb")
        self.port = free_port()
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        self.start = command(self.port, self.directory)
        self.process = subprocess.Popen(self.start.words, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, preexec_fn=pin,
                                        env={**os.environ, **self.start.environment})

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self.pid = worker_of(self.process.pid)
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = pathlib.Path(self.log.name).read_text(errors="replace")
                    self.__exit__()
                    raise SystemExit(f"compare.py: the broker does not start:\n{said}")
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        if self.pid not in (0, self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.start.afterwards:
            subprocess.run(self.start.afterwards, stdout=self.log, stderr=self.log, check=False)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def worker_of(pid):
    """The process that does the work: RabbitMQ's is a child of a shell."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in map(int, children):
        if "beam" in pathlib.Path(f"/proc/{child}/comm").read_text():
            return child
    return pid


def stentor_command(binary, row, certificate):
    def command(port, directory):
        door = {"ws": "/mqtt", "wss": "/mqtt"}.get(row.door, "")
        settings = {"node.shards": 1, "logging.level": "warn", "limits.receive_maximum": 1000,
                    "limits.inflight_maximum": 1000,
                    "limits.transient_queue_messages_max": 1000000,
                    "limits.transient_queue_bytes_max": "256MiB"}
        if row.door in ("mqtts", "wss"):
            settings["listener.0.tls.certificate"], settings["listener.0.tls.key"] = certificate
        words = [binary, "serve", "--listen", f"{row.door}://127.0.0.1:{port}{door}",
                 "--data", os.path.join(directory, "data") if row.durable else ":memory:"]
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        return Start(words)
    return command


def mosquitto_command(binary, row, certificate):
    def command(port, directory):
        path = os.path.join(directory, "mosquitto.conf")
        door = ""
        if row.door == "mqtts":
            door = f"certfile {certificate[0]}\nkeyfile {certificate[1]}\nuser root\n"
        pathlib.Path(path).write_text(
            f"listener {port} 127.0.0.1\n{door}allow_anonymous true\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\n"
            "max_inflight_bytes 0\npersistence false\nlog_dest stderr\n"
            "log_type error\nlog_type warning\nconnection_messages false\n")
        return Start([binary, "-c", path])
    return command


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nats_command(binary, row, certificate):
    def command(port, directory):
        path = os.path.join(directory, "nats.conf")
        tls = ""
        if row.door in ("mqtts", "wss"):
            tls = f'tls {{ cert_file: "{certificate[0]}", key_file: "{certificate[1]}" }}'
        door = f'mqtt {{ host: "127.0.0.1", port: {port}, max_ack_pending: 65535, {tls} }}'
        if row.door in ("ws", "wss"):
            door = (f'mqtt {{ host: "127.0.0.1", port: {free_port()}, max_ack_pending: 65535 }}\n'
                    f'websocket {{ host: "127.0.0.1", port: {port}, {tls or "no_tls: true"} }}')
        pathlib.Path(path).write_text(
            f'host: "127.0.0.1"\nport: {free_port()}\nserver_name: "bench"\n'
            f'jetstream {{ store_dir: "{directory}" }}\nmax_pending: 1GB\n{door}\n')
        return Start([binary, "-c", path])
    return command


def rabbitmq_command(binary, row, certificate):
    # /usr/sbin/rabbitmq-server becomes another user and keeps to the system's files.
    script = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    def command(port, directory):
        def file(name, text):
            path = os.path.join(directory, name)
            pathlib.Path(path).write_text(text)
            return path

        door = f"mqtt.listeners.tcp.1 = 127.0.0.1:{port}\n"
        if row.door == "mqtts":
            door = f"mqtt.listeners.tcp = none\nmqtt.listeners.ssl.1 = 127.0.0.1:{port}\n"
        if row.door == "ws":
            door = (f"mqtt.listeners.tcp = none\nweb_mqtt.tcp.ip = 127.0.0.1\n"
                    f"web_mqtt.tcp.port = {port}\nweb_mqtt.ws_path = /mqtt\n")
        if row.door == "wss":
            door = (f"mqtt.listeners.tcp = none\nweb_mqtt.ssl.ip = 127.0.0.1\n"
                    f"web_mqtt.ssl.port = {port}\nweb_mqtt.ssl.certfile = {certificate[0]}\n"
                    f"web_mqtt.ssl.keyfile = {certificate[1]}\nweb_mqtt.ws_path = /mqtt\n")
        if row.door == "mqtts":
            door += (f"ssl_options.certfile = {certificate[0]}\n"
                     f"ssl_options.keyfile = {certificate[1]}\n")
        config = file("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{free_port()}\n"
                      "log.console = true\nlog.console.level = error\nlog.file = false\n"
                      f"mqtt.allow_anonymous = true\nmqtt.prefetch = 1000\n{door}")
        epmd = str(free_port())
        return Start([script], {
            "RABBITMQ_NODENAME": f"bench{port}@localhost", "RABBITMQ_CONFIG_FILE": config,
            "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": epmd,
            "RABBITMQ_MNESIA_BASE": directory, "RABBITMQ_LOG_BASE": directory, "HOME": directory,
            "RABBITMQ_ENABLED_PLUGINS_FILE":
                file("plugins", "[rabbitmq_mqtt,rabbitmq_web_mqtt].\n")},
            afterwards=("epmd", "-port", epmd, "-kill"))
    return command


@dataclasses.dataclass(frozen=True)
class Peer:
    title: str
    program: str
    command: object
    is_311: bool = False  # speaks 3.1.1 and no QoS 2
    doors: tuple = ("mqtt", "mqtts", "ws", "wss")

    def has_row(self, row):
        return row.door in self.doors and not (self.is_311 and row.has_qos_2())


# Debian's Mosquitto opens no WebSocket listener where there is no IPv6.
PEERS = {"mosquitto": Peer("Mosquitto", "mosquitto", mosquitto_command, doors=("mqtt", "mqtts")),
         "nats": Peer("NATS", "nats-server", nats_command, True),
         "rabbitmq": Peer("RabbitMQ", "rabbitmq-server", rabbitmq_command, True)}


def program_of(peer):
    return shutil.which(peer.program) or shutil.which(f"/usr/sbin/{peer.program}")


def run(row, broker, arguments, is_311):
    url = f"{row.door}://127.0.0.1:{broker.port}{'/mqtt' if row.door in ('ws', 'wss') else ''}"
    words = [arguments.generator, "bench", *row.words, "-L", url, "--json", "--quiet",
             "--broker-pid", str(broker.pid)]
    if row.door in ("mqtts", "wss"):
        words += ["--cafile", arguments.certificate[0]]
    if is_311:
        words += ["-V", "311"]
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


def ratio_of(figure, ours, theirs):
    if not ours or not theirs:
        return None
    return theirs / ours if figure.smaller_is_better else ours / theirs


def print_table(rows, all_results, peers):
    head = ["workload", "figure", "Stentor"]
    for peer in peers:
        head += [PEERS[peer].title, "ratio"]
    table = [head]
    for row in rows:
        phases = {figure.phase for figure in row.figures}
        for number, figure in enumerate(row.figures):
            medians = {broker: median([value_of(figure, each) for each in results])
                       for broker, results in all_results[row.name].items()}
            label = f"{figure.phase} {figure.label}" if len(phases) > 1 else figure.label
            line = [row.name if number == 0 else "", label.strip() or "throughput",
                    shown(medians["stentor"], figure.unit)]
            for peer in peers:
                ratio = ratio_of(figure, medians["stentor"], medians[peer])
                line += [shown(medians[peer], figure.unit), f"{ratio:.2f}" if ratio else "-"]
            table.append(line)
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
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
                    yield broker, f"{row.name}, {broker}: {facts}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stentor", default=str(ROOT / "build/release/stentor"))
    parser.add_argument("--generator", default=str(ROOT / "build/release/stentor"),
                        help="whose `bench` loads them")
    parser.add_argument("--peers", default=",".join(name for name, peer in PEERS.items()
                                                    if program_of(peer)),
                        help=f"of {', '.join(PEERS)} (default: those installed)")
    parser.add_argument("--suite", choices=SUITES, default="peers",
                        help="what brokers are compared by; what durable messages cost; what TLS"
                             " and WebSocket cost")
    parser.add_argument("--rows", default="", help="only rows whose name contains one of these")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of traffic per run")
    parser.add_argument("--directory", default=str(ROOT / "build"), help="where brokers keep files")
    parser.add_argument("--json", help="write all results into this file")
    return parser.parse_args()


def chosen_peers(arguments):
    names = [name.strip() for name in arguments.peers.split(",") if name.strip()]
    for name in names:
        if name not in PEERS:
            raise SystemExit(f"compare.py: --peers {name}: one of {', '.join(PEERS)}")
        if not program_of(PEERS[name]):
            raise SystemExit(f"compare.py: {PEERS[name].program} is not installed; "
                             "./stentor.sh bench compare --install does it")
    return names


def command_of(name, row, arguments):
    if name == "stentor":
        return stentor_command(arguments.stentor, row, arguments.certificate)
    return PEERS[name].command(program_of(PEERS[name]), row, arguments.certificate)


def measure(rows, peers, arguments, broker_cpu):
    results = {row.name: {name: [] for name in ("stentor", *peers)} for row in rows}
    for number in range(arguments.repeat):
        for row in rows:
            brokers = ["stentor"] + [name for name in peers if PEERS[name].has_row(row)]
            for name in brokers if number % 2 == 0 else reversed(brokers):
                print(f"{number + 1}/{arguments.repeat}  {row.name}: {name}", file=sys.stderr)
                is_311 = name != "stentor" and PEERS[name].is_311
                with Broker(command_of(name, row, arguments), broker_cpu,
                            arguments.directory) as broker:
                    results[row.name][name].append(run(row, broker, arguments, is_311))
    return results


def main():
    arguments = parse_arguments()
    peers = chosen_peers(arguments)
    parts = [part.strip() for part in arguments.rows.split(",") if part.strip()]
    rows = [row for row in SUITES[arguments.suite]
            if not parts or any(re.search(re.escape(part), row.name) for part in parts)]
    if not rows:
        raise SystemExit("compare.py: no row has such a name")
    cpus = sorted(os.sched_getaffinity(0))
    broker_cpu = cpus[0] if len(cpus) > 1 else None
    arguments.generator_cpu = cpus[1] if len(cpus) > 1 else None
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as directory:
        arguments.certificate = make_certificate(directory)
        results = measure(rows, peers, arguments, broker_cpu)
    print_table(rows, results, peers)
    ours = False
    for broker, fault in faults_of(rows, results):
        ours = ours or broker == "stentor"
        print(f"FAULT: {fault}")
    if arguments.json:
        facts = {"cpus": os.cpu_count(), "load": os.getloadavg(), "seconds": arguments.seconds,
                 "results": results}
        pathlib.Path(arguments.json).write_text(json.dumps(facts, indent=1))
    return 1 if ours else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
