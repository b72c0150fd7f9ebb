"""jmap-jam (a JMAP client library in JavaScript, pinned in `jam/`) against the real server: what it made of the answers is checked, and
IMAP has what it did. It builds its requests by itself: references from call to call, ids of what the same request creates."""

import imaplib
import json
import os
import unittest

import lab

BOB = "bob@here.test"


class Jam(unittest.TestCase):
    maxDiff = None

    def test_jam_lives_on_it(self):
        folder = lab.modules("jam")
        drive = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jam", "drive.mjs")
        with lab.Server(start_with=("ann", "bob"), also=("https",)) as server:
            environment = {"NODE_EXTRA_CA_CERTS": lab.certificate()[0]}
            done = lab.client("node", drive, folder, str(server.ports["https"]), BOB, stdin=server.password.encode() + b"\n", env=environment)
            self.assertEqual(done.stderr.decode(), "")
            self.assertEqual(json.loads(done.stdout), {
                "username": BOB, "uploaded": ["message/rfc822", 132], "made": [True, True],
                "view": [1, "Grüße", [{"name": "Zoë", "email": "zoe@there.test"}], {"$seen": True}, "At the lake.\n", 1, "At the <mark>lake</mark>."],
                "octets": True, "changes": [1, True, [], False], "sent": [True, {}],
                "trouble": ["accountNotFound", "unsupportedFilter", "unknownMethod", "urn:ietf:params:jmap:error:unknownCapability", "about:blank"],
            })
            for who, box, found in ((BOB, "Lake", b"FLAGS (\\Flagged \\Recent)"), (BOB, "Sent", b"From a jam jar"), ("ann@here.test", "INBOX", b"From a jam jar")):
                there = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
                there.login(who, server.password)
                there.select(box, readonly=True)
                self.assertIn(found, b"".join(piece for part in there.fetch("1", "(FLAGS ENVELOPE)")[1] for piece in (part if isinstance(part, tuple) else [part])))
                there.logout()


if __name__ == "__main__":
    unittest.main(verbosity=2)
