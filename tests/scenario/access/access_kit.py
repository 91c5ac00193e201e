"""A broker with users and rules that change, and an MQTT client that sees every reason code."""

import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "kit"))

from broker import BrokerProcess
from wire import (CONNACK, DISCONNECT, PUBACK, PUBLISH, PUBREC, SUBACK, Closed, Connection, text,
                  varint)

STENTOR = os.environ["STENTOR"]
SHARDS = os.environ["SHARDS"]
PATIENCE = 20


class Client(Connection):
    """MQTT 5 unless version=4. `before` is sent before anything else."""

    def __init__(self, port, host="127.0.0.1", source=None, before=b"", version=5):
        super().__init__(port, PATIENCE, host, source)
        self.version = version
        self.next_id = 0
        if before:
            self.write(before)

    def wrap(self, context, **how):
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost", **how)

    def receive(self, kind):
        first, body = self.packet()
        if first >> 4 != kind:
            raise AssertionError(f"packet {first:#x} {body!r} instead of {kind}")
        return first, body

    def ask(self, *who, **how):
        """CONNECT; returns the reason of CONNACK."""
        self.request(*who, **how)
        return self.answer()

    def request(self, client_id, user=None, password=None, keeps=False, window=None, clean=True,
                largest=None):
        flags = 0x80 * (user is not None) | 0x40 * (password is not None)
        body = text("MQTT") + bytes([self.version, flags | (2 if clean else 0), 0, 0])
        if self.version == 5:
            properties = b"\x11" + struct.pack("!I", 3600) if keeps else b""
            properties += b"\x21" + struct.pack("!H", window) if window else b""
            properties += b"\x27" + struct.pack("!I", largest) if largest else b""
            body += varint(len(properties)) + properties
        body += text(client_id)
        body += text(user) if user is not None else b""
        body += text(password) if password is not None else b""
        self.send(0x10, body)

    def answer(self):
        """The reason of CONNACK."""
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


class Broker(BrokerProcess):
    """`stentor serve` with a configuration that the test may rewrite."""

    def __init__(self, directory, config):
        self.directory = directory
        self.config = directory / "stentor.toml"
        self.config.write_text(config)
        super().__init__(STENTOR, "-c", str(self.config), patience=PATIENCE, cwd=directory)
        if not self.wait_until_ready():
            self.wait()
            raise AssertionError(f"not ready: {self.lines}")

    def reload(self):
        """Whether the broker took the new configuration."""
        since = self.mark()
        self.signal(signal.SIGHUP)
        _, line = self.find(
            lambda line: '"event":"reloaded"' in line or '"event":"reload_failed"' in line, since,
            "how the reload went")
        return '"event":"reloaded"' in line


class AccessCase(unittest.TestCase):
    LISTENER = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n'
    AUTH = '[auth]\nanonymous = "never"\npassword_file = "users"\nacl_file = "acl"\n'

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        self.dir = pathlib.Path(self.temp.name)

    def user(self, action, name, password="", scram=True):
        more = ["--password-file", "-"] if password else []
        # SCRAM keys are quick to verify.
        more += ["--scram"] if password and scram else []
        subprocess.run([STENTOR, "user", action, str(self.dir / "users"), name, *more],
                       input=password, text=True, stderr=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, check=True)

    def rules(self, content):
        (self.dir / "acl").write_text(content)

    def serve(self, *more, data=":memory:"):
        config = f'[node]\ndata_dir = "{data}"\nshards = {SHARDS}\n' + "\n".join(more) + "\n"
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
