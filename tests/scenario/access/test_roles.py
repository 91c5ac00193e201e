#!/usr/bin/env python3
"""Roles of the ACL file, as their members see them.

    SHARDS=N STENTOR=PATH test_roles.py
"""

from access_kit import AccessCase, main

NOT_AUTHORIZED = 0x87
REFUSED = {4: 0x80, 5: NOT_AUTHORIZED}
ROOT = "user root\ntopic #\ntopic $SYS/#\n"
RULES = """role meter
member anna
member bert
pattern write meters/%u/%c
topic read prices/#
topic deny prices/secret
role reader
member anna
topic read news/#
""" + ROOT


class Roles(AccessCase):
    def setUp(self):
        super().setUp()
        for name in ("anna", "bert", "carl", "root"):
            self.user("add", name, name[0])
        self.rules(RULES)
        self.serve(self.LISTENER, self.AUTH)
        self.root = self.connected("root", "root", "r")

    def of(self, name, client_id, **how):
        return self.connected(client_id, name, name[0], **how)

    def reload_with(self, rules):
        self.rules(rules + ROOT)
        self.assertTrue(self.broker.reload())

    def say(self, *topics):
        for topic in topics:
            self.assertIn(self.root.publish(topic), (0, 0x10))

    def test_members_have_the_rules_of_their_roles(self):
        for version in (4, 5):
            refused = REFUSED[version]
            anna = self.of("anna", "a", version=version)
            bert = self.of("bert", "b", version=version)
            carl = self.of("carl", "c", version=version)
            self.assertEqual(anna.subscribe("prices/today", "prices/#", "news/#", "meters/anna/a"),
                             [1, refused, 1, refused])
            self.assertEqual(bert.subscribe("prices/today", "news/#"), [1, refused])
            self.assertEqual(carl.subscribe("prices/today", "news/#"), [refused, refused])
            witness = self.of("root", "w")
            self.assertEqual(witness.subscribe("meters/#"), [1])
            for topic in ("meters/anna/x", "meters/bert/a", "news/1", "meters/anna/a/b"):
                self.assertEqual(anna.publish(topic), NOT_AUTHORIZED if version == 5 else 0)
            self.assertEqual(carl.publish("meters/carl/c"), NOT_AUTHORIZED if version == 5 else 0)
            anna.publish("meters/anna/a")
            bert.publish("meters/bert/b")
            self.assertEqual({witness.message()[0] for _ in range(2)},  # of two publishers
                             {"meters/anna/a", "meters/bert/b"})
            self.say("prices/secret", "prices/today", "news/1")
            self.assertEqual(anna.messages("news/1"), ["prices/today", "news/1"])
            self.assertEqual(bert.messages("prices/today"), ["prices/today"])
            for client in (anna, bert, carl, witness):
                client.close()

    def test_a_reload_changes_roles_under_sessions_that_are_there(self):
        live = self.of("anna", "live")
        kept = self.of("anna", "kept", keeps=True)
        away = self.of("anna", "away", keeps=True)
        for client in (live, kept, away):
            self.assertEqual(client.subscribe("prices/today", "news/#"), [1, 1])
        away.send(0xE0, b"")
        away.close()
        # She is no reader any more.
        self.reload_with("role meter\nmember anna\ntopic read prices/#\nrole reader\n"
                         "topic read news/#\n")
        self.say("news/1", "prices/today")
        away = self.of("anna", "away", keeps=True, clean=False)
        for client in (live, kept, away):
            self.assertEqual(client.messages("prices/today"), ["prices/today"])
        self.assertEqual(live.subscribe("news/#"), [NOT_AUTHORIZED])
        self.broker.said(event="subscriptions_narrowed", client="live")
        # Her roles say other things, one of them a part of a filter.
        self.reload_with("role meter\nmember anna\ntopic write up\nrole reader\nmember anna\n"
                         "topic read news/#\npattern deny news/%c\n")
        self.assertIn(live.publish("up"), (0, 0x10))
        self.say("prices/today", "news/live", "news/kept", "news/away", "news/2")
        for client, name in ((live, "live"), (kept, "kept"), (away, "away")):
            self.assertEqual(client.messages("news/2"),
                             [f"news/{each}" for each in ("live", "kept", "away", "2")
                              if each != name])
        # And nobody has a role.
        self.reload_with("user anna\ntopic read level\n")
        self.assertEqual(live.publish("up"), NOT_AUTHORIZED)
        for client in (live, kept, away):
            self.assertEqual(client.subscribe("level"), [1])
        self.say("prices/today", "news/3", "level")
        for client in (live, kept, away):
            self.assertEqual(client.messages("level"), ["level"])

    def test_a_bad_file_leaves_roles_as_they_are(self):
        anna = self.of("anna", "a")
        self.assertEqual(anna.subscribe("news/#"), [1])
        since = self.broker.mark()
        self.rules("member anna\nrole reader\ntopic red news/#\n")
        self.assertFalse(self.broker.reload())
        for mistake in ("acl:1:1: of which role?", "acl:3:7: unknown access"):
            self.broker.find(lambda line, mistake=mistake: mistake in line, since, mistake)
        self.say("news/1")
        self.assertEqual(anna.message()[0], "news/1")

    def test_a_role_may_see_how_the_broker_fares(self):
        self.reload_with("role operator\nmember anna\ntopic read $SYS/broker/#\n")
        for version in (4, 5):
            anna = self.of("anna", f"a{version}", version=version)
            bert = self.of("bert", f"b{version}", version=version)
            self.assertEqual(anna.subscribe("$SYS/broker/version", "$SYS/#"),
                             [1, REFUSED[version]])
            self.assertEqual(bert.subscribe("$SYS/broker/version"), [REFUSED[version]])
            self.assertEqual(anna.message()[0], "$SYS/broker/version")
            if version == 5:
                self.assertEqual(anna.publish("$SYS/broker/version"), NOT_AUTHORIZED)

    def test_shared_work_goes_to_members_of_the_role(self):
        self.reload_with("role worker\nmember anna\nmember bert\ntopic read jobs/#\n")
        anna, bert = self.of("anna", "a"), self.of("bert", "b")
        for client in (anna, bert):
            self.assertEqual(client.subscribe("$share/g/jobs/#"), [1])
        self.reload_with("role worker\nmember anna\ntopic read jobs/#\n")
        self.broker.said(event="subscriptions_narrowed", client="b")
        self.say(*(f"jobs/{i}" for i in range(20)))
        self.assertEqual({anna.message()[0] for _ in range(20)}, {f"jobs/{i}" for i in range(20)})


class RolesWithFilter(AccessCase):
    def test_deliveries_are_judged_by_roles(self):
        self.user("add", "anna", "a")
        self.user("add", "root", "r")
        self.rules(RULES)
        self.serve(self.LISTENER, self.AUTH, 'acl_subscribe = "filter"')
        root = self.connected("root", "root", "r")
        anna = self.connected("anna")
        self.assertEqual(anna.subscribe("#"), [1])
        for topic in ("other", "prices/secret", "prices/1", "meters/anna/anna", "news/1"):
            root.publish(topic)
        self.assertEqual(anna.messages("news/1"), ["prices/1", "news/1"])


if __name__ == "__main__":
    main()
