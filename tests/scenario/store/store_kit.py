"""A broker with a data directory, an MQTT client that sees every reason code, a failing disk."""

import contextlib
import errno
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "kit"))

from broker import BrokerProcess
from wire import (CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Closed,
                  Connection, text, varint)

STENTOR = os.environ["STENTOR"]
FAILING_DISK = os.environ["FAILING_DISK"]
PATIENCE = 30  # seconds until a wait counts as failed


class Refused(Exception):
    """CONNACK said no; `reason` is what it said."""

    def __init__(self, reason):
        super().__init__(f"CONNACK {reason:#x}")
        self.reason = reason


class Client(Connection):
    """MQTT 5 unless version=4. will: (topic, payload), QoS 1. packet_bytes_max: what it takes;
    None: anything."""

    def __init__(self, port, client_id, version=5, clean=False, expiry=3600, will=None,
                 packet_bytes_max=None):
        super().__init__(port, PATIENCE)
        self.version = version
        self.put_aside = []  # messages that came before what was waited for
        self.next_id = 1
        properties = b"\x11" + struct.pack("!I", expiry)
        if packet_bytes_max is not None:
            properties += b"\x27" + struct.pack("!I", packet_bytes_max)
        properties = bytes([len(properties)]) + properties if version == 5 else b""
        flags = (2 if clean else 0) | (0x0C if will else 0)
        body = text("MQTT") + bytes([version, flags]) + b"\0\0" + properties + text(client_id)
        if will:
            body += self.no_properties() + text(will[0]) + text(will[1])
        self.send(0x10, body)
        try:
            _, body = self.receive(CONNACK)
        except Closed:
            self.close()
            raise
        self.connack = body
        self.session_present = body[0] == 1
        if body[1] != 0:
            self.close()
            raise Refused(body[1])

    def __del__(self):
        if hasattr(self, "socket"):
            self.close()

    def receive(self, kind):
        """The next packet of that kind, past others; messages among them are kept for message()."""
        if kind == PUBLISH and self.put_aside:
            return self.put_aside.pop(0)
        while True:
            first, body = self.packet()
            if first >> 4 == kind:
                return first, body
            if first >> 4 == PUBLISH:
                self.put_aside.append((first, body))

    def no_properties(self):
        return b"\0" if self.version == 5 else b""

    def subscribe(self, topic_filter, qos=1):
        self.send(0x82, b"\0\x01" + self.no_properties() + text(topic_filter) + bytes([qos]))
        _, body = self.receive(SUBACK)
        return body[-1]

    def publish(self, topic, payload, qos=1, retain=False):
        """The reason code of the answer."""
        self.publish_only(topic, payload, qos, retain)
        return self.answer()

    def publish_only(self, topic, payload, qos=1, retain=False):
        head = text(topic) + (struct.pack("!H", self.next_id) if qos else b"")
        self.next_id = self.next_id % 60000 + 1
        self.send(0x30 | qos << 1 | retain, head + self.no_properties() + payload)

    def answer(self, kind=PUBACK):
        _, body = self.receive(kind)
        return body[2] if len(body) > 2 else 0

    def message(self, acknowledges=True):
        """(topic, payload) of the next PUBLISH."""
        first, body = self.receive(PUBLISH)
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        qos = first >> 1 & 3
        if qos:
            identifier, rest = rest[:2], rest[2:]
            if acknowledges:
                self.send(0x40 if qos == 1 else 0x50, identifier)
        if self.version == 5:
            rest = rest[1 + rest[0]:]
        return topic, rest

    def messages(self, count):
        return [self.message()[1] for _ in range(count)]

    def ending(self):
        """Reads to the end; the reason of DISCONNECT, or None if there was none."""
        try:
            _, body = self.receive(DISCONNECT)
            return body[0] if body else 0
        except Closed:
            return None
        finally:
            self.close()


class FailingDisk:
    """Says which calls of a broker started with environment() fail."""

    def __init__(self, under):
        self.under = under
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(bytes(24))
        self.file.flush()
        self.control = mmap.mmap(self.file.fileno(), 24)

    def environment(self):
        return {"LD_PRELOAD": FAILING_DISK, "FAILING_DISK_UNDER": self.under,
                "FAILING_DISK_CONTROL": self.file.name}

    def fail(self, syncs=0, writes=0, opens=0, full_from=0, error=errno.EIO, syncs_before=0):
        """full_from: which write or new file, counted from 1, is the first without room. error:
        what the others say that fail. syncs_before: so many syncs succeed before one fails."""
        self.control[:] = struct.pack("=iiiiii", syncs, writes, opens, full_from, error,
                                      syncs_before)

    def heal(self):
        self.fail()


class Broker(BrokerProcess):
    """`stentor serve` on a data directory."""

    def __init__(self, data, *settings, environment=None, ready=True, user=None,
                 program=STENTOR):
        arguments = ["--listen", "mqtt://127.0.0.1:0", "--data", data]
        # Tests run on disks of any size.
        for setting in ("node.shards=2", "store.min_free_bytes=1MiB", *settings):
            arguments += ["--set", setting]
        super().__init__(program, *arguments, patience=PATIENCE, environment=environment, user=user)
        self.passed = 0  # lines of the log
        self.port = None
        if ready:
            assert self.wait_until_ready(), "not ready:\n" + self.end_of_log()
            self.port = self.ports[0]

    def wait_for_door(self):
        """Of one that is not ready yet."""
        self.port = int(self.said(event="listening")["url"].rpartition(":")[2])

    def end_of_log(self):
        return "".join(self.lines[-40:])

    def wait_for_log(self, wanted):
        """The next log line that holds `wanted`, after those an earlier call has passed."""
        where, line = self.find(lambda line: wanted in line, self.passed, wanted)
        self.passed = where + 1
        return line

    def client(self, client_id, **options):
        return Client(self.port, client_id, **options)

    def patient_client(self, client_id, **options):
        """Comes back until it is let in."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.client(client_id, **options)
            except (Refused, Closed, OSError):
                if time.monotonic() > until:
                    raise
                os.sched_yield()

    def kill(self):
        self.process.kill()
        self.wait()


def told(client):
    """(messages, reason) that CONNACK says are lost; None if it says nothing."""
    found = re.search(rb"\x26\x00\x15stentor-lost-messages\x00.(\d+)"
                      rb"\x26\x00\x13stentor-lost-reason\x00.([a-z_]+)", client.connack, re.DOTALL)
    return found and (int(found[1]), found[2].decode())


def stentor(*arguments):
    """A finished command: returncode, stdout, stderr."""
    return subprocess.run([STENTOR, *arguments], capture_output=True, text=True, check=False,
                          timeout=PATIENCE * 4)


class StoreTest(unittest.TestCase):
    """Has a directory of its own, and ends what it has started."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="stentor-store-")
        self.data = self.directory + "/data"
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def broker(self, *settings, data=None, **options):
        broker = Broker(data or self.data, *settings, **options)
        self.stack.callback(self.make_sure_it_ends, broker)
        return broker

    @staticmethod
    def make_sure_it_ends(broker):
        if broker.process.poll() is None:
            broker.kill()

    def end(self, broker):
        code = broker.end()
        self.assertEqual(code, 0, broker.end_of_log())

    def disk_bytes(self):
        total = 0
        for directory, _, files in os.walk(self.data):
            for name in files:
                try:
                    total += os.path.getsize(os.path.join(directory, name))
                except FileNotFoundError:  # it went meanwhile
                    pass
        return total

    def wait_until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)  # a condition of the file system, which nobody announces

    @staticmethod
    def session(broker, name, topic_filter, **options):
        """A client that has subscribed, and stays."""
        client = broker.client(name, **options)
        client.subscribe(topic_filter, 1)
        return client

    def away(self, broker, name, topic_filter, **options):
        self.session(broker, name, topic_filter, **options).close()
