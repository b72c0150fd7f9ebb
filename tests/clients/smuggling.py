"""One message sent, one message arrived: everything that one of two servers could take for the end of a message.

Behind each such ending stand commands and a second message. Where both servers see the same end, a message that was answered once
arrives once (or is refused), whatever it holds; a second one that nobody was answered for has been smuggled
(https://smtpsmuggling.com). Used with each neighbour, in both directions.
"""

import base64
import re
import socket

import lab

ENDINGS = {
    "lf.lf": b"\n.\n", "lf.crlf": b"\n.\r\n", "crlf.lf": b"\r\n.\n", "cr.cr": b"\r.\r", "crlf.cr": b"\r\n.\r", "cr.crlf": b"\r.\r\n", "lf.cr": b"\n.\r",
    "cr.lf": b"\r.\n", "crlf.crcrlf": b"\r\n.\r\r\n", "crcrlf.crlf": b"\r\r\n.\r\n", "nul.crlf": b"\r\n\x00.\r\n", "crlf.nul": b"\r\n.\x00\r\n", "stuffed": b"\r\n..\r\n",
}
ANSWERED = re.compile(rb"^250 (?:2\.0\.0 )?(?:Ok: queued|OK id=|\S+ accepted|\S+ Message accepted|Ok\. [0-9A-F]+\.)", re.M)


def attempt(port, name, sender, recipient, login=None):
    """Sends it; how many messages were answered as taken."""
    ending = ENDINGS[name]
    body = (f"From: {sender}\r\nTo: {recipient}\r\nSubject: outer {name}\r\n\r\nfirst".encode() + ending
            + f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\nFrom: {sender}\r\nSubject: inner {name}\r\n\r\nsecond\r\n.\r\n".encode())
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        file = s.makefile("rb")

        def reply():
            while (line := file.readline()) and line[3:4] == b"-":
                pass
            return line

        def say(line):
            s.sendall(line.encode() + b"\r\n")
            return reply()

        reply()
        say("EHLO client.test")
        if login:
            assert say("AUTH PLAIN " + base64.b64encode(f"\0{login[0]}\0{login[1]}".encode()).decode()).startswith(b"235")
        for line, code in ((f"MAIL FROM:<{sender}>", b"250"), (f"RCPT TO:<{recipient}>", b"250"), ("DATA", b"354")):
            answer = say(line)
            assert answer.startswith(code), (line, answer)
        s.sendall(body)
        s.sendall(b"QUIT\r\n")
        try:
            heard = b"".join(iter(lambda: file.read(65536), b""))
        except OSError:
            heard = b""
    return len(ANSWERED.findall(heard))


def cross(port, sender, recipient, arrived, login=None, refuses=True):
    """Every ending once; `arrived()` is the mail at the far end, as octets. `refuses`: the far end may refuse what the near one took."""
    taken = {name: attempt(port, name, sender, recipient, login) for name in ENDINGS}
    # The last one is plain: when it is there, all before it had their time.
    assert taken["stuffed"] == 1, taken

    def subjects():
        found = (re.search(rb"^Subject: (\w+ \S+)", head(mail), re.M) for mail in arrived())
        return [m.group(1).decode() for m in found if m]

    # Courier, on a busy machine, takes more than a minute to work off what it took.
    lab.wait_for("the last message", lambda: "outer stuffed" in subjects(), 240)
    expected = sum(taken.values())
    try:
        lab.wait_for("all of them", lambda: len(subjects()) >= expected, 5 if refuses else 60)
    except AssertionError:
        if not refuses:
            raise
    found = subjects()
    for name, count in taken.items():
        here = sum(subject.endswith(" " + name) for subject in found)
        assert here <= count, f"{name}: answered {count} times, arrived {here} times"
    return taken, found


def head(mail):
    return mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0]
