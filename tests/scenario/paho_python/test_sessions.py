"""What becomes of sessions, wills and messages in flight when connections are cut, at any point of
the conversation, in both versions."""

import os
import random
import unittest

from client import V5, VERSIONS, Client, step, until

MESSAGES = 200


class Sessions(unittest.TestCase):
    def setUp(self):
        self.clients = []
        self.addCleanup(lambda: [client.disconnect() for client in self.clients])
        seed = int.from_bytes(os.urandom(4), "little")
        self.random = random.Random(seed)
        self.context = f"seed {seed}"

    def new(self, name, version=V5, **options):
        client = Client(f"{self.id()}/{name}/{version}", version, **options)
        self.clients.append(client)
        return client

    def connected(self, name, version=V5, **options):
        client = self.new(name, version, **options)
        client.connect()
        return client

    def topic(self, name):
        return f"{self.id()}/{name}"

    def expect_exactly_once(self, texts, qos):
        numbers = [int(text) for text in texts]
        if qos == 2:
            self.assertEqual(numbers, list(range(MESSAGES)), self.context)
        else:
            # Each at least once; the first appearances in order.
            self.assertEqual(list(dict.fromkeys(numbers)), list(range(MESSAGES)), self.context)

    def test_a_publisher_that_is_cut_off_again_and_again(self):
        for version in VERSIONS:
            for qos in (1, 2):
                with self.subTest(version=version, qos=qos, context=self.context):
                    self.publisher_is_cut_off(version, qos)

    def publisher_is_cut_off(self, version, qos):
        topic = self.topic(f"{version}/{qos}")
        subscriber = self.connected(f"subscriber {qos}", version)
        subscriber.subscribe(topic, qos)
        publisher = self.connected(f"publisher {qos}", version, kept=True)
        sent = []
        while len(sent) < MESSAGES:
            for _ in range(min(self.random.randrange(1, 12), MESSAGES - len(sent))):
                sent.append(publisher.send(topic, str(len(sent)), qos).mid)
            for _ in range(self.random.randrange(6)):
                step([publisher, subscriber], 0.002)
            publisher.cut()
            self.assertTrue(publisher.connect(), self.context)
        until(lambda: publisher.acknowledged.issuperset(sent), publisher, subscriber)
        until(lambda: len(set(subscriber.texts)) == MESSAGES, subscriber)
        self.expect_exactly_once(subscriber.texts, qos)

    def test_a_subscriber_that_is_cut_off_again_and_again(self):
        for version in VERSIONS:
            for qos in (1, 2):
                with self.subTest(version=version, qos=qos, context=self.context):
                    self.subscriber_is_cut_off(version, qos)

    def subscriber_is_cut_off(self, version, qos):
        topic = self.topic(f"{version}/{qos}")
        subscriber = self.connected(f"subscriber {qos}", version, kept=True)
        subscriber.subscribe(topic, qos)
        publisher = self.connected(f"publisher {qos}", version)
        sent = 0
        while sent < MESSAGES:
            for _ in range(min(self.random.randrange(1, 12), MESSAGES - sent)):
                publisher.publish(topic, str(sent), qos)
                sent += 1
            for _ in range(self.random.randrange(6)):
                step([subscriber], 0.002)
            subscriber.cut()
            self.assertTrue(subscriber.connect(), self.context)
        until(lambda: len(set(subscriber.texts)) == MESSAGES, subscriber)
        self.expect_exactly_once(subscriber.texts, qos)

    def test_what_was_not_acknowledged_comes_again_in_order(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic(version)
                subscriber = self.connected("subscriber", version, kept=True,
                                            cut_at=lambda message: message.payload == b"2")
                subscriber.subscribe(topic, 1)
                publisher = self.connected("publisher", version)
                for number in range(5):
                    publisher.publish(topic, str(number), 1)
                until(lambda: not subscriber.connected, subscriber)
                heard = len(subscriber.messages)
                self.assertEqual(subscriber.texts[-1], "2")

                subscriber.cut_at = None
                self.assertTrue(subscriber.connect())
                publisher.publish(topic, "5", 1)
                until(lambda: subscriber.texts[-1] == "5", subscriber)
                again = subscriber.messages[heard:]
                self.assertEqual([message.payload for message in again],
                                 [b"2", b"3", b"4", b"5"])
                self.assertTrue(again[0].dup)
                self.assertFalse(again[-1].dup)

    def test_the_offline_queue_is_delivered_in_order(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic(version)
                subscriber = self.connected("subscriber", version, kept=True)
                subscriber.subscribe(topic, 2)
                subscriber.disconnect()
                publisher = self.connected("publisher", version)
                for number in range(500):  # several times the window of messages in flight
                    publisher.send(topic, str(number), 1 + number % 2)
                until(lambda: len(publisher.acknowledged) == 500, publisher)
                self.assertTrue(subscriber.connect())
                until(lambda: len(subscriber.messages) == 500, subscriber)
                for parity in (0, 1):  # Paho hands out QoS 2 later than QoS 1
                    self.assertEqual([int(text) for text in subscriber.texts
                                      if int(text) % 2 == parity],
                                     list(range(parity, 500, 2)))

    def test_will(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic(version)
                watcher = self.connected("watcher", version)
                watcher.subscribe(topic, 1)
                mortal = self.connected("mortal", version,
                                        will={"topic": topic, "payload": "gone", "qos": 1})
                mortal.cut()
                until(lambda: watcher.messages, watcher)
                self.assertEqual(watcher.texts, ["gone"])

    def test_disconnect_can_end_a_kept_session(self):
        client = self.connected("client", kept=True)
        client.subscribe(self.topic("a"), 1)
        client.disconnect()
        self.assertTrue(client.connect())
        client.disconnect(SessionExpiryInterval=0)
        self.assertFalse(client.connect())

    def test_a_second_connection_takes_over(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                first = self.connected("same", version, kept=True)
                first.subscribe(self.topic("a"), 1)
                second = self.new("same", version, kept=True)
                self.assertTrue(second.connect())
                until(lambda: not first.connected, first)
                publisher = self.connected("publisher", version)
                publisher.publish(self.topic("a"), "x", 1)
                until(lambda: second.messages, second)


if __name__ == "__main__":
    unittest.main()
