"""ImapFlow (what EmailEngine and many programs in JavaScript stand on; pinned in `imapflow/`): a client that speaks IMAP4rev2 where it
can. What it made of the answers is checked, and that it asked with the extensions' own words, compressed all the way."""

import hashlib
import json
import os
import unittest

import lab
from test_clients import Clients, fill, imap, send

BOB = "bob@here.test"


class ImapFlow(Clients):
    def test_imapflow_lives_on_it(self):
        fill(self.server, "Cherry", "Apple", "Banana")
        reply = lab.message("ann@here.test", BOB, "Re: Apple")
        reply["References"] = lab.message("x@x.test", BOB, "Apple")["Message-ID"]
        send(self.server, reply)
        self.got(4)
        folder = lab.modules("imapflow")
        drive = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imapflow", "drive.mjs")
        with lab.Wire(self.server) as dialogue:
            done = lab.client("node", drive, folder, str(self.port["imap"]), self.cert, BOB, stdin=self.server.password.encode() + b"\n")
            dialogue.said("^STARTTLS$", "^COMPRESS DEFLATE$", "^ENABLE .*UTF8=ACCEPT QRESYNC IMAP4REV2", r"^LIST .*RETURN \(.*STATUS ", "^GETQUOTAROOT ", r"EMAILID", r"THREADID",
                          r"BINARY\.PEEK\[2\]", r"^UID SEARCH RETURN \(MIN MAX COUNT ALL\)", r"RETURN \(COUNT PARTIAL -1:-2\)", "CHANGEDSINCE", "UNCHANGEDSINCE", "^IDLE$",
                          r"^APPEND .*~\{\d+\+?\}", "^UID MOVE 3 ")
            dialogue.said("DEFLATE active", side="server")
        self.assertEqual(done.stderr.decode(), "")
        got = json.loads(done.stdout)
        png = hashlib.sha256(lab.png()).hexdigest()
        self.assertEqual(got, {
            "enabled": ["CONDSTORE", "IMAP4REV2", "QRESYNC", "UTF8=ACCEPT"], "server": "Packetboat",
            "inbox": [["INBOX", "\\Inbox", 4], ["Trash", "\\Trash", 0]], "quota": {"usage": 4, "limit": 1000000000, "status": "0%"}, "made": True,
            "mailbox": [4, "bigint", False, "string"], "one": [1, "string", "string", "Cherry", 4], "thread": [True, "Re: Apple"], "png": png, "binary": png,
            "esearch": [2, 4, 3, "2:4"], "partial": [4, {"range": "-1:-2", "messages": "3:4"}], "within": [1, 2, 3, 4], "umlaut": [1, 2, 3, 4], "added": True,
            "moved": [[3, 2]], "copied": [[2, 3]], "changed": [[2, ["$Label1", "\\Flagged"]]], "idle": [[[4, False]], ["\\Answered"]],
            "status": {"path": "Päckchen", "messages": 3, "unseen": 2, "uidNext": 4},
        })
        there = imap(self.server)
        there.select('"P&AOQ-ckchen"')
        self.assertEqual(there.fetch("1", "(FLAGS BODY.PEEK[TEXT])")[1][0][1], b"a\0b\r\n")
        there.logout()


if __name__ == "__main__":
    unittest.main(verbosity=2)
