"""IMAP neighbours on their own roots: mbsync moves a mailbox from Cyrus and from Courier to us, and from us to them."""

import hashlib
import imaplib
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from guest import Guest  # noqa: E402
from test_clients import imap  # noqa: E402
import test_program  # noqa: E402

FILM = [("film.bin", "application", "octet-stream", lab.film(20))] + lab.ATTACHMENTS


class Cyrus:
    """cyrus-imapd with one mailbox, carol."""

    def __init__(self):
        self.port = lab.free_port()
        self.guest = Guest("cyrus-imapd", "cyrus-admin", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")

    def __enter__(self):
        self.guest.__enter__()
        try:
            self.configure()
            lab.wait_for("cyrus", self.answers, 30)
            admin = imaplib.IMAP4("127.0.0.1", self.port)
            admin.login("cyrus", "correct horse")
            self.assert_ok(admin.create("user/carol"))
            admin.logout()
        except BaseException:
            self.guest.__exit__(*sys.exc_info())
            raise
        return self

    @staticmethod
    def assert_ok(answer):
        assert answer[0] == "OK", answer

    def configure(self):
        self.guest.write("/etc/imapd.conf", """
configdirectory: /var/lib/cyrus
defaultpartition: default
partition-default: /var/spool/cyrus/mail
servername: there.test
admins: cyrus
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
allowplaintext: yes
unixhierarchysep: yes
altnamespace: yes
virtdomains: off
maxmessagesize: 60000000
""")
        self.guest.write("/etc/cyrus.conf", f"""
START {{
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}}
SERVICES {{
  imap cmd="imapd -U 30" listen="127.0.0.1:{self.port}" prefork=0 maxchild=20
}}
EVENTS {{
}}
""")
        for user in ("cyrus", "carol"):
            self.guest.run("saslpasswd2", "-p", "-c", "-u", "there.test", user, stdin="correct horse")
        self.guest.run("sh", "-c", "chown cyrus:sasl /etc/sasldb2; mkdir -p /run/cyrus /run/cyrus/socket /run/cyrus/lock /run/cyrus/proc; chown -R cyrus:mail /run/cyrus; "
                                   "cyrus makedirs --cyrus-user=cyrus --sieve")
        master = self.guest.run("sh", "-c", "ls /usr/sbin/cyrmaster /usr/lib/cyrus/bin/master /usr/sbin/cyrus-master 2>/dev/null | head -1").stdout.strip()
        self.guest.spawn(master, "-D", "-p", "/run/cyrus/master.pid")

    def answers(self):
        try:
            with imaplib.IMAP4("127.0.0.1", self.port, timeout=5) as c:
                return c.login("cyrus", "correct horse")[0] == "OK"
        except (OSError, imaplib.IMAP4.error):
            return False

    def connect(self):
        c = imaplib.IMAP4("127.0.0.1", self.port)
        c.login("carol", "correct horse")
        return c

    def __exit__(self, *why):
        self.guest.__exit__(*why)


class Courier(Cyrus):
    """courier-imap with one system account, carol."""

    def __init__(self):
        super().__init__()
        self.guest = Guest("courier-imap")

    def __enter__(self):
        self.guest.__enter__()
        try:
            self.configure()
            lab.wait_for("courier", self.answers, 30)
        except BaseException:
            self.guest.__exit__(*sys.exc_info())
            raise
        return self

    def configure(self):
        run = self.guest.run
        run("useradd", "--create-home", "--shell", "/bin/sh", "carol")
        run("chpasswd", stdin="carol:correct horse\n")
        run("su", "carol", "-c", "maildirmake.courier ~/Maildir 2>/dev/null || maildirmake ~/Maildir")
        run("sh", "-c", f"sed -i 's/^PORT=.*/PORT={self.port}/; s/^ADDRESS=.*/ADDRESS=127.0.0.1/; s/^MAXPERIP=.*/MAXPERIP=40/' /etc/courier/imapd")
        run("sh", "-c", "mkdir -p /run/courier/authdaemon && chown -R courier:courier /run/courier; authdaemond start; (imapd start || /etc/init.d/courier-imap start)")

    def answers(self):
        try:
            return bool(self.connect())
        except (OSError, imaplib.IMAP4.error):
            return False


def contents(connection, mailbox):
    """{digest of the octets: flags but \\Recent} of a mailbox."""
    assert connection.select(f'"{mailbox}"', readonly=True)[0] == "OK"
    kind, data = connection.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
    assert kind == "OK"
    found = {}
    for i, part in enumerate(data):
        if isinstance(part, tuple):
            words = imaplib.ParseFlags(part[0]) + (imaplib.ParseFlags(data[i + 1]) if isinstance(data[i + 1], bytes) else ())
            # mbsync marks each copy with a header field of its own.
            octets = re.sub(rb"(?m)^X-TUID: [^\r\n]*\r\n", b"", part[1])
            found[hashlib.sha256(octets).hexdigest()] = sorted({w for w in words if w != b"\\Recent"})
    return found


class Moving:
    neighbour = None
    prefix = ""

    def test_random_changes_on_both_sides(self):
        with self.neighbour() as there:
            test_program.BothWays.both_ways(self, there.port, int(os.environ.get("SEED", "9")), 2, "carol", "correct horse", self.prefix)

    def mbsync(self, folder, server, there):
        rc = lab.secret(folder, "mbsyncrc", f"""
IMAPAccount ours
Host localhost
Port {server.ports['imaps']}
User ann@here.test
Pass "{server.password}"
SSLType IMAPS
CertificateFile {lab.certificate()[0]}

IMAPStore ours
Account ours

IMAPAccount theirs
Host 127.0.0.1
Port {there.port}
User carol
Pass "correct horse"
SSLType None
AuthMechs LOGIN

IMAPStore theirs
Account theirs

Channel all
Far :theirs:
Near :ours:
Patterns INBOX Letters
Create Both
Sync All
Expunge Both
SyncState {folder}/state-
CopyArrivalDate yes
""")
        return lab.client("mbsync", "-c", rc, "all", seconds=300)

    def test_mbsync_moves_both_ways_and_then_nothing(self):
        with self.neighbour() as there, lab.Server(accounts=["ann"]) as server, tempfile.TemporaryDirectory() as folder:
            theirs, ours = there.connect(), imap(server, "ann")
            flags = [None, r"(\Seen)", r"(\Flagged \Answered)", r"(\Seen \Draft)"]
            for i in range(40):
                m = lab.message("x@elsewhere.test", "carol@there.test", f"Theirs {i}", lab.ATTACHMENTS if i % 5 == 0 else ())
                there.assert_ok(theirs.append("INBOX", flags[i % 4], None, lab.wire(m)))
            for i in range(40):
                m = lab.message("x@elsewhere.test", "ann@here.test", f"Ours {i}", lab.ATTACHMENTS if i % 5 == 1 else ())
                there.assert_ok(ours.append("INBOX", flags[(i + 1) % 4], None, lab.wire(m)))
            there.assert_ok(ours.create("Letters"))
            there.assert_ok(ours.append("Letters", None, None, lab.wire(lab.message("x@elsewhere.test", "ann@here.test", "A film", FILM))))
            self.mbsync(folder, server, there)
            both = contents(theirs, "INBOX"), contents(ours, "INBOX")
            self.assertEqual(len(both[0]), 80)
            self.assertEqual(both[0], both[1])
            theirs_letters = next(name for name in ("Letters", "INBOX.Letters") if theirs.select(name)[0] == "OK")
            self.assertEqual(contents(theirs, theirs_letters), contents(ours, "Letters"))
            # What either side changes now comes to the other.
            theirs.select("INBOX")
            there.assert_ok(theirs.store("1:5", "+FLAGS", r"(\Flagged)"))
            there.assert_ok(theirs.store("6:8", "+FLAGS", r"(\Deleted)"))
            theirs.expunge()
            ours.select("INBOX")
            there.assert_ok(ours.store("70:75", "+FLAGS", r"(\Seen)"))
            there.assert_ok(ours.store("76:80", "+FLAGS", r"(\Deleted)"))
            ours.expunge()
            self.mbsync(folder, server, there)
            both = contents(theirs, "INBOX"), contents(ours, "INBOX")
            self.assertEqual(len(both[0]), 72)
            self.assertEqual(both[0], both[1])
            before = ours.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)")
            self.mbsync(folder, server, there)
            self.assertEqual(ours.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)"), before, "a third run changes nothing")
            theirs.logout()
            ours.logout()


class CyrusTest(Moving, unittest.TestCase):
    neighbour = Cyrus


class CourierTest(Moving, unittest.TestCase):
    neighbour = Courier
    prefix = "INBOX."


if __name__ == "__main__":
    unittest.main(verbosity=2)
