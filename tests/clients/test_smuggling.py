"""Nobody smuggles a message through us and a neighbour, in either direction; and Dovecot's LMTP as the mailbox behind us."""

import unittest

import lab
import smuggling
from dovecot import Dovecot
from test_clients import inbox, send
from test_neighbours import Postfix


class Smuggling(unittest.TestCase):
    def test_nothing_is_smuggled_through_postfix_to_us(self):
        with lab.Server(accounts=["ann"]) as server, Postfix("there.test", [("here.test", server.ports["smtp"])]) as postfix:
            taken, _ = smuggling.cross(postfix.port, "carol@there.test", "ann@here.test", lambda: inbox(server, "ann"))
            self.assertGreater(sum(taken.values()), 3)

    def test_nothing_is_smuggled_through_us_to_postfix(self):
        with Postfix("there.test") as postfix:
            extra = f'[outbound.routes."there.test"]\nhost = "127.0.0.1"\nport = {postfix.port}\ntls = "opportunistic"\n'
            with lab.Server(accounts=["ann"], extra=extra) as server:
                login = ("ann@here.test", server.password)
                taken, _ = smuggling.cross(server.ports["submission"], "ann@here.test", "carol@there.test", postfix.mails, login, refuses=False)
                self.assertGreater(sum(taken.values()), 8, taken)

    def test_dovecot_is_the_mailbox_behind_us(self):
        with Dovecot() as dovecot:
            for host in (f'"127.0.0.1"\nport = {dovecot.ports["lmtp"]}', f'"unix:{dovecot.lmtp_socket()}"'):
                extra = f'[outbound.routes."box.test"]\nlmtp = true\nhost = {host}\n'
                with lab.Server(accounts=["ann"], extra=extra) as server:
                    before = len(dovecot.mails("dora"))
                    send(server, lab.message("ann@here.test", "dora@box.test", "For the box", lab.ATTACHMENTS), to=["dora@box.test", "emil@box.test"])
                    mail = lab.wait_for("mail in Dovecot", lambda: (m := dovecot.mails("dora")) and len(m) == before + 1 and m, 60)
                    lab.assert_attachments(mail[-1], lab.ATTACHMENTS)
                    lab.wait_for("the other's", lambda: dovecot.mails("emil"), 60)
                    if before == 0:
                        login = ("ann@here.test", server.password)
                        taken, _ = smuggling.cross(server.ports["submission"], "ann@here.test", "fritz@box.test", lambda: dovecot.mails("fritz"), login, refuses=False)
                        self.assertGreater(sum(taken.values()), 8, taken)


if __name__ == "__main__":
    unittest.main()
