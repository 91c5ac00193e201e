#!/usr/bin/env python3
"""Retained messages over HTTP: listed in the order of their topics, and cleared for good."""

import base64
import json
import signal

from admin_kit import ADMIN, AdminCase, Broker, basic, quoted
from http_kit import main


class Retained(AdminCase):
    def retain(self, topic, payload, **more):
        message = {"topic": topic, "payload": payload, "retain": True, **more}
        answer = self.ask("POST", "/v1/publish", body=json.dumps(message))
        self.assertEqual(answer.status, 202, answer.body)

    def test_listed_in_order_with_all_that_belongs_to_them(self):
        self.begin()
        topics = [f"t/{i:03}/x" for i in range(40)]
        for topic in reversed(topics):
            self.retain(topic, "on")
        self.retain("bytes", base64.b64encode(b"\xff\0").decode(), payload_encoding="base64",
                    qos=2, properties={"content_type": "x/y", "user_properties": {"k": ["1", "2"]},
                                       "message_expiry_interval": 1000})
        for limit in (1, 7, 1000):
            found, _ = self.pages("/v1/retained?filter=t/%2B/x", "retained", limit)
            self.assertEqual([each["topic"] for each in found], topics)
        found, _ = self.pages("/v1/retained?filter=bytes", "retained", 10)
        self.assertEqual((found[0]["payload"], found[0]["payload_encoding"], found[0]["qos"]),
                         ("/wA=", "base64", 2))
        self.assertEqual(found[0]["properties"]["user_properties"], {"k": ["1", "2"]})
        self.assertLessEqual(found[0]["properties"]["message_expiry_interval"], 1000)
        self.assertEqual(self.pages("/v1/retained?filter=none/%23", "retained", 10)[0], [])

    def test_topics_say_whether_somebody_subscribes(self):
        self.begin()
        self.retain("a/1", "x")
        self.retain("b", "xyz")
        phone = self.phone("phone", "a/#")
        found, _ = self.pages("/v1/topics", "topics", 1)
        self.assertEqual(found, [{"topic": "a/1", "payload_bytes": 1, "subscribed": True},
                                 {"topic": "b", "payload_bytes": 3, "subscribed": False}])
        del phone

    def test_a_page_ends_before_it_is_too_large(self):
        self.begin()
        for i in range(8):
            self.retain(f"large/{i}", "x" * 400_000)
        self.retain("largest", "x" * 1_048_000)
        found, pages = self.pages("/v1/retained", "retained", 1000)
        self.assertEqual(len(found), 9)
        self.assertGreaterEqual(pages, 3)

    def test_cleared_for_good(self):
        self.begin(data="data")
        phone = self.phone("phone", "a/#")
        topic = "a/b c/ä"
        self.retain(topic, "on")
        self.assertEqual(phone.message(), (topic, b"on"))
        path = "/v1/retained/" + quoted(topic)
        self.admin("DELETE", path, 204)
        self.assertEqual(phone.message(), (topic, b""))
        self.admin("DELETE", path, 404, "no_such_value")
        self.retain("stays", "x")
        self.broker.signal(signal.SIGKILL)
        self.broker.wait()
        self.broker = Broker(self.dir, (self.dir / "stentor.toml").read_text())
        self.addCleanup(self.broker.stop)
        self.mqtt, self.port = self.broker.ports
        found, _ = self.pages("/v1/topics", "topics", 10)
        self.assertEqual([each["topic"] for each in found], ["stays"])

    def test_sys_is_the_brokers(self):
        self.begin()
        while not self.pages("/v1/retained?filter=$SYS/broker/version", "retained", 10)[0]:
            pass
        self.assertEqual(self.pages("/v1/retained", "retained", 10)[0], [])
        self.admin("DELETE", "/v1/retained/$SYS/broker/version", 403, "not_authorized")
        self.admin("DELETE", "/v1/retained/a/%23", 400, "bad_topic")
        for path in "/v1/retained", "/v1/topics":
            self.error(self.get(path, headers=basic("anna", "b")), 403, "forbidden")
        self.error(self.ask("DELETE", "/v1/retained/a"), 403, "forbidden")
        answer = self.ask("GET", "/v1/retained/a", headers=ADMIN)
        self.error(answer, 405, "method_not_allowed")


if __name__ == "__main__":
    main()
