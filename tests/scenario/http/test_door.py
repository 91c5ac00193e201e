#!/usr/bin/env python3
"""The HTTP door: http://, https:// and HTTP on auto://, its bounds, and requests that mean harm."""

import http.client
import re
import socket
import ssl
import subprocess
import unittest

from http_kit import PATIENCE, STENTOR, Client, HttpCase, main  # which finds the next one
from broker import BrokerProcess

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Door(HttpCase):
    def test_answers_and_keeps_the_connection(self):
        self.serve(self.LISTENER)
        connection = self.connection()
        for _ in range(3):
            answer = self.get("/livez", over=connection)
            self.assertEqual((answer.status, answer.json()), (200, {"status": "alive"}))
        self.assertEqual(self.get("/readyz", over=connection).json(), {"status": "ready"})

    def test_every_answer_has_the_security_headers(self):
        self.serve(self.LISTENER)
        for path in "/livez", "/nothing":
            headers = self.get(path).headers
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])
            self.assertIsNone(headers["Access-Control-Allow-Origin"])

    def test_head_is_get_without_the_body(self):
        self.serve(self.LISTENER)
        connection = self.connection()
        whole = self.get("/livez", over=connection)
        head = self.ask("HEAD", "/livez", over=connection)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], whole.headers["Content-Length"])
        self.assertEqual(self.ask("HEAD", "/nothing", over=connection).status, 404)

    def test_errors_have_one_shape(self):
        self.serve(self.LISTENER)
        connection = self.connection()
        self.error(self.get("/nothing", over=connection), 404, "not_found")
        self.error(self.get("/livez/", over=connection), 404, "not_found")
        answer = self.ask("DELETE", "/livez", over=connection)
        self.error(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD")
        # Browsers ask so for another site's page: CORS is off.
        answer = self.ask("OPTIONS", "/livez", over=connection)
        self.error(answer, 405, "method_not_allowed")
        answer = self.get("/livez", headers={"Origin": "https://elsewhere.example"})
        self.error(answer, 403, "cross_origin")
        same = f"http://127.0.0.1:{self.port}"
        self.assertEqual(self.get("/livez", headers={"Origin": same}).status, 200)

    def test_query_is_not_the_path(self):
        self.serve(self.LISTENER)
        self.assertEqual(self.get("/livez?verbose=1").status, 200)

    def test_a_body_where_none_is_wanted(self):
        self.serve(self.LISTENER)
        self.error(self.ask("GET", "/livez", body=b"x" * 10), 413, "body_too_large")
        # Far more than is read: the answer comes through all the same.
        self.error(self.ask("GET", "/livez", body=b"x" * 100_000), 413, "body_too_large")
        self.assertEqual(self.statuses(
            b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n" + GET),
            [404])

    def test_a_chunk_head_without_an_end(self):
        self.serve(self.LISTENER)
        chunked = b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(self.statuses(chunked + b"0;" + b"x" * 100_000), [431])
        self.assertEqual(self.statuses(chunked + b"0\r\na: " + b"x" * 100_000), [431])

    def test_pipelined_requests_are_answered_in_order(self):
        self.serve(self.LISTENER)
        self.assertEqual(
            self.statuses(GET + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET * 30 + LAST + GET),
            [200, 404] + [200] * 31)

    def test_http_1_0_ends_unless_it_asks(self):
        self.serve(self.LISTENER)
        self.assertEqual(self.statuses(b"GET /livez HTTP/1.0\r\n\r\n" + GET), [200])
        self.assertEqual(self.statuses(
            b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /livez HTTP/1.0\r\n\r\n"),
            [200, 200])

    def test_half_closed_is_answered(self):
        self.serve(self.LISTENER, self.AUTO)
        for port in self.broker.ports:
            self.assertEqual(self.statuses(GET, close_write=True, port=port), [200])
            self.assertEqual(self.statuses(GET[:-2], close_write=True, port=port), [])

    def test_heads_that_are_too_long(self):
        self.serve(self.LISTENER, self.AUTO)
        for port in self.broker.ports:
            for octets in (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
                           b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                           b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 4_000 + b"\r\n",
                           b"GET /" + b"x" * 200_000):
                with self.subTest(octets=octets[:30], port=port):
                    self.assertEqual(self.statuses(octets, port=port), [431])

    # What one program takes for one request and another for two.
    AMBIGUOUS = [
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n12345",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n12345",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n12345",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET http://other/livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA\x00B: c\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
        b"GET\r\n\r\n",
        b"hello\r\n\r\n",
    ]

    def test_what_could_be_understood_in_two_ways_ends_the_connection(self):
        self.serve(self.LISTENER, self.AUTO)
        for octets in self.AMBIGUOUS:
            for port in self.broker.ports:
                if port == self.broker.ports[1] and octets[:1].islower():
                    continue  # on auto:// that is no HTTP at all
                with self.subTest(octets=octets, port=port):
                    self.assertEqual(self.statuses(octets + GET, port=port), [400])
        for coding in b"gzip", b"gzip, chunked", b"identity", b"xchunked":
            with self.subTest(coding=coding):
                self.assertEqual(self.statuses(
                    b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + coding +
                    b"\r\n\r\n0\r\n\r\n" + GET), [501])
        self.assertEqual(self.get("/livez").status, 200)

    def test_bodies_that_are_not_whole_are_not_waited_for_for_ever(self):
        self.serve(self.LISTENER)
        self.assertEqual(self.statuses(
            b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GET),
            [404])

    def test_slow_heads_time_out(self):
        self.serve(self.LISTENER, self.AUTO, "[limits]", 'connect_timeout = "300ms"')
        slow = []
        for port in self.broker.ports * 5:
            peer = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self.addCleanup(peer.close)
            peer.sendall(GET[:9])
            slow.append(peer)
        # Others are served meanwhile.
        self.assertEqual(self.get("/livez").status, 200)
        for peer in slow:
            got = b""
            while more := peer.recv(65536):
                got += more
            self.assertIn(got[:12], (b"", b"HTTP/1.1 408"))
        silent = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.addCleanup(silent.close)
        self.assertEqual(silent.recv(1), b"")

    def test_mqtt_on_an_http_port_is_told_in_the_log(self):
        self.serve(self.LISTENER)
        since = self.broker.mark()
        self.raw(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d")
        line = self.broker.said(since, event="connection_failed")
        self.assertIn("MQTT on an HTTP door", line["msg"])


class OnePort(HttpCase):
    def test_mqtt_web_socket_and_http_on_one_port(self):
        self.serve(self.AUTO)
        for _ in range(5):  # on whichever shard
            self.assertEqual(self.get("/livez").status, 200)
            client = self.client()
            self.assertEqual(client.ask("c"), 0)
            client.close()
        upgrade = (b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                   b"Sec-WebSocket-Protocol: mqtt\r\n\r\n\x88\x80\x00\x00\x00\x00")
        self.assertTrue(self.raw(upgrade).startswith(b"HTTP/1.1 101 "))
        self.error(self.get("/mqtt"), 404, "not_found")

    def test_a_head_in_pieces(self):
        self.serve(self.AUTO)
        peer = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.addCleanup(peer.close)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in LAST:
            peer.sendall(bytes([octet]))
        got = b""
        while more := peer.recv(65536):
            got += more
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "), got)

    def test_pipelined_behind_the_first(self):
        self.serve(self.AUTO)
        self.assertEqual(self.statuses(GET * 20 + LAST), [200] * 21)

    def test_connections_count_for_the_bounds_of_the_port(self):
        self.serve(self.AUTO + "max_connections = 2\n")
        first, second = self.connection(), self.connection()
        for each in first, second:
            self.assertEqual(self.get("/livez", over=each).status, 200)
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.get("/livez")
        first.close()

        def admitted():
            try:
                return self.get("/livez").status == 200
            except (ConnectionError, http.client.HTTPException):
                return False

        while not admitted():  # as soon as the broker has seen it go
            pass

    def test_a_crowd_at_auto_does_not_shut_the_operators_door(self):
        self.serve(self.LISTENER, self.AUTO)
        operators, everybodys = self.broker.ports
        crowd = [self.connection(everybodys) for _ in range(512)]
        for each in crowd:
            self.assertEqual(self.get("/livez", over=each).status, 200)
        self.assertEqual(self.raw(LAST, port=everybodys), b"")
        self.assertEqual(self.get("/livez", port=operators).status, 200)


class Tls(HttpCase):
    TLS = 'tls = { certificate = "server.crt", key = "server.key" }\n'

    def make(self, folder):
        subprocess.run([STENTOR, "init", str(folder), "--host", "127.0.0.1"], check=True,
                       capture_output=True)
        return ssl.create_default_context(cafile=folder / "ca.crt")

    def secure(self, context, port):
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE,
                                                 context=context)
        self.addCleanup(connection.close)
        return connection

    def setUp(self):
        super().setUp()
        self.context = self.make(self.dir)

    def test_what_init_makes_is_there_for_services(self):
        folder = self.dir / "made"
        subprocess.run([STENTOR, "init", str(folder), "--host", "broker.example"], check=True,
                       capture_output=True)
        urls = re.findall(r'^url = "(.*)"', (folder / "stentor.toml").read_text(), re.MULTILINE)
        free = []
        for number, url in enumerate(urls):
            free += ["--set", f"listener.{number}.url=" + re.sub(r":\d+(?=/|$)", ":0", url)]
        broker = BrokerProcess(STENTOR, "-c", "stentor.toml", "--data", ":memory:", *free,
                               patience=PATIENCE, cwd=folder)
        self.addCleanup(broker.stop)
        self.assertTrue(broker.wait_until_ready())
        [port] = [port for port, url in zip(broker.ports, urls) if url.startswith("https:")]
        over = self.secure(ssl.create_default_context(cafile=folder / "ca.crt"), port)
        answer = self.ask("POST", "/v1/publish/phone/anna/inbox", body="Hello", over=over)
        self.assertEqual(answer.status, 202, answer.body)
        self.assertEqual(self.get("/metrics", over=over).status, 200)

    def doors(self):
        self.serve('[[listener]]\nurl = "https://127.0.0.1:0"\n' + self.TLS,
                   self.AUTO + self.TLS)
        return self.broker.ports

    def test_https_and_tls_on_auto(self):
        for port in self.doors():
            connection = self.secure(self.context, port)
            for _ in range(3):
                self.assertEqual(self.get("/livez", over=connection).status, 200)
        # Plain on the same port, where that is allowed.
        self.assertEqual(self.get("/livez", port=self.broker.ports[1]).status, 200)
        self.assertEqual(self.raw(GET, port=self.broker.ports[0])[:5], b"")

    def test_versions_of_tls(self):
        for port in self.doors():
            for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
                context = ssl.create_default_context(cafile=self.dir / "ca.crt")
                context.minimum_version = context.maximum_version = version
                connection = self.secure(context, port)
                self.assertEqual(self.get("/livez", over=connection).status, 200)

    def test_curl_over_tls(self):
        for port in self.doors():
            done = subprocess.run(
                ["curl", "-sS", "--cacert", str(self.dir / "ca.crt"), "-d", "@-",
                 f"https://127.0.0.1:{port}/livez"], input=b"x" * 3_000_000, capture_output=True,
                timeout=60, check=False)
            self.assertIn(b'"code":"method_not_allowed"', done.stdout, done)

    def test_certificates_are_replaced_while_it_runs(self):
        ports = self.doors()
        kept = [self.secure(self.context, port) for port in ports]
        for each in kept:
            self.assertEqual(self.get("/livez", over=each).status, 200)
        other = self.make(self.dir / "other")
        for name in "server.crt", "server.key":
            (self.dir / "other" / name).replace(self.dir / name)
        self.assertTrue(self.broker.reload())
        for port in ports:
            self.assertEqual(self.get("/livez", over=self.secure(other, port)).status, 200)
            with self.assertRaises(ssl.SSLError):
                self.get("/livez", over=self.secure(self.context, port))
        for each in kept:  # go on with what they began with
            self.assertEqual(self.get("/livez", over=each).status, 200)


class Proxy(HttpCase):
    MORE = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
    LINE = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"

    def test_proxy_header_before_http(self):
        self.serve(self.LISTENER + self.MORE, self.AUTO + self.MORE)
        for port in self.broker.ports:
            self.assertEqual(self.statuses(self.LINE + GET + LAST, port=port), [200, 200])
            self.assertEqual(self.statuses(LAST, port=port), [])

    def test_bans_hold_at_this_door_too(self):
        (self.dir / "bans").write_text("address 203.0.113.9\n")
        self.serve(self.LISTENER + self.MORE, self.AUTO + self.MORE, "[auth]\nban_file = 'bans'")
        for port in self.broker.ports:
            self.assertEqual(self.statuses(self.LINE + LAST, port=port), [])
            self.assertEqual(self.statuses(self.LINE.replace(b"203", b"202") + LAST, port=port),
                             [200])


class Start(HttpCase):
    def refused(self, scheme, port):
        done = subprocess.run([STENTOR, "serve", "--data", ":memory:", "--listen",
                               f"{scheme}://127.0.0.1:{port}"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.returncode, done.stderr.replace(f"{scheme}://", "")

    def test_a_port_in_use_is_told_as_at_other_doors(self):
        self.serve(self.LISTENER)
        code, said = self.refused("http", self.port)
        self.assertNotEqual(code, 0)
        self.assertIn(f"127.0.0.1:{self.port}: the port is in use by ", said)
        # All but the time is the same.
        mqtt = self.refused("mqtt", self.port)
        self.assertEqual(code, mqtt[0])
        self.assertEqual(said[said.index("cannot listen on"):],
                         mqtt[1][mqtt[1].index("cannot listen on"):])

    def test_curl(self):
        self.serve(self.LISTENER, self.AUTO)
        for port in self.broker.ports:
            for path in "livez", "readyz", "metrics":
                subprocess.run(["curl", "-sSf", f"http://127.0.0.1:{port}/{path}"], check=True,
                               capture_output=True, timeout=PATIENCE)


class Readiness(HttpCase):
    def test_not_ready_while_it_stops(self):
        self.serve('[[listener]]\nurl = "mqtt://127.0.0.1:0"\n', self.LISTENER)
        connection = self.connection(self.broker.ports[1])
        self.assertEqual(self.get("/readyz", over=connection).status, 200)
        # Takes nothing of what it is told: the broker gives it two seconds to.
        client = Client(self.broker.ports[0])
        self.addCleanup(client.close)
        self.assertEqual(client.ask("stays"), 0)
        self.broker.process.terminate()
        while (answer := self.get("/readyz", over=connection)).status == 200:
            pass
        self.assertIn("stopping", self.error(answer, 503, "not_ready")["error"])
        self.assertEqual(self.get("/livez", over=connection).status, 200)


if __name__ == "__main__":
    main()
