#!/usr/bin/env python3
"""Behind Debian's haproxy: what it says of its clients in PROXY headers (both versions, with TLS
ended here or there) and in X-Forwarded-For, its health checks, and what is not believed.

    SHARDS=N STENTOR=PATH test_haproxy.py

The test's clients come from 127.0.0.0/8 and ::1. Where another address is needed the client tells
haproxy in a PROXY header of its own (accept-proxy), as a balancer before it would.
"""

import socket
import ssl
import struct
import subprocess
import threading

from access_kit import PATIENCE, STENTOR, AccessCase, Closed, main
from broker import die_with_parent
from paho.mqtt import client as paho

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def listening(family=socket.AF_INET):
    door = socket.socket(family)
    door.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    door.listen(64)
    return door


class Relay:
    """Stands before the broker for health checks: passes them on, keeps what each began with."""

    def __init__(self, port):
        self.to = port
        self.door = listening()
        self.port = self.door.getsockname()[1]
        self.seen = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while True:
            try:
                check, _ = self.door.accept()
            except OSError:
                return
            with check, socket.create_connection(("127.0.0.1", self.to), PATIENCE) as broker:
                first = b""
                try:
                    while piece := check.recv(4096):
                        first += piece
                        broker.sendall(piece)
                except ConnectionError:
                    pass  # a check ends with a reset
                broker.shutdown(socket.SHUT_WR)
                broker.recv(1)  # one check at a time: until the broker has let go of it
            with self.changed:
                self.seen.append(first)
                self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.seen) >= count, PATIENCE):
                raise AssertionError(f"{len(self.seen)} of {count} health checks")
            return list(self.seen)

    def close(self):
        self.door.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.door.close()


class Haproxy(AccessCase):
    OPEN = '[auth]\nanonymous = "always"\n[logging]\nlevel = "debug"\n'
    TRUST = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
    MQTT = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n' + TRUST
    AUTO = ('[[listener]]\nurl = "auto://127.0.0.1:0"\ntls = { certificate = "server.crt", '
            'key = "server.key", client_ca = "ca.crt", client_certificate = "optional" }\n') + TRUST

    @classmethod
    def setUpClass(cls):
        subprocess.run(["haproxy", "-v"], check=True, capture_output=True)

    def authority(self):
        subprocess.run([STENTOR, "init", str(self.dir), "--host", "localhost", "--client",
                        "phone-7"], check=True, capture_output=True)
        (self.dir / "both.pem").write_text((self.dir / "server.crt").read_text() +
                                           (self.dir / "server.key").read_text())
        self.tls = ssl.create_default_context(cafile=self.dir / "ca.crt")

    def proxy(self, server, mode="tcp", bind="", ipv6=False, port=None, more=""):
        """haproxy before `port`; the port it listens on. It takes over a socket of ours: its door
        is open before it runs."""
        door = listening(socket.AF_INET6 if ipv6 else socket.AF_INET)
        number = door.getsockname()[1]
        config = self.dir / f"haproxy-{number}.cfg"
        config.write_text(
            "global\n  nbthread 1\n  maxconn 100\n"
            f"defaults\n  mode {mode}\n  timeout connect 20s\n  timeout client 60s\n"
            "  timeout server 60s\n  timeout tunnel 60s\n"
            f"listen mqtt\n  bind fd@{door.fileno()} {bind}\n{more}"
            f"  server stentor 127.0.0.1:{port or self.port} {server}\n")
        said = open(self.dir / f"haproxy-{number}.log", "w+", encoding="utf-8")
        self.addCleanup(said.close)
        process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], pass_fds=[door.fileno()],
                                   stdout=said, stderr=said, preexec_fn=die_with_parent)
        door.close()

        def end():
            early = process.poll()
            process.terminate()
            process.wait(PATIENCE)
            said.seek(0)
            self.assertIsNone(early, said.read())
        self.addCleanup(end)
        return number

    def come(self, port, name, address=None, tls=None, host="127.0.0.1", source=None):
        """The answer to CONNECT, and the client."""
        before = b""
        if address:
            family, to = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
            before = f"PROXY {family} {address} {to} 4711 1883\r\n".encode()
        client = self.client(port, host=host, source=source, before=before)
        if tls:
            client.wrap(tls)
        return client.ask(name), client

    def connected_from(self, name):
        return self.broker.said(event="connected", client=name)["peer"]

    def refused(self, port, data):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream:
            stream.sendall(data)
            try:
                self.assertEqual(stream.recv(1), b"")
            except ConnectionResetError:
                pass

    def test_both_versions_and_both_families(self):
        self.serve(self.MQTT, self.OPEN)
        for version in ("send-proxy", "send-proxy-v2"):
            with self.subTest(version=version):
                plain = self.proxy(version)
                self.assertEqual(self.come(plain, f"{version}-4", source="127.0.0.5")[0], 0)
                self.assertEqual(self.connected_from(f"{version}-4"), "127.0.0.5")
                six = self.proxy(version, ipv6=True)
                self.assertEqual(self.come(six, f"{version}-6", host="::1")[0], 0)
                self.assertEqual(self.connected_from(f"{version}-6"), "::1")
                chain = self.proxy(version, bind="accept-proxy")
                for address in ("192.0.2.77", "2001:db8::77"):
                    self.assertEqual(self.come(chain, version + address, address)[0], 0)
                    self.assertEqual(self.connected_from(version + address), address)

    def test_who_comes_through_a_proxy_is_not_on_loopback(self):
        self.serve(self.MQTT, '[auth]\nanonymous = "loopback"\n')
        port = self.proxy("send-proxy-v2")
        self.assertEqual(self.come(port, "stranger")[0], 0x87)
        self.assertEqual(self.broker.said(event="not_admitted")["peer"], "127.0.0.1")

    def test_limits_and_bans_meet_the_client(self):
        (self.dir / "bans").write_text("address 192.0.2.66\naddress 2001:db8:66::/48\n")
        self.serve(self.MQTT, '[auth]\nanonymous = "always"\nban_file = "bans"\n',
                   "[limits]\nconnections_per_address_max = 2\n")
        port = self.proxy("send-proxy-v2", bind="accept-proxy")
        for address in ("192.0.2.66", "2001:db8:66::1"):
            with self.assertRaises(Closed):
                self.come(port, "banned", address)
            line = self.broker.said(event="address_refused", peer=address)
            self.assertEqual(line["reason"], "banned")
        stay = [self.come(port, f"c{i}", "192.0.2.1") for i in range(2)]
        self.assertEqual([answer for answer, _ in stay], [0, 0])
        with self.assertRaises(Closed):
            self.come(port, "c2", "192.0.2.1")
        line = self.broker.said(event="address_refused", peer="192.0.2.1")
        self.assertEqual(line["reason"], "connections_per_address_max")
        self.assertEqual(self.come(port, "other", "192.0.2.2")[0], 0)
        # A ban of those that are connected.
        (self.dir / "bans").write_text("address 192.0.2.1\n")
        self.assertTrue(self.broker.reload())
        for _, client in stay:
            self.assertEqual(client.farewell(), 0x98)

    def test_tls_ended_here(self):
        self.authority()
        (self.dir / "acl").write_text("pattern write of/%u/#\n")
        self.serve(self.AUTO, '[auth]\nanonymous = "never"\nacl_file = "acl"\n'
                   '[logging]\nlevel = "debug"\n')
        self.tls.load_cert_chain(self.dir / "phone-7.crt", self.dir / "phone-7.key")
        for version in ("send-proxy", "send-proxy-v2"):
            with self.subTest(version=version):
                port = self.proxy(version, bind="accept-proxy")
                answer, client = self.come(port, version, "192.0.2.7", tls=self.tls)
                self.assertEqual(answer, 0)
                self.assertEqual(self.connected_from(version), "192.0.2.7")
                self.assertEqual(client.publish("of/phone-7/a"), 0x10)
                self.assertEqual(client.publish("of/others"), 0x87)

    def test_tls_ended_by_the_proxy(self):
        self.authority()
        self.serve(self.MQTT, self.OPEN)
        known = ssl.create_default_context(cafile=self.dir / "ca.crt")
        known.load_cert_chain(self.dir / "phone-7.crt", self.dir / "phone-7.key")
        bind = (f"ssl crt {self.dir}/both.pem ca-file {self.dir}/ca.crt verify optional "
                "accept-proxy")
        every = ("send-proxy-v2 proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,"
                 "authority,crc32c,unique-id")
        for number, server in enumerate(("send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", every)):
            port = self.proxy(server, bind=bind, more="  unique-id-format %[uuid()]\n")
            for tls in (self.tls, known):
                with self.subTest(server=server, certificate=tls is known):
                    name = f"{number}-{tls is known}"
                    answer, client = self.come(port, name, "192.0.2.8", tls=tls)
                    self.assertEqual(answer, 0)
                    self.assertEqual(self.connected_from(name), "192.0.2.8")
                    self.assertEqual(client.publish("t", bytes(50_000)), 0x10)

    def test_a_name_that_the_proxy_has_checked_is_no_user(self):
        self.authority()
        self.serve(self.MQTT, '[auth]\nanonymous = "never"\n')
        self.tls.load_cert_chain(self.dir / "phone-7.crt", self.dir / "phone-7.key")
        port = self.proxy("send-proxy-v2-ssl-cn", bind=f"ssl crt {self.dir}/both.pem "
                          f"ca-file {self.dir}/ca.crt verify required")
        self.assertEqual(self.come(port, "c", tls=self.tls)[0], 0x87)

    def test_web_sockets_behind_http_mode(self):
        self.authority()
        self.serve('[[listener]]\nurl = "ws://127.0.0.1:0/mqtt"\ntrusted_proxies = ["127.0.0.1"]\n',
                   self.OPEN)
        port = self.proxy("", mode="http", bind=f"ssl crt {self.dir}/both.pem accept-proxy",
                          more="  option forwardfor\n")
        # Paho cannot say what stands before TLS: a relay of the test's does.
        heard = threading.Event()
        client = paho.Client("web", transport="websockets")
        client.tls_set(str(self.dir / "ca.crt"))
        client.ws_set_options(path="/mqtt")
        client.on_connect = lambda *_: client.subscribe("t", 1)
        client.on_subscribe = lambda *_: client.publish("t", "x", 1)
        client.on_message = lambda *_: heard.set()
        relay = self.before(port, b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 443\r\n")
        client.connect("localhost", relay)
        client.loop_start()
        self.assertTrue(heard.wait(PATIENCE))
        client.disconnect()
        client.loop_stop()
        self.assertEqual(self.connected_from("web"), "192.0.2.9")

    def before(self, port, line):
        """The port of a door that passes one connection on, with `line` before it."""
        door = listening()

        def pump(source, sink):
            try:
                while piece := source.recv(65536):
                    sink.sendall(piece)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def run():
            client, _ = door.accept()
            with client, socket.create_connection(("127.0.0.1", port), PATIENCE) as server:
                server.sendall(line)
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()
            door.close()

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return door.getsockname()[1]

    def health_checks_are_nobody(self, version, begins):
        self.serve(self.MQTT, '[auth]\nanonymous = "always"\n',
                   "[limits]\nconnections_max = 12\nconnect_timeout = \"60s\"\n")
        self.broker.said(event="ready")
        relay = Relay(self.port)
        self.addCleanup(relay.close)
        mark = self.broker.mark()
        port = self.proxy(f"{version} check inter 10ms check-send-proxy "
                          f"addr 127.0.0.1 port {relay.port}")
        for check in relay.wait_for(30):
            self.assertTrue(check.startswith(begins), check)
        # No place is kept: ten clients fit beside thirty checks that have been.
        answers = [self.come(port, f"c{i}")[0] for i in range(10)]
        self.assertEqual(answers, [0] * 10)
        self.assertEqual(self.broker.lines[mark:], [])

    def test_health_checks_are_nobody_1(self):
        self.health_checks_are_nobody("send-proxy", b"PROXY ")

    def test_health_checks_are_nobody_2(self):
        local = b"\x20"
        self.health_checks_are_nobody("send-proxy-v2", SIGNATURE + local)

    def test_an_address_that_is_not_trusted(self):
        nobody = self.TRUST.replace("127.0.0.1", "192.0.2.1")
        self.serve(self.MQTT.replace(self.TRUST, nobody),
                   '[[listener]]\nurl = "ws://127.0.0.1:0/mqtt"\n' + nobody,
                   '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n', self.OPEN)
        for port, why in zip(self.broker.ports, ("not in trusted_proxies", "not in trusted_proxies",
                                                 "without proxy_protocol")):
            for version in ("send-proxy", "send-proxy-v2"):
                with self.subTest(version=version, why=why):
                    mark = self.broker.mark()
                    with self.assertRaises(Closed):
                        self.come(self.proxy(version, port=port), "c")
                    self.broker.find(lambda line, why=why: why in line, mark, why)
        # Whoever is not the proxy speaks for himself, without a header.
        self.assertEqual(self.come(self.port, "direct")[0], 0)
        self.assertEqual(self.connected_from("direct"), "127.0.0.1")

    def test_a_proxy_that_sends_no_header(self):
        self.serve(self.MQTT, self.OPEN, '[limits]\nconnect_timeout = "300ms"\n')
        with self.assertRaises(Closed):
            self.come(self.proxy(""), "c")
        self.assertIn("this door demands one", self.broker.said(event="connection_failed")["msg"])
        mark = self.broker.mark()
        self.refused(self.port, b"")
        line = self.broker.said(mark, event="connection_failed")
        self.assertIn("still to send a PROXY header", line["msg"])

    def test_headers_that_are_too_long(self):
        self.serve(self.MQTT, self.OPEN)

        def version_2(length):
            addresses = socket.inet_aton("192.0.2.4") * 2 + struct.pack("!HH", 1, 2)
            rest = length - len(addresses) - 3
            tlv = b"\xEE" + struct.pack("!H", rest) + bytes(rest)
            return SIGNATURE + b"\x21\x11" + struct.pack("!H", length) + addresses + tlv

        for header, why in ((version_2(2048 - 16 + 1), "too long"),
                            (b"PROXY TCP4 " + b"1" * 200, "without an end"),
                            (SIGNATURE + b"\x21\x11" + b"\xFF\xFF", "too long")):
            with self.subTest(why=why):
                mark = self.broker.mark()
                self.refused(self.port, header)
                self.assertIn(why, self.broker.said(mark, event="connection_failed")["msg"])
        client = self.client(before=version_2(2048 - 16))
        self.assertEqual(client.ask("longest"), 0)
        self.assertEqual(self.connected_from("longest"), "192.0.2.4")


if __name__ == "__main__":
    main()
