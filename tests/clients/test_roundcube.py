"""Roundcube's IMAP client (Debian's roundcube-core). What it made of the answers is checked, and that it asked with the extension's own words."""

import json
import os
import unittest

import lab
from test_clients import Clients, imap


class Roundcube(Clients):
    def act(self, name, user="bob@here.test", password=None):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "roundcube.php")
        done = lab.client("php", script, str(self.port["imap"]), self.cert, user, name, stdin=(password or self.server.password).encode() + b"\n")
        self.assertEqual(done.stderr.decode(), "")
        return json.loads(done.stdout)

    def test_roundcube_lists_with_rights(self):
        ann = imap(self.server, "ann")
        ann.create("Plans")
        self.assertEqual(ann.setacl("Plans", "bob@here.test", "lr")[0], "OK")
        ann.logout()
        with lab.Wire(self.server) as dialogue:
            got = self.act("rights")
            dialogue.said(r'^LIST "" "\*" RETURN \(MYRIGHTS\)$')
        self.assertEqual(set(got["INBOX"]["MYRIGHTS"]), set("lrswipkxteacd"))
        self.assertEqual(set(got["Other Users/ann@here.test/Plans"]["MYRIGHTS"]), set("lr"))

    def test_roundcube_signs_in_by_a_literal_that_does_not_wait(self):
        """LITERAL- is announced before sign-in; a password beyond ASCII is no quoted string."""
        password = "grüne Äpfel und süße Birnen"
        self.server.account("eva", password)
        with lab.Wire(self.server, "eva@here.test") as dialogue:
            self.assertEqual(self.act("literals", "eva@here.test", password), ["MESSAGES", "UNSEEN"])
            dialogue.said("^LOGIN ", r"\(31 octets\)$", "^LOGOUT$")
            self.assertEqual([line for line in dialogue.lines("server") if line.startswith("+")], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
