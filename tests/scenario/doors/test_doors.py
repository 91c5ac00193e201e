#!/usr/bin/env python3
"""TLS, WebSocket, PROXY header and auto:// against the real binary, with OpenSSL's, Paho's,
Mosquitto's and curl's idea of them, and with sockets that do it wrong.

    test_doors.py STENTOR SHARDS
"""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

from paho.mqtt import client as paho

STENTOR = os.path.abspath(os.environ.get("STENTOR_BINARY", sys.argv[1]))
SHARDS = sys.argv[2]
PATIENCE = 20
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"


def die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Broker:
    """`stentor serve` with the listeners given as TOML; their real ports in `ports`, in order."""

    def __init__(self, directory, listeners, more=""):
        self.directory = directory
        config = directory / "doors.toml"
        config.write_text(f'[node]\ndata_dir = ":memory:"\nshards = {SHARDS}\n' +
                          "".join(f"[[listener]]\n{text}\n" for text in listeners) + more)
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [STENTOR, "serve", "-c", str(config)], cwd=directory, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.ports = []
        for line in self.process.stdout:
            match = re.match(r"listening url=\S+?:(\d+)(/\S*)?$", line.strip())
            if match:
                self.ports.append(int(match.group(1)))
            if len(self.ports) == len(listeners):
                return
        self.process.wait()
        raise AssertionError("no listeners: " + "".join(self.lines))

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.lines)

    def wait_for(self, text, since=0):
        """The first log line from `since` on with `text` in it."""
        found = []

        def look():
            found[:] = [line for line in self.lines[since:] if text in line]
            return found

        with self.changed:
            if not self.changed.wait_for(look, PATIENCE):
                raise AssertionError(f"nothing said {text!r}:\n{''.join(self.lines[since:])}")
        return json.loads(found[0])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0, f"{code}: {''.join(self.lines)}"


class Doors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.dir = pathlib.Path(cls.temp.name)
        run(STENTOR, "init", str(cls.dir), "--host", "localhost", "--host", "127.0.0.1",
            "--client", "phone-7", "--client", "phone-8")
        cls.other = cls.dir / "other"
        run(STENTOR, "init", str(cls.other), "--host", "localhost")
        cls.context = ssl.create_default_context(cafile=cls.dir / "ca.crt")

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()

    def broker(self, *listeners, more=""):
        broker = Broker(self.dir, listeners, more)
        self.addCleanup(broker.stop)
        return broker

    TLS = 'tls = { certificate = "server.crt", key = "server.key" }\n'

    def connect(self, port, tls=None):
        stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(stream.close)
        if tls:
            stream = tls.wrap_socket(stream, server_hostname="localhost")
            self.addCleanup(stream.close)
        return stream

    @staticmethod
    def read_to_end(stream):
        data = b""
        try:
            while piece := stream.recv(65536):
                data += piece
        except (ConnectionResetError, ssl.SSLError):
            pass
        return data

    def paho_exchange(self, port, transport, tls, version):
        """A message of each QoS and one of 200 kB come back as they were."""
        name = f"{transport}-{'tls' if tls else 'plain'}-{version}"
        client = paho.Client(name, protocol=version, transport=transport)
        if tls:
            client.tls_set(str(self.dir / "ca.crt"))
        wanted = {b"zero": 0, b"one": 1, b"two": 2, os.urandom(200_000): 1}
        heard = {}
        done = threading.Event()

        def on_message(_client, _data, message):
            heard[message.payload] = message.qos
            if len(heard) == len(wanted):
                done.set()

        def on_subscribe(*_):
            for payload, qos in wanted.items():
                client.publish(name, payload, qos)

        client.on_message = on_message
        client.on_connect = lambda *_: client.subscribe(name, 2)
        client.on_subscribe = on_subscribe
        client.ws_set_options(path="/mqtt")
        client.connect("localhost", port)
        client.loop_start()
        try:
            self.assertTrue(done.wait(PATIENCE), f"{name}: {len(heard)} of {len(wanted)}")
        finally:
            client.disconnect()
            client.loop_stop()
        self.assertEqual(heard, wanted)

    def test_paho_through_every_door(self):
        broker = self.broker('url = "mqtts://127.0.0.1:0"\n' + self.TLS,
                             'url = "ws://127.0.0.1:0/mqtt"',
                             'url = "wss://127.0.0.1:0/mqtt"\n' + self.TLS,
                             'url = "auto://127.0.0.1:0"\n' + self.TLS)
        mqtts, ws, wss, auto = broker.ports
        for version in (paho.MQTTv311, paho.MQTTv5):
            for port, transport, tls in ((mqtts, "tcp", True), (ws, "websockets", False),
                                         (wss, "websockets", True), (auto, "tcp", False),
                                         (auto, "tcp", True), (auto, "websockets", False),
                                         (auto, "websockets", True)):
                with self.subTest(port=port, transport=transport, tls=tls, version=version):
                    self.paho_exchange(port, transport, tls, version)

    def test_mosquitto_and_stentor_tools(self):
        broker = self.broker('url = "auto://127.0.0.1:0"\n' + self.TLS)
        port = str(broker.ports[0])
        ca = str(self.dir / "ca.crt")
        run("mosquitto_pub", "-h", "localhost", "-p", port, "--cafile", ca, "-t", "t", "-m", "x",
            "-q", "2")
        for scheme in ("mqtt", "mqtts", "ws", "wss"):
            path = "/mqtt" if scheme.startswith("ws") else ""
            run(STENTOR, "pub", "--url", f"{scheme}://localhost:{port}{path}", "--cafile", ca,
                "-t", "t", "-m", "x", "-q", "2")

    def test_client_certificates_are_users(self):
        (self.dir / "acl.conf").write_text("pattern readwrite of/%u/#\n")
        shutil.copy(self.dir / "ca.crt", self.dir / "trusted.crt")
        broker = self.broker(
            'url = "mqtts://127.0.0.1:0"\ntls = { certificate = "server.crt", key = "server.key", '
            'client_ca = "trusted.crt", client_certificate = "required" }',
            more='[auth]\nanonymous = "never"\nacl_file = "acl.conf"\n')

        def publish(topic, certificate):
            credentials = ["--cert", f"{self.dir}/{certificate}.crt",
                           "--key", f"{self.dir}/{certificate}.key"] if certificate else []
            done = run("mosquitto_pub", "-h", "localhost", "-p", str(broker.ports[0]), "--cafile",
                       str(self.dir / "ca.crt"), "-V", "5", "-t", topic, "-m", "x", "-q", "1",
                       *credentials, check=False)
            return done.returncode == 0 and "Not authorized" not in done.stderr

        self.assertTrue(publish("of/phone-7/a", "phone-7"))
        self.assertFalse(publish("of/phone-7/a", "phone-8"))
        mark = broker.mark()
        self.assertFalse(publish("of/phone-7/a", None))
        self.assertIn("did not return a certificate",
                      broker.wait_for("connection_failed", mark)["msg"])

    def test_wrong_doors_say_which_is_right(self):
        broker = self.broker('url = "mqtt://127.0.0.1:0"',
                             'url = "mqtts://127.0.0.1:0"\n' + self.TLS,
                             'url = "ws://127.0.0.1:0/mqtt"')
        mqtt, mqtts, ws = broker.ports
        for port, said, hint in ((mqtt, b"\x16\x03\x01\x00\x05hello", "mqtts:// or auto://"),
                                 (mqtt, b"GET / HTTP/1.1\r\n\r\n", "http:// (WebSocket: ws://)"),
                                 (mqtts, CONNECT, "plain MQTT on a TLS door"),
                                 (ws, CONNECT, "MQTT without a WebSocket"),
                                 (ws, b"\x16\x03\x01\x00\x05hello", "wss:// or auto://")):
            with self.subTest(hint=hint, port=port):
                mark = broker.mark()
                stream = self.connect(port)
                stream.sendall(said)
                self.assertEqual(self.read_to_end(stream), b"")
                broker.wait_for(hint, mark)

    def test_http_gets_an_answer_it_can_read(self):
        broker = self.broker('url = "wss://127.0.0.1:0"\n' + self.TLS,
                             'url = "auto://127.0.0.1:0"\n' + self.TLS)
        for port, status in zip(broker.ports, ("426 Upgrade Required", "404 Not Found")):
            done = run("curl", "-s", "-i", "--cacert", str(self.dir / "ca.crt"),
                       f"https://localhost:{port}/mqtt")
            self.assertIn(status, done.stdout)

    def test_versions(self):
        broker = self.broker(
            'url = "mqtts://127.0.0.1:0"\n' + self.TLS,
            'url = "mqtts://127.0.0.1:0"\n' + self.TLS.replace(" }", ', min_version = "1.3" }'))
        old_and_new, new = broker.ports

        def speaks(port, version):
            context = ssl.create_default_context(cafile=self.dir / "ca.crt")
            context.minimum_version = context.maximum_version = version
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            try:
                stream = self.connect(port, context)
                stream.sendall(CONNECT)
                return stream.recv(4) == b"\x20\x02\x00\x00"
            except (ssl.SSLError, ConnectionError):
                return False

        self.assertFalse(speaks(old_and_new, ssl.TLSVersion.TLSv1_1))
        self.assertTrue(speaks(old_and_new, ssl.TLSVersion.TLSv1_2))
        self.assertTrue(speaks(old_and_new, ssl.TLSVersion.TLSv1_3))
        self.assertFalse(speaks(new, ssl.TLSVersion.TLSv1_2))
        self.assertTrue(speaks(new, ssl.TLSVersion.TLSv1_3))

    def test_certificates_are_replaced_while_it_runs(self):
        for name in ("server.crt", "server.key"):
            shutil.copy(self.dir / name, self.dir / f"kept-{name}")
        self.addCleanup(lambda: [shutil.copy(self.dir / f"kept-{name}", self.dir / name)
                                 for name in ("server.crt", "server.key")])
        broker = self.broker('url = "mqtts://127.0.0.1:0"\n' + self.TLS)

        def trusts(authority):
            try:
                self.connect(broker.ports[0],
                             ssl.create_default_context(cafile=authority / "ca.crt")).close()
                return True
            except ssl.SSLCertVerificationError:
                return False

        self.assertTrue(trusts(self.dir))
        mark = broker.mark()
        for name in ("server.key", "server.crt"):
            shutil.copy(self.other / name, self.dir / name)
        broker.process.send_signal(signal.SIGHUP)
        broker.wait_for("certificates_renewed", mark)
        self.assertTrue(trusts(self.other))
        self.assertFalse(trusts(self.dir))
        mark = broker.mark()
        (self.dir / "server.key").write_text("nonsense")  # seen without a signal
        self.assertIn("server.key", broker.wait_for("certificates_kept", mark)["msg"])
        self.assertTrue(trusts(self.other))

    REQUIRED = TLS.replace(" }", ', client_ca = "ca.crt", client_certificate = "required" }')

    def welcomed(self, port, tls=None, name=None):
        """Whether MQTT is spoken there without a certificate, or with that of `name`."""
        if name:
            tls = ssl.create_default_context(cafile=self.dir / "ca.crt")
            tls.load_cert_chain(self.dir / f"{name}.crt", self.dir / f"{name}.key")
        try:
            stream = self.connect(port, tls)
            stream.sendall(CONNECT)
            return stream.recv(4) == b"\x20\x02\x00\x00"
        except (ssl.SSLError, ConnectionError):
            return False

    def spoken_to(self, port, tls):
        """Whether there is an answer to CONNECT, whatever it is."""
        stream = self.connect(port, tls)
        stream.sendall(CONNECT)
        return stream.recv(2) == b"\x20\x02"

    def reload(self, broker, *listeners, more=""):
        """The line that says how it went."""
        (self.dir / "doors.toml").write_text(
            f'[node]\ndata_dir = ":memory:"\nshards = {SHARDS}\n' +
            "".join(f"[[listener]]\n{text}\n" for text in listeners) + more)
        mark = broker.mark()
        broker.process.send_signal(signal.SIGHUP)
        return broker.wait_for('"event":"reload', mark)

    def test_a_reload_finds_listeners_by_their_url(self):
        strict = 'url = "mqtts://127.0.0.1:0"\n' + self.REQUIRED
        mild = 'url = "mqtts://localhost:0"\n' + self.TLS
        broker = self.broker(strict, mild)

        def as_they_were():
            self.assertFalse(self.welcomed(broker.ports[0], self.context))
            self.assertTrue(self.welcomed(broker.ports[0], name="phone-7"))
            self.assertTrue(self.welcomed(broker.ports[1], self.context))

        as_they_were()
        mark = broker.mark()
        for listeners in ((mild, strict), (mild,), ('url = "mqtt://127.0.0.1:0"', mild, strict)):
            self.assertEqual(self.reload(broker, *listeners)["event"], "reloaded")
            self.assertIn("listener", broker.wait_for("restart_needed", mark)["keys"])
            mark = broker.mark()
            as_they_were()
        # What has changed does come.
        self.reload(broker, mild, strict.replace('"required"', '"optional"'))
        self.assertTrue(self.welcomed(broker.ports[0], self.context))

    def test_a_listener_neither_loses_nor_gets_tls_while_it_runs(self):
        with_tls = 'url = "auto://127.0.0.1:0"\n' + self.TLS
        without = 'url = "auto://localhost:0"'
        broker = self.broker(with_tls, without)
        mark = broker.mark()
        self.reload(broker, with_tls.replace(self.TLS, ""), without + "\n" + self.TLS)
        self.assertIn("listener.tls", broker.wait_for("restart_needed", mark)["keys"])
        self.assertTrue(self.welcomed(broker.ports[0], self.context))
        self.assertTrue(self.welcomed(broker.ports[1]))

    def test_a_bad_certificate_is_one_doors_matter(self):
        shutil.copy(self.dir / "server.key", self.dir / "own.key")
        door = 'url = "mqtts://127.0.0.1:0"\n' + self.TLS.replace("server.key", "own.key")
        other = 'url = "mqtts://localhost:0"\n'
        broker = self.broker(door, other + self.TLS, 'url = "mqtt://127.0.0.1:0"')
        mark = broker.mark()
        shutil.copy(self.dir / "ca.key", self.dir / "own.key")
        line = self.reload(broker, door, other + self.REQUIRED,
                           'url = "mqtt://127.0.0.1:0"', more='[auth]\nanonymous = "never"\n')
        self.assertEqual((line["event"], line["listeners_kept"]), ("reloaded", 1))
        kept = broker.wait_for('"line"', mark)
        self.assertEqual(kept["event"], "certificates_kept")
        self.assertRegex(kept["msg"], r"doors.toml:\d+:\d+: .*own.key")
        self.assertEqual(kept["listener"], f"mqtts://127.0.0.1:{broker.ports[0]}")
        mark = broker.mark()
        self.assertTrue(self.spoken_to(broker.ports[0], self.context))  # as it was, all of it
        self.assertFalse(self.welcomed(broker.ports[1], self.context))
        self.assertTrue(self.welcomed(broker.ports[1], name="phone-7"))
        self.assertFalse(self.welcomed(broker.ports[2]))
        # Mended, it comes without another word.
        shutil.copy(self.dir / "server.key", self.dir / "own.key")
        self.reload(broker, door, other + self.REQUIRED, 'url = "mqtt://127.0.0.1:0"')
        self.assertEqual(broker.wait_for("certificates_renewed", mark)["listener"],
                         f"mqtts://127.0.0.1:{broker.ports[0]}")
        self.assertTrue(self.welcomed(broker.ports[0], self.context))

    def test_tls_options_that_cannot_be_used_refuse_the_whole_reload(self):
        """Or else everybody comes in whom the door was to ask for a certificate."""
        door = 'url = "mqtts://127.0.0.1:0"\n'
        never, always = (f'[auth]\nanonymous = "{each}"\n' for each in ("never", "always"))
        broker = self.broker(door + self.TLS, more=never)
        for wrong, file in ((self.REQUIRED.replace("ca.crt", "typo.crt"), "typo.crt"),
                            (self.REQUIRED.replace("server.key", "ca.key"), "ca.key")):
            mark = broker.mark()
            line = self.reload(broker, door + wrong, more=always)
            self.assertEqual((line["event"], line["level"]), ("reload_failed", "error"))
            self.assertRegex(line["msg"], rf"doors.toml:\d+:\d+: .*{file}")
            broker.wait_for("the old configuration stays in force", mark)
            self.assertFalse(self.welcomed(broker.ports[0], self.context))
        line = self.reload(broker, door + self.REQUIRED, more=always)
        self.assertEqual((line["event"], line["listeners_kept"]), ("reloaded", 0))
        self.assertFalse(self.welcomed(broker.ports[0], self.context))
        self.assertTrue(self.welcomed(broker.ports[0], name="phone-7"))
        # Asking no longer is a change, too.
        line = self.reload(broker, door + self.TLS.replace("server.crt", "typo.crt"), more=never)
        self.assertEqual(line["event"], "reload_failed")
        self.assertTrue(self.welcomed(broker.ports[0], name="phone-7"))

    def test_a_required_certificate_means_no_plain_speech(self):
        broker = self.broker('url = "auto://127.0.0.1:0"\n' + self.REQUIRED)
        self.assertTrue(self.welcomed(broker.ports[0], name="phone-7"))
        mark = broker.mark()
        stream = self.connect(broker.ports[0])
        stream.sendall(CONNECT)
        self.assertEqual(self.read_to_end(stream), b"")
        broker.wait_for("demands client certificates", mark)

    def test_proxy_header(self):
        broker = self.broker('url = "mqtt://127.0.0.1:0"\nproxy_protocol = true\n'
                             'trusted_proxies = ["127.0.0.1"]',
                             more='[logging]\nlevel = "debug"\n')
        stream = self.connect(broker.ports[0])
        mark = broker.mark()
        for piece in (b"PROXY TCP4 192.0.2.77 198.", b"51.100.7 56324 1883\r\n" + CONNECT):
            stream.sendall(piece)
        # Whoever comes through a proxy is not on loopback, and so not welcome without a name.
        self.assertEqual(self.read_to_end(stream), b"\x20\x02\x00\x05")
        self.assertIn("192.0.2.77", json.dumps(broker.wait_for("192.0.2.77", mark)))
        without = self.connect(broker.ports[0])
        without.sendall(CONNECT)
        self.assertEqual(self.read_to_end(without), b"")

    def test_half_handshakes_end_and_disturb_nobody(self):
        broker = self.broker('url = "auto://127.0.0.1:0"\n' + self.TLS,
                             more='[limits]\nconnect_timeout = "500ms"\n')
        slow = [self.connect(broker.ports[0]) for _ in range(50)]
        for i, stream in enumerate(slow):
            stream.sendall((b"", b"\x16\x03", b"\x16\x03\x01\x02\x00\x01", b"GET /mqtt HT",
                            b"\x10\x0d\x00")[i % 5])
        self.paho_exchange(broker.ports[0], "tcp", True, paho.MQTTv5)
        for stream in slow:
            self.assertEqual(self.read_to_end(stream), b"")

    def test_init_overwrites_nothing(self):
        before = (self.dir / "server.key").read_bytes()
        again = run(STENTOR, "init", str(self.dir), check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("already", again.stderr)
        self.assertEqual(run(STENTOR, "init", str(self.dir), "--client", "phone-7",
                             check=False).returncode, 1)
        run(STENTOR, "init", str(self.dir), "--client", "phone-9")
        self.assertTrue((self.dir / "phone-9.crt").exists())
        self.assertEqual((self.dir / "server.key").read_bytes(), before)
        self.assertEqual((self.dir / "server.key").stat().st_mode & 0o077, 0)

    def test_refused_configurations(self):
        for listener, complaint in (
                ('url = "mqtts://127.0.0.1:0"', "has no certificate"),
                ('url = "mqtts://127.0.0.1:0"\ntls = { certificate = "server.crt" }',
                 "without its key"),
                ('url = "mqtt://127.0.0.1:0"\n' + self.TLS, "does not speak TLS"),
                ('url = "mqtts://127.0.0.1:0"\n' +
                 self.TLS.replace(" }", ', client_certificate = "required" }'),
                 "client_ca is missing"),
                ('url = "mqtt://127.0.0.1:0"\nproxy_protocol = true', "no proxy is trusted")):
            with self.subTest(complaint=complaint):
                (self.dir / "bad.toml").write_text(f"[[listener]]\n{listener}\n")
                done = run(STENTOR, "check", "-c", str(self.dir / "bad.toml"), check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(complaint, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
