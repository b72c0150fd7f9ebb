"""The real binary on an Internet of its own (`internet.py`): every way mail goes well or wrong between servers, by name.

Our office is `here.test`; Ann writes from there to a domain for each scenario. Retries are made by `queue retry`, not waited for.
"""

import base64
import email
import email.policy
import imaplib
import json
import os
import re
import smtplib
import subprocess
import sys
import unittest

import lab
from internet import NETWORK, Hole, Office, Peer, PolicyHost, World

STS = "version: STSv1\r\nmode: {}\r\nmx: {}\r\nmax_age: 86400\r\n"


# Another's reading (Debian's python3-dkim) of signatures and seals, and a seal by it.
DKIMPY = """
import json, sys, dkim, dns.resolver
ask = dns.resolver.Resolver(configure=False)
ask.nameservers = ["127.0.0.1"]
def txt(name, timeout=5):
    return b"".join(next(iter(ask.resolve(name.decode(), "TXT"))).strings)
octets = sys.stdin.buffer.read()
if sys.argv[1:]:
    with open(sys.argv[1], "rb") as f:
        fields = dkim.arc_sign(octets, b"one", b"sealer.test", f.read(), b"mx.sealer.test")
    sys.stdout.buffer.write(b"".join(fields) + octets)
else:
    count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.DKIM(octets).headers)
    verdicts = [dkim.DKIM(octets).verify(idx=at, dnsfunc=txt) for at in range(count)]
    cv, _, why = dkim.arc_verify(octets, dnsfunc=txt)
    print(json.dumps({"dkim": verdicts, "arc": cv.decode(), "why": str(why)}))
"""


def dkimpy(octets, *key):
    return lab.client("/usr/bin/python3", "-c", DKIMPY, *key, stdin=octets).stdout


def later(count):
    """A reply function: 451 so many times, then 250."""
    left = [count]

    def reply(_peer, _line):
        left[0] -= 1
        return b"451 4.7.1 come again\r\n" if left[0] >= 0 else b"250 ok\r\n"

    return reply


def once(odd):
    """Says `odd` the first time, then 250."""
    left = [odd]
    return lambda _peer, _line: left.pop() if left else b"250 taken\r\n"


class Internet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = w = World()
        cls.addClassCleanup(w.close)
        cls.peers = {}
        cls.away()
        cls.liars()
        cls.protected()
        cls.smarthosts()
        cls.strangers()
        secret = lab.secret(w.dir, "password", "smart and secret\n")
        routes = "".join(f'[outbound.routes."{domain}"]\nhost = "{host}"\nport = {port}\ntls = "{tls}"\nusername = "ann"\npassword_file = "{secret}"\n'
                         for domain, host, port, tls in (("routed.test", "smart.test", 465, "tls"), ("misrouted.test", "false.test", 587, "starttls")))
        cls.here = Office(w, "here.test", "mail.here.test", outbound=routes, more='[inbound]\ntrusted_sealers = ["there.test"]\n')
        cls.there = Office(w, "there.test", "mail.there.test", accounts=("carol",),
                           more='[inbound]\ndnsbl = ["list.test"]\ntrusted_sealers = ["sealer.test"]\n[forward]\narc_seal = true\n')
        cls.there.run("alias", "add", "forward@there.test", "ann@here.test")
        cls.publish()
        w.start_dns()
        for office in (cls.there, cls.here):
            office.start()
            cls.addClassCleanup(office.__exit__, None, None, None)

    @classmethod
    def peer(cls, name, **how):
        cls.peers[name] = peer = Peer(cls.world, name, **how)
        return peer

    @classmethod
    def domain(cls, domain, **how):
        """One peer is its only MX."""
        cls.world.mx(domain, "mx." + domain)
        return cls.peer("mx." + domain, **how)

    # ---- the world

    @classmethod
    def away(cls):
        w = cls.world
        for name in ("first", "second"):
            cls.peer(f"{name}.well.test")
        # The less wanted one is named first.
        w.record("well.test", "MX", "20 second.well.test.")
        w.record("well.test", "MX", "10 first.well.test.")
        w.mx("refused.test", "nobody.refused.test", "second.refused.test")
        w.record("nobody.refused.test", "A", w.address())
        cls.peer("second.refused.test")
        w.mx("hole.test", "first.hole.test", "second.hole.test")
        Hole(w, "first.hole.test")
        cls.peer("second.hole.test")
        w.mx("gone.test", "only.gone.test")
        Hole(w, "only.gone.test")
        w.mx("busy.test", "first.busy.test", "second.busy.test")
        cls.peer("first.busy.test", greeting=b"421 4.3.2 too busy\r\n")
        cls.peer("second.busy.test")
        cls.peer("bare.test")
        w.record("null.test", "MX", "0 .")
        w.mx("circle.test", "mail.here.test")
        w.mx("old.test", "gone.old.test")
        w.record("named.broken", "A", w.address())
        w.mx("six.test", "mx.six.test")
        cls.six = cls.peer("mx.six.test", address="2001:db8::2")
        cls.peer("mx.six.test")

    @classmethod
    def liars(cls):
        cls.domain("grey.test", RCPT=later(1))
        cls.domain("eager.test", RCPT=later(1), DATA=b"354 go on\r\n", end=b"250 taken\r\n")
        cls.domain("slow.test", pause=0.004)
        cls.domain("cut.test", end=once(None))
        cls.domain("moody.test", end=once(b"452 4.3.1 no room\r\n"))
        cls.domain("picky.test", RCPT=lambda _, line: b"550 5.1.1 who?\r\n" if b"nobody@" in line else b"250 ok\r\n")
        cls.domain("noise.test", greeting=bytes(range(128, 256)) * 4 + b"\r\n")
        cls.domain("chatter.test", EHLO=b"".join(b"250-word%d\r\n" % n for n in range(20000)) + b"250 ok\r\n")
        cls.domain("hasty.test", certificate=cls.world.certificate("mx.hasty.test"), STARTTLS=b"220 go on\r\n250-mx.hasty.test\r\n250 AUTH PLAIN\r\n")
        cls.domain("mute.test", extensions=())
        cls.domain("small.test", extensions=(b"SIZE 1000",))
        cls.domain("closing.test", MAIL=once(b"421 4.3.2 closing\r\n"))

    @classmethod
    def protected(cls):
        w = cls.world
        for name, kind in (("dane.test", "own"), ("wrong.test", "other"), ("unproven.plain", "other"), ("stripped.test", "own")):
            host = "mx." + name
            # Of nobody's authority: under DANE the record alone counts.
            certificate = w.certificate(host, trusted=False)
            cls.domain(name, certificate=None if name == "stripped.test" else certificate)
            w.tlsa(host, certificate if kind == "own" else w.authority)
        for name, mode, trusted, mx in (("strict.test", "enforce", True, "mx.strict.test"), ("forged.test", "enforce", False, "mx.forged.test"),
                                        ("other.test", "enforce", True, "*.elsewhere.test"), ("trial.test", "testing", False, "mx.elsewhere.test"),
                                        ("plainly.test", "enforce", None, "mx.plainly.test")):
            certificate = None if trusted is None else w.certificate("mx." + name, trusted=trusted)
            cls.domain(name, certificate=certificate)
            PolicyHost(w, name, STS.format(mode, mx))
        cls.domain("unread.test", certificate=w.certificate("mx.unread.test", trusted=False))
        PolicyHost(w, "unread.test", STS.format("enforce", "mx.elsewhere.test"), trusted=False)

    @classmethod
    def smarthosts(cls):
        cls.peer("smart.test", port=465, implicit=True, certificate=cls.world.certificate("smart.test"), extensions=(b"AUTH PLAIN", b"8BITMIME"))
        cls.peer("false.test", port=587, certificate=cls.world.certificate("false.test", trusted=False), extensions=(b"AUTH PLAIN",))

    @classmethod
    def strangers(cls):
        """Who writes to `there.test`: their policies."""
        w = cls.world
        cls.good, cls.bad, cls.listed = w.address(), w.address(), w.address()
        for domain, policy in (("strictly.test", "reject"), ("maybe.test", "quarantine"), ("lax.test", "none")):
            w.txt(domain, f"v=spf1 ip4:{cls.good} -all")
            w.txt(f"_dmarc.{domain}", f"v=DMARC1; p={policy}")
        w.record(".".join(reversed(cls.listed.split("."))) + ".list.test", "A", "127.0.0.2")
        cls.seal = os.path.join(w.dir, "seal.key")
        lab.client("openssl", "genrsa", "-traditional", "-out", cls.seal, "2048")
        public = lab.client("openssl", "rsa", "-in", cls.seal, "-pubout", "-outform", "DER").stdout
        w.txt("one._domainkey.sealer.test", f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")

    @classmethod
    def publish(cls):
        """What `domain add` prints is what DNS has."""
        for office in (cls.here, cls.there):
            for record in json.loads(office.run("domain", "add", office.domain, "--json").stdout)["records"]:
                if record["type"] == "TXT":
                    cls.world.txt(record["name"], record["value"])
                elif record["type"] != "A":
                    cls.world.record(record["name"], record["type"], record["value"])
        cls.world.tlsa("mail.there.test", cls.there.cert)

    # ---- what Ann does and sees

    def send(self, *to, subject=None, text="Hello.", options=(), sender="ann@here.test"):
        with smtplib.SMTP("127.0.0.1", self.here.ports["submission"]) as smtp:
            smtp.login("ann@here.test", self.here.password)
            octets = f"From: {sender}\r\nTo: {to[0]}\r\nSubject: {subject or self.id().split('.')[-1]}\r\n\r\n{text}\r\n".encode()
            smtp.sendmail(sender, list(to), octets, mail_options=list(options))

    def trace(self, to, *words):
        """The trace of that recipient, once it has all these words."""
        def told():
            events = json.loads(self.here.run("trace", to, "--json").stdout)["events"]
            text = "".join(f"{event['what']}: {event['detail']}\n" for event in events)
            return text if all(word in text for word in words) else None

        try:
            return lab.wait_for(f"{words} of {to}", told, 30, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.here.run('trace', to).stdout}") from None

    def entry(self, to):
        entries = json.loads(self.here.run("queue", "list", "--to", to, "--json").stdout)["entries"]
        return entries[0] if entries else None

    def arrives(self, peer, subject=None, count=1):
        got = lab.wait_for(f"mail at {peer}", lambda: len(self.peers[peer].got) >= count and self.peers[peer].got, 30)
        self.assertEqual(len(got), count)
        self.assertIn(f"Subject: {subject or self.id().split('.')[-1]}\r\n".encode(), got[-1].text)
        return got[-1]

    def is_deferred(self, to, *words):
        """It waits, and the trace says why."""
        self.trace(to, "deferred: ", *words)
        self.assertTrue(self.entry(to), "it is in the queue")

    def retry(self, to):
        lab.wait_for("the entry to be put off", lambda: (entry := self.entry(to)) and entry["attempts"] >= 1)
        self.here.run("queue", "retry", "--to", to)

    def mail_of(self, office, user, mailbox="INBOX"):
        with imaplib.IMAP4("127.0.0.1", office.ports["imap"]) as imap:
            imap.login(f"{user}@{office.domain}", office.password)
            if imap.select(mailbox, readonly=True)[0] != "OK":
                return []
            return [part[1] for part in imap.uid("FETCH", "1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]

    def bounce(self, to, status):
        """Ann has a report about this recipient with this status; what it says of it."""
        def found():
            for octets in self.mail_of(self.here, "ann"):
                if b"Final-Recipient" in octets and to.encode() in octets:
                    return octets

        report = lab.wait_for(f"a report about {to}", found, 30)
        self.assertIn(f"Status: {status}\r\n".encode(), report)
        self.assertEqual(email.message_from_bytes(report, policy=email.policy.default)["Return-Path"], "<>")
        return report

    # ---- scenarios: the way

    def test_by_preference(self):
        self.send("u@well.test")
        got = self.arrives("first.well.test")
        self.assertEqual((self.peers["second.well.test"].connections, got.client), (0, self.here.ip))
        lab.wait_for("an empty queue", lambda: not self.entry("well.test"))

    def test_second_mx_when_the_first_refuses_connections(self):
        self.send("u@refused.test")
        self.arrives("second.refused.test")
        self.trace("u@refused.test", "delivered: ", "nobody.refused.test")

    def test_second_mx_when_the_first_is_a_blackhole(self):
        self.send("u@hole.test")
        self.arrives("second.hole.test")

    def test_only_a_blackhole_waits(self):
        self.send("u@gone.test")
        self.is_deferred("u@gone.test", "No connection to only.gone.test")

    def test_second_mx_when_the_first_is_too_busy(self):
        self.send("u@busy.test")
        self.arrives("second.busy.test")

    def test_no_mx_but_an_address(self):
        self.send("u@bare.test")
        self.arrives("bare.test")

    def test_null_mx_comes_back_at_once(self):
        self.send("u@null.test")
        self.bounce("u@null.test", "5.1.10")

    def test_no_such_domain_comes_back_at_once(self):
        self.send("u@nowhere.test")
        self.bounce("u@nowhere.test", "5.1.2")

    def test_an_mx_that_is_us_comes_back(self):
        self.send("u@circle.test")
        self.bounce("u@circle.test", "5.4.6")

    def test_an_mx_without_address_waits(self):
        self.send("u@old.test")
        self.is_deferred("u@old.test", "No address for gone.old.test")

    def test_dns_that_proves_false_waits(self):
        self.send("u@named.broken")
        self.is_deferred("u@named.broken", "DNS gave no answer for named.broken")

    def test_dns_that_is_silent_waits(self):
        self.world.silence_dns(True)
        try:
            self.send("u@unheard.test")
            self.is_deferred("u@unheard.test", "DNS gave no answer for unheard.test")
        finally:
            self.world.silence_dns(False)
        self.retry("u@unheard.test")
        self.bounce("u@unheard.test", "5.1.2")

    def test_no_ipv6_without_a_name(self):
        self.send("u@six.test")
        self.arrives("mx.six.test")
        self.assertEqual(self.six.connections, 0)

    # ---- scenarios: how they behave

    def test_greylister_takes_it_at_the_second_attempt(self):
        self.send("u@grey.test")
        self.is_deferred("u@grey.test", "451 4.7.1 come again")
        self.retry("u@grey.test")
        self.arrives("mx.grey.test")
        self.trace("u@grey.test", "delivered: ")

    def test_a_message_taken_for_nobody_goes_again(self):
        self.send("u@eager.test")
        self.is_deferred("u@eager.test", "451 4.7.1 come again")
        self.assertNotIn(b"Subject", b"".join(got.text for got in self.peers["mx.eager.test"].got))
        self.retry("u@eager.test")
        self.trace("u@eager.test", "delivered: ")
        self.assertEqual([got.recipients for got in self.peers["mx.eager.test"].got if got.recipients], [["u@eager.test"]])

    def test_slow_server_gets_it_once(self):
        self.send("u@slow.test")
        self.arrives("mx.slow.test")
        self.trace("u@slow.test", "delivered: ")

    def test_cut_after_the_final_dot_goes_again(self):
        self.send("u@cut.test")
        self.is_deferred("u@cut.test", "lost before the answer to the message")
        self.retry("u@cut.test")
        self.arrives("mx.cut.test", count=2)
        self.trace("u@cut.test", "delivered: ")

    def test_no_room_after_the_final_dot_goes_again(self):
        self.send("u@moody.test")
        self.is_deferred("u@moody.test", "452 4.3.1 no room")
        self.retry("u@moody.test")
        self.arrives("mx.moody.test")

    def test_closing_in_the_middle_goes_again(self):
        self.send("u@closing.test")
        self.is_deferred("u@closing.test", "421 4.3.2 closing")
        self.retry("u@closing.test")
        self.arrives("mx.closing.test")

    def test_one_recipient_of_two_is_refused(self):
        self.send("some@picky.test", "nobody@picky.test")
        got = self.arrives("mx.picky.test")
        self.assertEqual(got.recipients, ["some@picky.test"])
        report = self.bounce("nobody@picky.test", "5.1.1")
        self.assertNotIn(b"Final-Recipient: rfc822;some@picky.test", report)
        self.assertIn(b"550 5.1.1 who?", report)

    def test_noise_instead_of_a_greeting_waits(self):
        self.send("u@noise.test")
        self.is_deferred("u@noise.test", "what came is no SMTP")

    def test_an_answer_without_end_waits(self):
        self.send("u@chatter.test")
        self.is_deferred("u@chatter.test", "what came is no SMTP")

    def test_what_is_said_before_tls_is_not_believed(self):
        self.send("u@hasty.test")
        got = self.arrives("mx.hasty.test")
        heard = self.peers["mx.hasty.test"].heard
        self.assertIsNone(got.tls)
        self.assertFalse(any(line.startswith(b"AUTH") for line in heard), heard)

    def test_letters_beyond_ascii_are_not_bent(self):
        self.send("u@mute.test", text="plain", options=["SMTPUTF8"], subject="Grüße")
        self.bounce("u@mute.test", "5.6.7")
        self.assertEqual(self.peers["mx.mute.test"].got, [])

    def test_too_large_comes_back_before_it_is_sent(self):
        self.send("u@small.test", text="x" * 60 + ("\r\n" + "x" * 60) * 50)
        self.bounce("u@small.test", "5.3.4")
        self.assertEqual(self.peers["mx.small.test"].got, [])

    # ---- scenarios: TLS that must be

    def test_dane_that_fits(self):
        self.send("u@dane.test")
        self.assertTrue(self.arrives("mx.dane.test").tls.startswith("TLSv1."))
        self.trace("u@dane.test", "delivered: ", "(proven by DNSSEC)", ", DANE")

    def test_dane_that_does_not_fit_waits(self):
        self.send("u@wrong.test")
        self.is_deferred("u@wrong.test", "must be reached by TLS with a certificate that fits")
        self.assertEqual(self.peers["mx.wrong.test"].got, [])

    def test_dane_and_starttls_taken_away_waits(self):
        self.send("u@stripped.test")
        self.is_deferred("u@stripped.test", "STARTTLS is required and not offered")
        self.assertEqual(self.peers["mx.stripped.test"].got, [])

    def test_tlsa_that_nobody_proves_means_nothing(self):
        self.send("u@unproven.plain")
        self.assertTrue(self.arrives("mx.unproven.plain").tls)
        self.trace("u@unproven.plain", "delivered: ", ", opportunistic")

    def test_mta_sts_enforced_and_kept(self):
        self.send("u@strict.test")
        self.assertTrue(self.arrives("mx.strict.test").tls)
        self.trace("u@strict.test", "delivered: ", ", MTA-STS")

    def test_mta_sts_enforced_and_a_certificate_of_nobody_waits(self):
        self.send("u@forged.test")
        self.is_deferred("u@forged.test", "MTA-STS policy: Enforce", "must be reached by TLS with a certificate that fits")
        self.assertEqual(self.peers["mx.forged.test"].got, [])

    def test_mta_sts_enforced_and_another_host_waits(self):
        self.send("u@other.test")
        self.is_deferred("u@other.test", "The MTA-STS policy of other.test does not name mx.other.test")
        self.assertEqual(self.peers["mx.other.test"].connections, 0)

    def test_mta_sts_enforced_and_no_tls_waits(self):
        self.send("u@plainly.test")
        self.is_deferred("u@plainly.test", "STARTTLS is required and not offered")
        self.assertEqual(self.peers["mx.plainly.test"].got, [])

    def test_mta_sts_on_trial_keeps_nothing_back(self):
        self.send("u@trial.test")
        self.arrives("mx.trial.test")
        self.trace("u@trial.test", "delivered: ", "MTA-STS policy: Testing")

    def test_mta_sts_of_a_false_policy_host_is_none(self):
        self.send("u@unread.test")
        self.arrives("mx.unread.test")
        self.assertNotIn("MTA-STS policy", self.trace("u@unread.test", "delivered: "))

    def test_smarthost_with_sign_in(self):
        self.send("u@routed.test")
        got = self.arrives("smart.test")
        self.assertTrue(got.tls)
        self.assertTrue(any(line.startswith(b"AUTH PLAIN") for line in self.peers["smart.test"].heard))

    def test_false_smarthost_hears_no_password(self):
        self.send("u@misrouted.test")
        self.is_deferred("u@misrouted.test", "false.test")
        self.assertFalse(any(line.startswith(b"AUTH") for line in self.peers["false.test"].heard))

    # ---- scenarios: who comes to us

    def say(self, source, sender, to="carol@there.test", subject=None, octets=None):
        """What our server answered at the end, or at RCPT."""
        with smtplib.SMTP(self.there.ip, 25, local_hostname="stranger.test", source_address=(source, 0)) as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            code, text = smtp.rcpt(to)
            if code >= 400:
                return code, text.decode()
            code, text = smtp.data(octets or self.letter(sender, to, subject))
            return code, text.decode()

    def letter(self, sender, to, subject=None):
        return (f"From: {sender}\r\nTo: {to}\r\nDate: Sun, 29 Nov 2026 00:00:00 +0000\r\nMessage-ID: <{self.id()}@x.test>\r\n"
                f"Subject: {subject or self.id()}\r\n\r\nHello.\r\n").encode()

    def of_carol(self, subject, mailbox="INBOX"):
        return [octets for octets in self.mail_of(self.there, "carol", mailbox) if f"Subject: {subject}\r\n".encode() in octets]

    def test_inbound_spf_and_dmarc_pass(self):
        self.assertEqual(self.say(self.good, "bob@strictly.test")[0], 250)
        mail = self.of_carol(self.id())
        self.assertEqual(len(mail), 1)
        results = email.message_from_bytes(mail[0], policy=email.policy.default)["Authentication-Results"]
        self.assertIn("spf=pass", results)
        self.assertIn("dmarc=pass", results)

    def test_inbound_forged_and_dmarc_says_reject(self):
        code, text = self.say(self.bad, "bob@strictly.test")
        self.assertEqual(code, 550, text)
        self.assertEqual(self.of_carol(self.id()), [])
        self.assertIn("dmarc", self.there.run("trace", self.bad).stdout.lower())

    def test_inbound_forged_and_dmarc_says_quarantine(self):
        self.assertEqual(self.say(self.bad, "bob@maybe.test")[0], 250)
        self.assertEqual((len(self.of_carol(self.id())), len(self.of_carol(self.id(), "Junk"))), (0, 1))

    def test_inbound_forged_and_dmarc_says_none(self):
        self.assertEqual(self.say(self.bad, "bob@lax.test")[0], 250)
        mail = self.of_carol(self.id())
        self.assertEqual(len(mail), 1)
        self.assertIn(b"dmarc=fail", mail[0])

    def test_inbound_from_a_listed_address(self):
        code, text = self.say(self.listed, "bob@lax.test")
        self.assertEqual(code, 550, text)
        self.assertEqual(self.say(self.listed, "bob@lax.test", to="postmaster@there.test")[0], 250)

    def test_inbound_is_no_open_relay(self):
        code, text = self.say(self.good, "bob@lax.test", to="u@well.test")
        self.assertEqual(code, 550, text)

    def test_between_two_of_us_everything_is_proven(self):
        self.send("carol@there.test")
        subject = self.id().split(".")[-1]
        lab.wait_for("Carol to have it", lambda: self.of_carol(subject), 30)
        results = " ".join(re.findall(r"(?mi)^Authentication-Results:.*?\r\n(?![ \t])", self.of_carol(subject)[0].decode(), re.S))
        for word in ("spf=pass", "dmarc=pass"):
            self.assertIn(word, results)
        self.assertEqual(results.count("dkim=pass"), 2, results)
        self.trace("carol@there.test", "delivered: ", ", DANE")
        self.assertEqual(json.loads(dkimpy(self.of_carol(subject)[0]))["dkim"], [True, True])

    def test_forwarded_mail_survives_dmarc_by_our_seal(self):
        """`there` forwards what `p=reject` speaks for; `here` believes its seal, and so does another's reading of it."""
        self.assertEqual(self.say(self.good, "bob@strictly.test", to="forward@there.test")[0], 250)
        subject = f"Subject: {self.id()}\r\n".encode()
        mail = lab.wait_for("the forwarded mail", lambda: [m for m in self.mail_of(self.here, "ann") if subject in m], 30)[0]
        results = email.message_from_bytes(mail, policy=email.policy.default)["Authentication-Results"]
        for word in ("arc=pass", "dmarc=fail"):
            self.assertIn(word, results)
        seen = json.loads(dkimpy(mail))
        self.assertEqual(seen["arc"], "pass", seen)

    def test_seal_of_another_program_is_believed(self):
        letter = b"Authentication-Results: mx.sealer.test; dmarc=pass header.from=strictly.test\r\n" + self.letter("bob@strictly.test", "carol@there.test")
        sealed = dkimpy(letter, self.seal)
        self.assertEqual(self.say(self.bad, "bob@strictly.test", octets=sealed)[0], 250)
        self.assertIn(b"arc=pass", self.of_carol(self.id())[0])
        bent = sealed.replace(b"Hello.", b"Hollo.").replace(self.id().encode(), self.id().encode() + b"_bent")
        self.assertEqual(self.say(self.bad, "bob@strictly.test", octets=bent)[0], 550)


def load_tests(loader, tests, _pattern):
    """A namespace is root's to make; anybody is root in one of their own."""
    if os.geteuid() == 0:
        return tests

    def test_internet():
        runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")
        unshare = ["unshare", "--map-root-user", "--net"]
        if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
            unshare = ["sudo", "-n", "--preserve-env=PATH,CARGO_TARGET_DIR,PACKETBOAT", "unshare", "--net"]
        subprocess.run([*unshare, sys.executable, runner, "test_internet"], check=True)

    return unittest.TestSuite([unittest.FunctionTestCase(test_internet, description="test_internet as root of a namespace of its own")])


if __name__ == "__main__":
    unittest.main()
