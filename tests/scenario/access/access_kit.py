"""A broker with users and rules that change, and an MQTT client that sees every reason code."""

import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

STENTOR = os.environ["STENTOR"]
SHARDS = os.environ["SHARDS"]
PATIENCE = 20

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, DISCONNECT = 2, 3, 4, 5, 6, 7, 9, 14


class Closed(Exception):
    """The broker has ended the connection."""


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    octets = value.encode()
    return struct.pack("!H", len(octets)) + octets


class Client:
    """A connection, one thread. Reads nothing by itself."""

    def __init__(self, port, host="127.0.0.1", source=None, before=b"", version=5):
        self.version = version
        self.buffer = b""
        self.socket = socket.create_connection((host, port), PATIENCE,
                                               source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next_id = 0
        if before:
            self.socket.sendall(before)

    def close(self):
        self.socket.close()

    def wrap(self, context):
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, first, body):
        try:
            self.socket.sendall(bytes([first]) + varint(len(body)) + body)
        except OSError as error:
            raise Closed from error

    def packet(self):
        """(first octet, body) of the next packet."""
        first = self._take(1)[0]
        length, shift = 0, 0
        while True:
            octet = self._take(1)[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return first, self._take(length)

    def _take(self, count):
        while len(self.buffer) < count:
            try:
                got = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed from error
            if not got:
                raise Closed
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self, kind):
        first, body = self.packet()
        if first >> 4 != kind:
            raise AssertionError(f"packet {first:#x} {body!r} instead of {kind}")
        return first, body

    def ask(self, client_id, user=None, password=None, keeps=False, window=None, clean=True):
        """CONNECT; returns the reason of CONNACK."""
        flags = 0x80 * (user is not None) | 0x40 * (password is not None)
        body = text("MQTT") + bytes([self.version, flags | (2 if clean else 0), 0, 0])
        if self.version == 5:
            properties = b"\x11" + struct.pack("!I", 3600) if keeps else b""
            properties += b"\x21" + struct.pack("!H", window) if window else b""
            body += varint(len(properties)) + properties
        body += text(client_id)
        body += text(user) if user is not None else b""
        body += text(password) if password is not None else b""
        self.send(0x10, body)
        _, answer = self.receive(CONNACK)
        self.session_present = answer[0] == 1
        return answer[1]

    def _properties(self):
        return b"\0" if self.version == 5 else b""

    def subscribe(self, *filters, qos=1):
        """The codes of SUBACK."""
        body = b"\0\x01" + self._properties()
        body += b"".join(text(each) + bytes([qos]) for each in filters)
        self.send(0x82, body)
        _, answer = self.receive(SUBACK)
        return list(answer[-len(filters):])

    def publish(self, topic, payload=b"x", qos=1):
        """The reason of the answer."""
        self.next_id += 1
        head = text(topic) + (struct.pack("!H", self.next_id) if qos else b"")
        self.send(0x30 | qos << 1, head + self._properties() + payload)
        if qos == 0:
            return None
        _, body = self.receive(PUBACK if qos == 1 else PUBREC)
        return body[2] if len(body) > 2 else 0

    def message(self, answers=True):
        """(topic, payload) of the next PUBLISH; its identifier is in `last_id`."""
        first, body = self.receive(PUBLISH)
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first >> 1 & 3:
            self.last_id, rest = rest[:2], rest[2:]
            if answers:
                self.send(0x40 if first >> 1 & 3 == 1 else 0x50, self.last_id)
        if self.version == 5:
            rest = rest[1 + rest[0]:]
        return topic, rest

    def messages(self, until):
        """Topics of what comes up to and with a message on `until`."""
        topics = []
        while not topics or topics[-1] != until:
            topics.append(self.message()[0])
        return topics

    def farewell(self):
        """The reason of DISCONNECT (None: there was none), then the end of the connection."""
        reason = None
        try:
            first, body = self.packet()
            if first >> 4 != DISCONNECT:
                raise AssertionError(f"packet {first:#x} {body!r}")
            reason = body[0] if body else 0
            self.packet()
        except Closed:
            return reason
        raise AssertionError("more after DISCONNECT")


class Broker:
    """`stentor serve` with a configuration that the test may rewrite."""

    def __init__(self, directory, config):
        self.directory = directory
        self.config = directory / "stentor.toml"
        self.config.write_text(config)
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [STENTOR, "serve", "-c", str(self.config)], cwd=directory, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=self._die_with_parent)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.ports = []
        for line in self.process.stdout:
            if match := re.match(r"listening url=\S+?:(\d+)(/\S*)?$", line.strip()):
                self.ports.append(int(match.group(1)))
            if '"event":"ready"' in line or line.startswith("ready"):
                return
        self.process.wait()
        raise AssertionError(f"not ready: {self.lines}")

    @staticmethod
    def _die_with_parent():
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(json.loads(line))
                self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.lines)

    def said(self, since=0, **wanted):
        """The first line of the log from `since` on that says what is wanted."""
        def look():
            return [line for line in self.lines[since:] if wanted.items() <= line.items()]
        with self.changed:
            if not self.changed.wait_for(look, PATIENCE):
                raise AssertionError(f"nothing said {wanted}: {self.lines[since:]}")
            return look()[0]

    def reload(self):
        since = self.mark()
        self.process.send_signal(signal.SIGHUP)
        with self.changed:
            def look():
                return [line for line in self.lines[since:]
                        if line.get("event") in ("reloaded", "reload_failed")]
            if not self.changed.wait_for(look, PATIENCE):
                raise AssertionError(f"no reload: {self.lines[since:]}")
            return look()[-1]["event"] == "reloaded"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0, f"{code}: {self.lines}"


class AccessCase(unittest.TestCase):
    LISTENER = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\nacl_file = "acl"\n'

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        self.dir = pathlib.Path(self.temp.name)

    def user(self, action, name, password=""):
        more = ["--password-file", "-"] if password else []
        # SCRAM keys are quick to verify.
        more += ["--scram"] if password else []
        subprocess.run([STENTOR, "user", action, str(self.dir / "users"), name, *more],
                       input=password, text=True, stderr=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, check=True)

    def rules(self, content):
        (self.dir / "acl").write_text(content)

    def serve(self, *more):
        config = f'[node]\ndata_dir = ":memory:"\nshards = {SHARDS}\n' + "\n".join(more) + "\n"
        self.broker = Broker(self.dir, config)
        self.addCleanup(self.broker.stop)
        self.port = self.broker.ports[0]

    def client(self, port=None, **how):
        client = Client(port or self.port, **how)
        self.addCleanup(client.close)
        return client

    def connected(self, client_id, user="anna", password="a", version=5, **how):
        client = self.client(version=version)
        self.assertEqual(client.ask(client_id, user, password, **how), 0)
        return client


def main():
    unittest.main()
