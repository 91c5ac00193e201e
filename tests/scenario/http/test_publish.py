#!/usr/bin/env python3
"""POST /v1/publish: what backends send reaches MQTT clients, and 202 means that it is on disk."""

import base64
import json
import signal
import unittest

from http_kit import SHARDS, Broker, HttpCase, basic, main

DOORS = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n[[listener]]\nurl = "http://127.0.0.1:0"\n'


class Publish(HttpCase):
    def begin(self, *more, data=":memory:", doors=DOORS):
        node = f'[node]\ndata_dir = "{data}"\nshards = {SHARDS}\n'
        config = node + "\n".join(more) + "\n" + doors
        self.broker = Broker(self.dir, config)
        self.addCleanup(self.finish, self.broker)
        self.mqtt, self.port = self.broker.ports

    @staticmethod
    def finish(broker):
        if broker.process.returncode != -signal.SIGKILL:
            broker.stop()

    def subscriber(self, *filters, name="phone", **how):
        client = self.client(port=self.mqtt, version=how.pop("version", 5))
        self.assertEqual(client.ask(name, **how), 0)
        if filters:
            self.assertEqual(client.subscribe(*filters), [1] * len(filters))
        return client

    def post(self, path, body, over=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body=body, headers=headers, over=over)

    def accepted(self, answer):
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json()

    def test_the_body_is_the_payload(self):
        self.begin()
        phone = self.subscriber("home/#")
        old = self.subscriber("home/#", name="old", version=4)
        said = self.accepted(self.post("/v1/publish/home/front%20door", b"\x00\xffring"))
        self.assertEqual(said, {"id": None, "live": True, "durable": False})
        self.assertEqual(phone.message(), ("home/front door", b"\x00\xffring"))
        self.assertEqual(old.message(), ("home/front door", b"\x00\xffring"))
        self.accepted(self.post("/v1/publish/home/x", b"", QoS="0"))
        self.assertEqual(phone.message(), ("home/x", b""))

    def test_properties_go_along(self):
        self.begin()
        phone = self.subscriber("a")
        self.accepted(self.post("/v1/publish/a", b"x", TTL="60", Content_Type="text/plain"))
        _, body = phone.receive(3)
        self.assertIn(b"\x03\0\x0atext/plain", body)
        self.assertIn(b"\x02\0\0\0\x3c", body)
        self.accepted(self.post("/v1/publish", json.dumps({
            "topic": "a", "payload": base64.b64encode(b"\xff").decode(),
            "payload_encoding": "base64",
            "properties": {"response_topic": "r", "user_properties": {"k": ["1", "2"]}}})))
        _, body = phone.receive(3)
        self.assertIn(b"\x08\0\x01r\x26\0\x01k\0\x011\x26\0\x01k\0\x012", body)
        self.assertTrue(body.endswith(b"\xff"))

    def test_retained_for_whoever_comes(self):
        self.begin()
        said = self.accepted(self.post("/v1/publish/state", b"on", Retain="true"))
        self.assertIsInstance(said["id"], str)
        phone = self.subscriber("state")
        self.assertEqual(phone.message(), ("state", b"on"))
        self.accepted(self.post("/v1/publish/state", b"", Retain="true"))
        self.assertEqual(phone.message(), ("state", b""))
        other = self.subscriber("state", "end", name="other")
        self.accepted(self.post("/v1/publish/end", b""))
        self.assertEqual(other.message()[0], "end")

    def test_what_was_accepted_survives_kill(self):
        self.begin(data="data")
        self.subscriber("n/#", keeps=True).close()
        over = self.connection()
        last = 0
        for i in range(20):
            said = self.accepted(self.post("/v1/publish/n/1", f"{i}", over=over))
            self.assertTrue(said["durable"])
            self.assertGreater(int(said["id"]), last)
            last = int(said["id"])
        many = [{"topic": f"n/{i}", "payload": f"{i}"} for i in range(500)]
        answers = self.accepted(self.post("/v1/publish", json.dumps(many), over=over))
        self.assertEqual(len(answers), 500)
        ids = [int(each["id"]) for each in answers]
        self.assertEqual(ids, sorted(set(ids)))
        self.broker.signal(signal.SIGKILL)
        self.broker.wait()
        self.begin(data="data")
        phone = self.subscriber(keeps=True, clean=False)
        self.assertTrue(phone.session_present)
        for i in range(20):
            self.assertEqual(phone.message(), ("n/1", f"{i}".encode()))
        for i in range(500):
            self.assertEqual(phone.message(), (f"n/{i}", f"{i}".encode()))

    def test_one_connection_keeps_its_order_whatever_the_qos(self):
        self.begin(data="data")
        phone = self.subscriber("t", name="kept", keeps=True)
        live = self.subscriber("t", name="live")
        over = self.connection()
        for i in range(60):
            self.accepted(self.post("/v1/publish/t", f"{i}", over=over, QoS=str(i % 3)))
        for client in phone, live:
            self.assertEqual([client.message()[1] for _ in range(60)],
                             [f"{i}".encode() for i in range(60)])

    def test_users_and_rules(self):
        self.user("add", "anna", "a")
        self.rules("user anna\ntopic readwrite open/#\n")
        self.begin(self.AUTH)
        phone = self.subscriber("open/#", user="anna", password="a")
        path = "/v1/publish/open/1"
        self.error(self.post(path, "x"), 401, "unauthorized")
        self.error(self.post(path, "x", **basic("anna", "b")), 401, "unauthorized")
        anna = basic("anna", "a")
        self.accepted(self.post(path, "x", **anna))
        self.assertEqual(phone.message(), ("open/1", b"x"))
        self.error(self.post("/v1/publish/closed", "x" * 100_000, **anna), 403, "not_authorized")
        self.error(self.post("/v1/publish/$SYS/x", "x", **anna), 403, "not_authorized")
        answer = self.post("/v1/publish", json.dumps(
            [{"topic": "closed"}, {"topic": "open/2", "payload": "y"}]), **anna)
        self.assertEqual(answer.status, 207)
        refused, done = answer.json()
        self.assertEqual((refused["code"], refused["http"]), ("not_authorized", 403))
        self.assertTrue(done["live"])
        self.assertEqual(phone.message(), ("open/2", b"y"))

    def test_a_full_store_says_so(self):
        self.begin('[store]\nmin_free_bytes = "900TiB"', data="data")
        self.error(self.post("/v1/publish/a", "x", Retain="1"), 507, "store_full")
        # For who is connected there is room.
        phone = self.subscriber("a")
        self.accepted(self.post("/v1/publish/a", "x"))
        self.assertEqual(phone.message(), ("a", b"x"))

    def test_bounds(self):
        self.begin('[limits]\npacket_bytes_max = "4KiB"\nmessages_per_second_max = 2')
        self.error(self.post("/v1/publish/a", "x" * 5000), 413, "body_too_large")
        self.error(self.post("/v1/publish/a", "x" * 4090), 413, "message_too_large")
        self.error(self.post("/v1/publish", json.dumps([{"topic": "a"}] * 10_001)),
                   400, "bad_request")
        self.accepted(self.post("/v1/publish", json.dumps([{"topic": "a"}] * 60)))
        answer = self.post("/v1/publish/a", "x")
        self.error(answer, 429, "too_many_messages")
        self.assertGreater(int(answer.headers["Retry-After"]), 0)

    def test_mistakes_are_explained(self):
        self.begin()
        said = self.error(self.post("/v1/publish", '{"topic": "a", "paylod": "x"}'),
                          400, "bad_request")
        self.assertEqual(said["hint"], 'did you mean "payload"?')
        self.error(self.post("/v1/publish/a/+", "x"), 400, "bad_topic")
        self.error(self.post("/v1/publish/a", "x", QoS="3"), 400, "bad_request")
        self.error(self.get("/v1/publish/a"), 405, "method_not_allowed")

    def test_nothing_behind_or_beside_the_body(self):
        self.begin()
        head = (b"POST /v1/publish/a HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(self.statuses(head + b"1\r\nx\r\n0\r\nRetain: true\r\n\r\n"), [400])
        phone = self.subscriber("a")
        self.assertEqual(self.statuses(
            head + b"1;name=value\r\nx\r\n0\r\n\r\n" +
            b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), [202, 200])
        self.assertEqual(phone.message(), ("a", b"x"))
        self.error(self.post("/v1/publish/a?retain=1", "x"), 400, "bad_request")

    def test_on_one_port_with_mqtt(self):
        self.begin(doors=self.AUTO + self.LISTENER)
        self.port = self.mqtt
        phone = self.subscriber("a")
        self.accepted(self.post("/v1/publish/a", "x"))
        self.assertEqual(phone.message(), ("a", b"x"))


if __name__ == "__main__":
    main()
