"""What others make of the extensions of IMAP: IMAPClient (a Python library, pinned in `imapclient.txt`), NeoMutt and Dovecot's
imapc, each seen using them in the account's dialogue; and what is switched off in the configuration."""

import datetime
import os
import re
import subprocess
import unittest

import lab
from test_clients import Clients, context, fill, imap, send

BOB = "bob@here.test"


def announced(c):
    return set(c.xatom("CAPABILITY") and c.response("CAPABILITY")[1][-1].decode().split())


class SwitchedOff(unittest.TestCase):
    def test_a_capability_is_switched_off_in_the_configuration(self):
        """For everybody, per listener, and for who gives a name in its ID; whoever asks unasked is served all the same."""
        off = ["QRESYNC", "COMPRESS=DEFLATE on imaps", "BINARY on imap", "MOVE for Some Mail", "IDLE for Another"]
        with lab.Server(accounts=["bob"], extra=f"[imap]\ncapabilities_off = {off}\n") as server:
            import imaplib

            plain = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
            plain.login(BOB, server.password)
            after = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
            after.starttls(context())
            after.login(BOB, server.password)
            tls = imap(server)
            for c, here, not_here in ((plain, "COMPRESS=DEFLATE", "BINARY"), (after, "COMPRESS=DEFLATE", "BINARY"), (tls, "BINARY", "COMPRESS=DEFLATE")):
                words = announced(c)
                self.assertLessEqual({here, "MOVE", "IDLE", "CONDSTORE"}, words)
                self.assertFalse({not_here, "QRESYNC"} & words, words)
            # By its ID: in any case, from then on, for this connection.
            for name, there, not_there in (("somebody", {"MOVE", "IDLE"}, set()), ("some MAIL", {"IDLE"}, {"MOVE"})):
                self.assertEqual(tls.xatom("ID", f'("version" "1" "name" "{name}")')[0], "OK")
                words = announced(tls)
                self.assertLessEqual(there, words)
                self.assertFalse(not_there & words, words)
            self.assertIn("MOVE", announced(after))
            # Not announced is not refused, but for COMPRESS.
            # Else the library allows it in the state alone in which some test first said it.
            imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")
            tls.append("INBOX", None, None, b"Subject: x\r\n\r\nbody\r\n")
            tls.select("INBOX")
            self.assertEqual(tls._simple_command("UID", "MOVE", "1", "Archive")[0], "OK")
            self.assertEqual(tls.xatom("COMPRESS", "DEFLATE"), ("NO", [b"[CANNOT] That compression is not offered"]))
            plain.select("INBOX")
            self.assertEqual(plain.xatom("COMPRESS", "DEFLATE")[0], "OK")
            plain.shutdown()
            for c in (after, tls):
                c.logout()


class ImapClient(Clients):
    """Every answer is read by the library's own parser."""

    def setUp(self):
        lab.libraries("imapclient")
        super().setUp()

    def connect(self, user=BOB):
        from imapclient import IMAPClient

        c = IMAPClient("localhost", self.port["imaps"], ssl_context=context(), timeout=30)
        c.plain_login(user, self.server.password)
        return c

    def test_imapclient_condstore_enable_and_uidplus(self):
        fill(self.server, "One", "Two", "Three")
        c = self.connect()
        self.assertEqual(set(c.enable("CONDSTORE", "QRESYNC")), {b"CONDSTORE", b"QRESYNC"})
        before = c.select_folder("INBOX")[b"HIGHESTMODSEQ"]
        other = self.connect()
        other.select_folder("INBOX")
        self.assertEqual(other.add_flags([2], [b"\\Flagged"])[2], (b"\\Flagged",))
        other.append("INBOX", b"Subject: Four\r\n\r\nx\r\n")
        told = c.fetch([1, 2, 3, 4], ["FLAGS"], [f"CHANGEDSINCE {before}"])
        self.assertEqual(sorted(told), [2, 4])
        self.assertIn(b"\\Flagged", told[2][b"FLAGS"])
        self.assertGreater(told[2][b"MODSEQ"][0], before)
        self.assertGreater(c.folder_status("INBOX", ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"], before)
        found = c.search(["MODSEQ", str(before + 1)])
        self.assertEqual(sorted(found), [2, 4])
        self.assertGreater(found.modseq, before)
        # UIDPLUS: the UIDs of APPEND and COPY, and EXPUNGE of those that are named.
        self.assertRegex(c.append("INBOX", b"Subject: Five\r\n\r\nx\r\n"), rb"APPENDUID \d+ 5\]")
        c.copy([1, 3], "Archive")
        self.assertRegex(c._imap.response("COPYUID")[1][0], rb"^\d+ 1,3 1:2$")
        c.add_flags([1, 2], [b"\\Deleted"])
        c.uid_expunge([1])
        self.assertEqual(c.search(), [2, 3, 4, 5])
        c.logout()
        other.logout()

    def test_imapclient_sort_thread_and_items_of_fetch(self):
        fill(self.server, "Cherry", "Apple", "Banana")
        reply = lab.message("ann@here.test", BOB, "Re: Apple")
        reply["References"] = lab.message("x@x.test", BOB, "Apple")["Message-ID"]
        send(self.server, reply)
        self.got(4)
        c = self.connect()
        c.select_folder("INBOX")
        self.assertEqual(c.sort("SUBJECT"), [2, 4, 3, 1])
        self.assertEqual(c.sort(["REVERSE SUBJECT", "ARRIVAL"], ["SUBJECT", "a"]), [3, 2, 4])
        self.assertEqual(c.sort("DISPLAYFROM", ["UID", "1:2"]), [1, 2])
        for algorithm in ("REFERENCES", "REFS", "ORDEREDSUBJECT"):
            self.assertEqual(sorted(c.thread(algorithm)), [(1,), (2, 4), (3,)], algorithm)
        told = c.fetch([1], ["PREVIEW", "SAVEDATE", "EMAILID", "THREADID", "BINARY.SIZE[2]", "ENVELOPE", "BODYSTRUCTURE"])[1]
        self.assertTrue(told[b"PREVIEW"].startswith(b"Hello."), told[b"PREVIEW"])
        self.assertEqual(told[b"BINARY.SIZE[2]"], len(lab.png()))
        self.assertEqual(len(told[b"EMAILID"]), 1)
        self.assertEqual(told[b"THREADID"], c.fetch([1], ["THREADID"])[1][b"THREADID"])
        self.assertEqual(c.fetch([2], ["THREADID"])[2][b"THREADID"], c.fetch([4], ["THREADID"])[4][b"THREADID"])
        self.assertIn(str(datetime.datetime.now(datetime.timezone.utc).year).encode(), told[b"SAVEDATE"])
        self.assertEqual(told[b"ENVELOPE"].subject, b"Cherry")
        self.assertTrue(told[b"BODYSTRUCTURE"].is_multipart)
        self.assertEqual(c.search(["YOUNGER", 3600]), [1, 2, 3, 4])
        self.assertEqual(c.search(["OLDER", 3600]), [])
        self.assertEqual(c.search(["FUZZY", "SUBJECT", "banana"]), [3])
        self.assertEqual(c.search(["TEXT", "grüße"], charset="UTF-8"), [1, 2, 3, 4])
        c.logout()

    def test_imapclient_folders_quota_rights_and_moves(self):
        fill(self.server, "One", "Two", "Three")
        with lab.Wire(self.server) as dialogue:
            c = self.connect()
            self.assertEqual(c.id_({"name": "IMAPClient"})[0][1], b"Packetboat")
            self.assertEqual(tuple(c.namespace()), ((("", "/"),), (("Other Users/", "/"),), (("Shared/", "/"),)))
            self.assertEqual([c.find_special_folder(b"\\" + use) for use in (b"Sent", b"Drafts", b"Trash", b"Junk")], ["Sent", "Drafts", "Trash", "Junk"])
            c.create_folder("Entwürfe & mehr")
            self.assertIn("Entwürfe & mehr", [name for _, _, name in c.list_folders()])
            c.create_folder("Entwürfe & mehr/innen")
            children = {name: flags for flags, _, name in c.list_folders()}
            self.assertIn(b"\\HasChildren", children["Entwürfe & mehr"])
            self.assertIn(b"\\HasNoChildren", children["Entwürfe & mehr/innen"])
            said = c.multiappend("Archive", [{"msg": b"Subject: a\r\n\r\n1\r\n", "flags": [b"\\Seen"]}, b"Subject: b\r\n\r\n2\r\n"])
            self.assertRegex(str(said), r"APPENDUID \d+ 1:2\]")
            status = c.folder_status("Archive", ["MESSAGES", "UNSEEN", "SIZE", "APPENDLIMIT", "MAILBOXID"])
            self.assertEqual((status[b"MESSAGES"], status[b"UNSEEN"], status[b"SIZE"]), (2, 1, 34))
            self.assertGreater(status[b"APPENDLIMIT"], 1_000_000)
            self.assertTrue(status[b"MAILBOXID"])
            c.select_folder("INBOX")
            c.move([2], "Archive")
            self.assertEqual(c.search(), [1, 3])
            c.unselect_folder()
            roots, quotas = c.get_quota_root("INBOX")
            self.assertEqual((roots.mailbox, roots.quota_roots), ("INBOX", [""]))
            self.assertIn("MESSAGE", {quota.resource for quota in quotas})
            c.setacl("Archive", "ann@here.test", "lr")
            self.assertIn((b"ann@here.test", b"lr"), c.getacl("Archive"))
            dialogue.said("^AUTHENTICATE PLAIN", "^ID ", "^NAMESPACE$", "^UNSELECT$", "^GETQUOTAROOT INBOX$", "^SETACL ", "^UID MOVE 2 ")
            c.logout()
        ann = self.connect("ann@here.test")
        self.assertEqual(ann.select_folder(f"Other Users/{BOB}/Archive", readonly=True)[b"EXISTS"], 3)
        # It hears of new mail while it idles.
        ann.select_folder("INBOX")
        ann.idle()
        send(self.server, lab.message(BOB, "ann@here.test", "Pushed"), sender="bob", to=["ann@here.test"])
        self.assertIn((1, b"EXISTS"), lab.wait_for("EXISTS", lambda: ann.idle_check(timeout=5)))
        ann.idle_done()
        ann.logout()


class NeomuttCache(Clients):
    def mutt(self, keys, *settings):
        folder = f"imaps://localhost:{self.port['imaps']}/"
        cache = os.path.join(self.dir, "cache")
        os.makedirs(cache, exist_ok=True)
        rc = self.secret("muttrc", "\n".join([
            f"set ssl_ca_certificates_file={self.cert} ssl_starttls=yes ssl_force_tls=yes imap_user={BOB} imap_pass='{self.server.password}'",
            f"set folder={folder} spoolfile={folder}INBOX header_cache={cache} quit=yes move=no delete=yes mark_old=no wait_key=no sleep_time=0",
            f"set from={BOB} use_from=yes timeout=5 mail_check=1 resolve=no confirmappend=no confirmcreate=no tmpdir={self.dir}",
            *settings, f"push '{keys}'", ""]))
        script = os.path.join(self.dir, "drive.exp")
        with open(script, "w") as f:
            f.write(f"set timeout 60\nset stty_init \"rows 40 columns 120\"\nspawn neomutt -n -F {rc}\nexpect eof\nlassign [wait] a b c code\nexit $code\n")
        lab.client("expect", script, env={"HOME": self.dir, "TERM": "xterm"}, seconds=30)

    def test_neomutt_comes_back_by_condstore_and_by_qresync(self):
        """It keeps a cache of headers; what happened while it was away it learns by CHANGEDSINCE, and by VANISHED."""
        fill(self.server, *(f"Number {i}" for i in range(1, 6)))
        there = imap(self.server)
        for setting, said in (("imap_condstore", [r"^SELECT .*\(CONDSTORE\)", r"FETCH .*CHANGEDSINCE \d+"]),
                              ("imap_qresync", ["^ENABLE UTF8=ACCEPT$", "^ENABLE QRESYNC$", r"^UID FETCH .*CHANGEDSINCE \d+ VANISHED\)"])):
            with self.subTest(setting):
                on = f"set imap_condstore=yes {setting}=yes"
                self.mutt("<quit>", on)
                there.select("INBOX")
                uids = there.uid("SEARCH", "UNDELETED")[1][0].split()
                there.uid("STORE", uids[0], "+FLAGS", r"(\Flagged)")
                there.uid("STORE", uids[1], "+FLAGS", r"(\Deleted)")
                there.expunge()
                with lab.Wire(self.server) as dialogue:
                    # What it sees flagged now, it marks answered; no message is fetched whole for that.
                    self.mutt("<tag-pattern>~F<enter><tag-prefix><set-flag>r<tag-prefix><clear-flag>!<sync-mailbox><quit>", on)
                    dialogue.said(*said)
                    if setting == "imap_qresync":
                        dialogue.said(rf"VANISHED \(EARLIER\) {uids[1].decode()}$", side="server")
                there.select("INBOX")
                self.assertEqual(there.uid("SEARCH", "ANSWERED", "UNFLAGGED")[1][0].split()[-1:], [uids[0]])
                self.assertEqual(there.uid("SEARCH", "FLAGGED")[1], [b""])
                there.uid("STORE", uids[0], "+FLAGS", r"(\Deleted)")
                there.expunge()
        there.logout()


class Imapc(Clients):
    """Dovecot's doveadm, whose storage is our server: it speaks IMAP as a client."""

    def doveadm(self, *words):
        config = self.secret("dovecot.conf", f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/run
log_path = /dev/stderr
ssl_client_ca_file = {self.cert}
mail_home = {self.dir}/home
mail_location = imapc:{self.dir}/home/imapc
mail_plugins = quota
imapc_host = 127.0.0.1
imapc_port = {self.port['imaps']}
imapc_ssl = imaps
imapc_user = {BOB}
imapc_password = {self.server.password}
imapc_features = rfc822.size fetch-headers fetch-bodystructure search modseq
namespace inbox {{
  inbox = yes
  separator = /
}}
plugin {{
  quota = imapc:its quota
}}
""")
        # It refuses to be root.
        lab.client("chown", "-R", "nobody", self.dir)
        os.chmod(os.path.dirname(self.cert), 0o755)
        done = lab.client("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "doveadm", "-c", config, *words, env={"HOME": f"{self.dir}/home", "USER": BOB})
        return done.stdout.decode()

    def test_dovecot_s_imapc_lives_on_it(self):
        os.makedirs(os.path.join(self.dir, "home"))
        fill(self.server, "One", "Two", "Three")
        with lab.Wire(self.server) as dialogue:
            self.assertEqual(self.doveadm("search", "mailbox", "INBOX", "body", "Hello", "subject", "Two").split()[1:], ["2"])
            shown = self.doveadm("fetch", "uid flags hdr.subject modseq", "mailbox", "INBOX", "uid", "2")
            self.assertRegex(shown, r"(?s)uid: 2\n.*hdr.subject: Two\n.*modseq: \d+")
            self.assertIn("STORAGE", self.doveadm("quota", "get"))
            self.doveadm("mailbox", "create", "Projects")
            self.doveadm("flags", "add", r"\Flagged", "mailbox", "INBOX", "uid", "3")
            self.doveadm("move", "Projects", "mailbox", "INBOX", "uid", "3")
            self.doveadm("expunge", "mailbox", "INBOX", "uid", "1")
            dialogue.said(r"^UID FETCH 1:\* \(FLAGS MODSEQ\)", "^GETQUOTAROOT ", "^UID EXPUNGE 1$")
        there = imap(self.server)
        there.select("INBOX")
        self.assertEqual(there.uid("SEARCH", "ALL")[1], [b"2"])
        there.select("Projects")
        self.assertEqual(there.search(None, "FLAGGED", "SUBJECT", "Three")[1], [b"1"])
        there.logout()


if __name__ == "__main__":
    unittest.main(verbosity=2)
