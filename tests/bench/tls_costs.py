#!/usr/bin/env python3
"""What TLS costs a broker, Stentor and Debian's Mosquitto in turns on the same machine: processor
time and rate of handshakes, of those that resume, and of connections without TLS to compare, and
memory of idle connections.

    tls_costs.py STENTOR [--handshakes N] [--connections N] [--repeat N] [--shards N] [--rsa]
        [--only stentor|mosquitto] [--rows handshakes|idle] [--json FILE]

A handshake is a connection, TLS with a certificate (P-256 unless --rsa), CONNECT, CONNACK
and the end; two processes make them. Processor time is the broker's, kernel included; "per core" is
what it amounts to. On a machine that does other things believe that, and ratios. Idle connections
have sent CONNECT and one PINGREQ; memory is how much the broker's resident set has grown.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def connect_packet(name):
    body = b"\0\x04MQTT\x04\x02\0\0" + len(name).to_bytes(2, "big") + name.encode()
    return b"\x10" + bytes([len(body)]) + body


class Broker:
    def __init__(self, command, directory, ports):
        self.tls, self.plain = ports
        self.process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        for port in ports:
            while not self.answers(port):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{command[0]} did not start")

    @staticmethod
    def answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def cpu(self):
        """Seconds, of all its threads."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        sys.exit("the broker has ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def free_ports():
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


def stentor(binary, directory, shards):
    ports = free_ports()
    config = directory / "stentor.toml"
    config.write_text(
        f'[node]\ndata_dir = ":memory:"\nshards = {shards}\n'
        f'[[listener]]\nurl = "mqtts://127.0.0.1:{ports[0]}"\n'
        'tls = { certificate = "server.crt", key = "server.key" }\n'
        f'[[listener]]\nurl = "mqtt://127.0.0.1:{ports[1]}"\n'
        '[auth]\nanonymous = "always"\n[logging]\nlevel = "error"\n')
    return Broker([binary, "serve", "-c", str(config)], directory, ports)


def mosquitto(directory):
    ports = free_ports()
    config = directory / "mosquitto.conf"
    config.write_text(
        "per_listener_settings false\nallow_anonymous true\nset_tcp_nodelay true\nlog_type error\n"
        f"user root\nlistener {ports[0]} 127.0.0.1\ncertfile {directory}/server.crt\n"
        f"keyfile {directory}/server.key\nlistener {ports[1]} 127.0.0.1\n")
    return Broker(["mosquitto", "-c", str(config)], directory, ports)


def come(port, context, name, session=None):
    stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context:
        stream = context.wrap_socket(stream, server_hostname="localhost", session=session)
    stream.sendall(connect_packet(name))
    if stream.recv(4) != b"\x20\x02\0\0":
        sys.exit("a CONNECT was refused")
    return stream


def context_of(directory, version):
    context = ssl.create_default_context(cafile=directory / "ca.crt")
    context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


def work(directory, port, version, resumes, count, name, results):
    context = context_of(directory, version) if version else None
    session, reused = None, 0
    if resumes:
        with come(port, context, f"{name}-first") as first:
            session = first.session
    for i in range(count):
        with come(port, context, f"{name}-{i}", session) as stream:
            reused += bool(version) and stream.session_reused
            stream.sendall(b"\xe0\0")
    results.put(reused)


def handshakes(broker, directory, version, resumes, count):
    """(per second, broker's microseconds each, part that was resumed)"""
    results = multiprocessing.Queue()
    port = broker.tls if version else broker.plain
    workers = [multiprocessing.Process(target=work, args=(
        directory, port, version, resumes, count // 2, f"w{i}", results)) for i in range(2)]
    before, began = broker.cpu(), time.monotonic()
    for worker in workers:
        worker.start()
    reused = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - began
    return count / seconds, (broker.cpu() - before) / count * 1e6, reused / count


def idle(broker, directory, version, count):
    """Bytes of the broker's memory that an idle connection takes."""
    context = context_of(directory, version) if version else None
    port = broker.tls if version else broker.plain
    come(port, context, "warm").close()
    before = broker.memory()
    streams = []
    for i in range(count):
        streams.append(come(port, context, f"idle-{i}"))
        streams[-1].sendall(b"\xc0\0")
        if streams[-1].recv(2) != b"\xd0\0":
            sys.exit("a PINGREQ was not answered")
    each = (broker.memory() - before) / count
    for stream in streams:
        stream.close()
    return each


def certificates(binary, directory, rsa):
    subprocess.run([binary, "init", str(directory), "--host", "localhost"], check=True,
                   capture_output=True)
    if not rsa:
        return
    for command in (
            "req -newkey rsa:2048 -nodes -keyout server.key -subj /CN=localhost -out server.csr",
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
            " -extfile names -out server.crt"):
        (directory / "names").write_text("subjectAltName=DNS:localhost")
        subprocess.run(["openssl", *command.split()], cwd=directory, check=True,
                       capture_output=True)


def measure(start, directory, arguments):
    found = {}
    kinds = [("plain", None, False)]
    for version in VERSIONS:
        kinds += [(f"TLS {version}", version, False), (f"TLS {version}, resumed", version, True)]
    for name, version, resumes in kinds if arguments.rows != "idle" else ():
        with start() as broker:
            rate, each, reused = handshakes(broker, directory, version, resumes,
                                            arguments.handshakes)
        found[name] = {"per_second": rate, "cpu_us": each, "resumed": reused}
    for version in (None, *VERSIONS) if arguments.rows != "handshakes" else ():
        with start() as broker:
            each = idle(broker, directory, version, arguments.connections)
        found[f"idle, TLS {version}" if version else "idle, plain"] = {"bytes": each}
    return found


def medians(runs):
    return {name: {key: statistics.median(run[name][key] for run in runs) for key in figures}
            for name, figures in runs[0].items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stentor")
    parser.add_argument("--handshakes", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--rsa", action="store_true")
    parser.add_argument("--only", choices=("stentor", "mosquitto"))
    parser.add_argument("--rows", choices=("handshakes", "idle"))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    binary = os.path.abspath(arguments.stentor)
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as name:
        directory = pathlib.Path(name)
        certificates(binary, directory, arguments.rsa)
        brokers = {"stentor": lambda: stentor(binary, directory, arguments.shards),
                   "mosquitto": lambda: mosquitto(directory)}
        if arguments.only:
            brokers = {arguments.only: brokers[arguments.only]}
        runs = {broker: [] for broker in brokers}
        for _ in range(arguments.repeat):
            for broker, start in brokers.items():
                runs[broker].append(measure(start, directory, arguments))
    found = {broker: medians(each) for broker, each in runs.items()}
    for row in next(iter(found.values())):
        print(row + ":")
        for broker, figures in found.items():
            each = figures[row]
            if "bytes" in each:
                print(f"  {broker:10} {each['bytes'] / 1000:6.1f} kB a connection")
                continue
            print(f"  {broker:10} {each['per_second']:6.0f} /s measured, {each['cpu_us']:6.0f} us"
                  f" of processor time, {1e6 / each['cpu_us']:6.0f} /s per core,"
                  f" {each['resumed'] * 100:3.0f} % resumed")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
