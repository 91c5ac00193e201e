"""MQTT 3.1.1 and 5.0 by hand, as far as tokens need it: what exactly comes back is the question."""

import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "scram"))

from raw_client import RawClient, properties
from wire import CONNECT, PUBLISH, SUBSCRIBE, packet, text


class Client(RawClient):
    """One connection; `version` is 4 (3.1.1) or 5."""

    def __init__(self, port, version):
        super().__init__(port)
        self.version = version

    def connect(self, client_id, user=None, password=None, will=None, kept=False):
        five = self.version == 5
        flags = (0 if kept else 2) | (0x80 if user is not None else 0)
        flags |= (0x40 if password is not None else 0) | (0x04 if will else 0)
        body = text("MQTT") + bytes([self.version, flags, 0, 0])
        body += properties(expiry=3600 if kept else None) if five else b""
        body += text(client_id)
        if will:
            body += (properties() if five else b"") + text(will) + text("gone")
        body += text(user) if user is not None else b""
        body += text(password) if password is not None else b""
        self.write(packet(CONNECT, body))
        return self.receive()

    def connect_with(self, client_id, method, data):
        """By enhanced authentication; without waiting for the answer."""
        super().connect(client_id, method, data)

    def subscribe(self, topic):
        """The reason code."""
        more = properties() if self.version == 5 else b""
        self.write(packet(SUBSCRIBE, b"\0\1" + more + text(topic) + b"\1", 2))
        return self.receive().body[-1]

    def publish(self, topic, payload=b"x"):
        more = properties() if self.version == 5 else b""
        self.write(packet(PUBLISH, text(topic) + struct.pack(">H", 7) + more + payload, 2))
