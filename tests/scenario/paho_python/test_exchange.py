"""Who receives what, in both versions."""

import itertools
import unittest

from client import V311, V5, VERSIONS, Client, until
from paho.mqtt.subscribeoptions import SubscribeOptions


class Exchange(unittest.TestCase):
    def setUp(self):
        self.clients = []
        self.addCleanup(lambda: [client.disconnect() for client in self.clients])

    def connected(self, name, version=V5, **options):
        client = Client(f"{self.id()}/{name}", version, **options)
        self.clients.append(client)
        client.connect()
        return client

    def topic(self, name):
        return f"{self.id()}/{name}"

    def test_every_qos_between_the_versions(self):
        for sender, receiver in itertools.product(VERSIONS, VERSIONS):
            publisher = self.connected("publisher", sender)
            subscriber = self.connected("subscriber", receiver)
            for sent, granted in itertools.product(range(3), range(3)):
                with self.subTest(sender=sender, receiver=receiver, sent=sent, granted=granted):
                    topic = self.topic(f"{sent}/{granted}/{sender}/{receiver}")
                    self.assertEqual(subscriber.subscribe(topic, granted), [granted])
                    subscriber.messages.clear()
                    publisher.publish(topic, "x", sent)
                    until(lambda: subscriber.messages, subscriber)
                    self.assertEqual(subscriber.messages[0].qos, min(sent, granted))
            publisher.disconnect()
            subscriber.disconnect()

    def test_several_filters_in_one_packet_each_with_its_answer(self):
        for version in VERSIONS:
            client = self.connected("client", version)
            refused = 0x80 if version == V311 else 0x97
            deep = "/".join(["a"] * 65)
            filters = [("a/+", 0), ("b/#", 1), (deep, 2), ("c", 2)]
            if version == V5:
                filters = [(name, SubscribeOptions(qos=qos)) for name, qos in filters]
            codes = client.subscribe(filters)
            self.assertEqual(codes, [0, 1, refused, 2])
            client.disconnect()

    def test_unsubscribe_says_what_there_was(self):
        client = self.connected("client")
        client.subscribe(self.topic("a"), 1)
        self.assertEqual(client.unsubscribe([self.topic("a"), self.topic("b")]), [0, 0x11])

    def test_a_shared_subscription_between_the_versions(self):
        members = [self.connected(f"member {version}", version) for version in VERSIONS]
        for member in members:
            member.subscribe(f"$share/{self.id()}/{self.topic('+')}", 2)
        publisher = self.connected("publisher")
        for number in range(50):
            publisher.publish(self.topic("a"), str(number), number % 3)
        until(lambda: sum(len(member.messages) for member in members) == 50, *members)
        self.assertEqual(sorted(int(text) for member in members for text in member.texts),
                         list(range(50)))
        self.assertTrue(all(member.messages for member in members))

    def test_retained_messages(self):
        for sender, receiver in itertools.product(VERSIONS, VERSIONS):
            with self.subTest(sender=sender, receiver=receiver):
                publisher = self.connected("publisher", sender)
                base = f"{sender}/{receiver}"
                # Live, no matter that it is kept.
                watcher = self.connected("watcher", receiver)
                watcher.subscribe(self.topic(base + "/#"), 2)
                for name, text, qos in (("a", "old", 1), ("a", "new", 2), ("b", "gone", 1),
                                        ("b", "", 1), ("c", "third", 1)):
                    publisher.publish(self.topic(f"{base}/{name}"), text, qos, retain=True)
                until(lambda: len(watcher.messages) == 5, watcher)
                self.assertFalse(any(message.retain for message in watcher.messages))

                late = self.connected("late", receiver)
                late.subscribe(self.topic(base + "/#"), 1)
                until(lambda: len(late.messages) == 2, late)
                # Nothing else, up to what is published now.
                publisher.publish(self.topic(base + "/end"), "end", 1)
                until(lambda: late.texts[-1] == "end", late)
                self.assertEqual(
                    sorted((message.topic, message.payload, message.qos, message.retain)
                           for message in late.messages[:-1]),
                    [(self.topic(base + "/a"), b"new", 1, True),
                     (self.topic(base + "/c"), b"third", 1, True)])
                self.assertFalse(late.messages[-1].retain)
                # Once more for each SUBSCRIBE.
                late.messages.clear()
                late.subscribe(self.topic(base + "/a"), 0)
                until(lambda: late.messages, late)
                self.assertEqual([(message.payload, message.qos, message.retain)
                                  for message in late.messages], [(b"new", 0, True)])
                for client in (publisher, watcher, late):
                    client.disconnect()

    def test_retained_messages_as_a_subscription_wants_them(self):
        publisher = self.connected("publisher")
        publisher.publish(self.topic("a"), "kept", 1, retain=True)
        subscriber = self.connected("subscriber")

        def heard(handling, kept, as_published=False):
            """RETAIN of what comes for a SUBSCRIBE, `kept` messages, and of a live one."""
            subscriber.messages.clear()
            options = SubscribeOptions(qos=1, retainHandling=handling,
                                       retainAsPublished=as_published)
            subscriber.subscribe(self.topic("a"), options=options)
            until(lambda: len(subscriber.messages) >= kept, subscriber)
            publisher.publish(self.topic("a"), "kept", 1, retain=True)
            until(lambda: len(subscriber.messages) > kept, subscriber)
            return [message.retain for message in subscriber.messages]

        self.assertEqual(heard(SubscribeOptions.RETAIN_DO_NOT_SEND, 0), [False])
        self.assertEqual(heard(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB, 0), [False])
        self.assertEqual(heard(SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE, 1), [True, False])
        self.assertEqual(heard(SubscribeOptions.RETAIN_DO_NOT_SEND, 0, True), [True])
        subscriber.unsubscribe([self.topic("a")])
        self.assertEqual(heard(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB, 1), [True, False])

    def test_a_message_too_large_for_a_client_is_left_out(self):
        small = self.connected("small", MaximumPacketSize=200)
        large = self.connected("large")
        for client in (small, large):
            client.subscribe(self.topic("a"), 1)
        publisher = self.connected("publisher", V311)
        for text in ("first", "x" * 1000, "last"):
            publisher.publish(self.topic("a"), text, 1)
        until(lambda: len(large.messages) == 3 and len(small.messages) == 2, small, large)
        self.assertEqual(small.texts, ["first", "last"])

    def test_a_client_names_its_topic_once(self):
        subscriber = self.connected("subscriber")
        subscriber.subscribe(self.topic("a"), 1)
        publisher = self.connected("publisher")
        publisher.publish(self.topic("a"), "named", 1, TopicAlias=1)
        self.assertEqual(publisher.connack["properties"].TopicAliasMaximum, 32)
        publisher.disconnect()

        # An alias is forgotten with its connection. (Paho ignores the reason in a DISCONNECT of
        # three octets.)
        publisher.connect()
        publisher.send("", "unknown alias", 0, TopicAlias=1)
        until(lambda: not publisher.connected, publisher)
        until(lambda: subscriber.messages, subscriber)
        self.assertEqual(subscriber.texts, ["named"])


if __name__ == "__main__":
    unittest.main()
