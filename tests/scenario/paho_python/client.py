"""Paho's Python client, stepped by hand: nothing happens behind a test's back, and the connection
can be cut between any two steps."""

import os
import select
import socket
import time

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE_SECONDS = 20
PORT = int(os.environ["STENTOR_PORT"])

V311 = paho.MQTTv311
V5 = paho.MQTTv5
VERSIONS = (V311, V5)


def properties(packet, **values):
    """properties("PUBLISH", TopicAlias=1)"""
    result = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Client:
    """Collects what it hears in `messages`, `acknowledged` (packet identifiers), ..."""

    def __init__(self, client_id, version=V5, kept=False, will=None, cut_at=None, **connect):
        """`kept`: the session outlives its connections. `cut_at(message)`: whether to cut the
        connection before this message is acknowledged. `connect`: properties of CONNECT."""
        clean = {} if version == V5 else {"clean_session": not kept}
        self.paho = paho.Client(client_id, protocol=version, **clean)
        self.paho.max_inflight_messages_set(50)
        if will:
            self.paho.will_set(**will)
        self.version = version
        self.kept = kept
        self.connect_properties = connect
        if kept and version == V5:
            self.connect_properties.setdefault("SessionExpiryInterval", 3600)
        self.cut_at = cut_at
        self.connack = None
        self.messages = []
        self.acknowledged = set()
        self.granted = {}
        self.removed = {}
        self.paho.on_connect = self._on_connect
        self.paho.on_message = self._on_message
        self.paho.on_publish = lambda _client, _data, mid: self.acknowledged.add(mid)
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_unsubscribe = self._on_unsubscribe

    # --- calls that return when the broker has answered ---

    def connect(self, clean=None):
        """Returns whether the broker had a session."""
        self.connack = None
        if self.version == V5:
            self.paho.connect("127.0.0.1", PORT, clean_start=not self.kept if clean is None
                              else clean,
                              properties=properties("CONNECT", **self.connect_properties))
        else:
            self.paho.connect("127.0.0.1", PORT)
        self.paho.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until(lambda: self.connack is not None, self)
        assert self.connack["code"] == 0, self.connack
        return bool(self.connack["present"])

    def subscribe(self, *arguments, **named):
        """Returns the reason codes."""
        result, mid = self.paho.subscribe(*arguments, **named)
        assert result == paho.MQTT_ERR_SUCCESS
        until(lambda: mid in self.granted, self)
        return self.granted[mid]

    def unsubscribe(self, topics):
        _, mid = self.paho.unsubscribe(topics)
        until(lambda: mid in self.removed, self)
        return self.removed[mid]

    def publish(self, topic, payload=b"", qos=1, retain=False, **values):
        info = self.send(topic, payload, qos, retain, **values)
        until(lambda: info.mid in self.acknowledged, self)

    def send(self, topic, payload=b"", qos=1, retain=False, **values):
        """Does not wait for an answer."""
        more = {"properties": properties("PUBLISH", **values)} if values else {}
        return self.paho.publish(topic, payload, qos, retain, **more)

    def disconnect(self, **values):
        if not self.connected:
            return
        more = {"properties": properties("DISCONNECT", **values)} if values else {}
        self.paho.disconnect(**more)
        while self.connected:
            step([self])

    # --- below the protocol ---

    def cut(self):
        """Ends the connection in mid-sentence; what Paho has not sent yet, it sends again."""
        if self.connected:
            self.paho.socket().shutdown(socket.SHUT_RDWR)
        while self.connected:
            step([self])

    @property
    def connected(self):
        return self.paho.socket() is not None

    @property
    def texts(self):
        return [message.payload.decode() for message in self.messages]

    def _on_connect(self, _client, _data, flags, code, given=None):
        self.connack = {"code": int(getattr(code, "value", code)),
                        "present": flags["session present"], "properties": given}

    def _on_message(self, client, _data, message):
        self.messages.append(message)
        if self.cut_at and self.cut_at(message):
            client.socket().shutdown(socket.SHUT_RDWR)

    def _on_subscribe(self, _client, _data, mid, codes, _properties=None):
        self.granted[mid] = [int(getattr(code, "value", code)) for code in codes]

    def _on_unsubscribe(self, _client, _data, mid, _properties=None, codes=None):
        codes = codes if isinstance(codes, list) else [codes]
        self.removed[mid] = [int(getattr(code, "value", 0)) for code in codes]


def step(clients, seconds=0.1):
    """Lets those clients read and write once that can."""
    connected = [client for client in clients if client.connected]
    readers = [client.paho.socket() for client in connected]
    writers = [client.paho.socket() for client in connected if client.paho.want_write()]
    readable, writable, _ = select.select(readers, writers, [], seconds)
    for client in connected:
        descriptor = client.paho.socket()
        if descriptor in readable:
            client.paho.loop_read()
        if client.paho.socket() is descriptor and descriptor in writable:
            client.paho.loop_write()


def until(condition, *clients):
    """Steps the clients until the condition holds."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > limit:
            heard = {client.paho._client_id: client.texts[-20:] for client in clients}
            raise AssertionError(f"waited in vain; heard: {heard}")
        step(clients)
