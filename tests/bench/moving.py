#!/usr/bin/env python3
"""Moving house measured: COUNT messages out of one Dovecot by IMAP (beside mbsync) and by POP3 (beside fetchmail), each in the
same run on the same messages; the import's peak memory, also for a tenth of the messages; and an import that is killed (-9)
again and again and begun anew. mbsync is measured twice: as it comes (it syncs each message to disk), and told not to (`FSync no`).

    python3 tests/bench/moving.py --count 200000 --pop-count 100000        # PACKETBOAT=path of a release binary

Prints one line of JSON. Wants Debian's dovecot-imapd, dovecot-pop3d, isync and fetchmail.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))
import lab  # noqa: E402
from dovecot import PASSWORD, Dovecot  # noqa: E402
from test_moving import imap  # noqa: E402


def fill(old, user, count, seed):
    """A Maildir of mail of usual sizes (the median is 4 KB), as Dovecot keeps it."""
    chance = random.Random(seed)
    base = os.path.join(old.dir, "mail", user, "Maildir")
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(base, part), exist_ok=True)
    words = [hashlib.sha256(bytes([n])).hexdigest()[: 3 + n % 9] for n in range(256)]
    for n in range(count):
        size = min(200_000, int(chance.lognormvariate(8.3, 1.0)))
        text = " ".join(chance.choices(words, k=12)) + "\r\n"
        body = (text * (size // len(text) + 1))[:size]
        head = f"From: b{n % 97}@there.test\r\nTo: ann@here.test\r\nSubject: message {n}\r\nMessage-ID: <{seed}.{n}@there.test>\r\nDate: Sun, 15 Nov 2026 10:00:00 +0000\r\n\r\n"
        flags = "S" if n % 3 else ""
        with open(os.path.join(base, "cur", f"{1700000000 + n}.{n:07d}.lab:2,{flags}"), "w", newline="") as f:
            f.write(head + body)
    for folder, folders, files in os.walk(os.path.join(old.dir, "mail")):
        for name in folders + files:
            shutil.chown(os.path.join(folder, name), "nobody", "nogroup")
    session = imap(old.ports["imap"], user)
    # Once through, so that nobody measures Dovecot's first look.
    assert session.select("INBOX")[1] == [str(count).encode()]
    session.fetch("1:*", "(UID RFC822.SIZE)")


def peak_of(process, peak):
    """Watches the peak of its resident memory (of the program itself, which its parent's is not part of)."""
    while process.returncode is None:
        try:
            with open(f"/proc/{process.pid}/status") as f:
                peak[0] = max([peak[0], *(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))])
        except OSError:
            return
        time.sleep(0.05)


def timed(words, stdin=None, env=None):
    """Seconds, and the peak of resident memory in MB."""
    begun = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
    peak = [0]
    watching = threading.Thread(target=peak_of, args=(process, peak))
    watching.start()
    process.stdin.write((stdin or "").encode())
    process.stdin.close()
    text = process.stdout.read().decode(errors="replace")
    process.wait()
    watching.join()
    if process.returncode not in (0, 1):
        raise SystemExit(f"{words}: {process.returncode}\n{text[-2000:]}")
    return time.monotonic() - begun, peak[0] / 1024, text


def words_of_import(server, source):
    return [lab.binary(), "import", source, "--account", "ann@here.test", "--password-stdin", "--json", "--config", server.config]


def imported(source, count):
    with lab.Server(accounts=("ann",), password=PASSWORD) as new:
        new.stop()
        seconds, memory, text = timed(words_of_import(new, source), PASSWORD + "\n")
        told = json.loads(text.splitlines()[-1])
        assert told["imported"] == count, told
        again, _, text = timed(words_of_import(new, source), PASSWORD + "\n")
        assert json.loads(text.splitlines()[-1])["imported"] == 0
        new.start()
        return {"seconds": round(seconds, 2), "per_second": round(count / seconds), "memory_mb": round(memory), "again_seconds": round(again, 2)}


def killed(source, count, kills, seconds):
    """Killed `kills` times on the way; the same command brings the rest, each message once."""
    with lab.Server(accounts=("ann",), password=PASSWORD) as new:
        new.stop()
        done = 0
        for n in range(kills):
            process = subprocess.Popen(words_of_import(new, source), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.stdin.write((PASSWORD + "\n").encode())
            process.stdin.close()
            time.sleep(seconds * (n + 1) / (kills * (kills + 1) / 2))
            done += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        timed(words_of_import(new, source), PASSWORD + "\n")
        new.start()
        session = imap(new.ports["imap"], "ann")
        exists = int(session.select("INBOX")[1][0])
        ids = [part[1] for part in session.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1] if isinstance(part, tuple)]
        return {"kills": done, "messages": exists, "twice": len(ids) - len(set(ids)), "missing": count - len(set(ids))}


def mbsync(old, count, sync):
    with tempfile.TemporaryDirectory() as folder:
        rc = os.path.join(folder, "rc")
        with open(rc, "w") as f:
            f.write(f"""FSync {"yes" if sync else "no"}

IMAPAccount old
Host 127.0.0.1
Port {old.ports["imap"]}
User ann
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account old

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
""")
        os.makedirs(os.path.join(folder, "mail"))
        seconds, memory, _ = timed(["mbsync", "-c", rc, "-a"])
        got = len(os.listdir(os.path.join(folder, "mail", "INBOX", "cur"))) + len(os.listdir(os.path.join(folder, "mail", "INBOX", "new")))
        assert got == count, got
        return {"seconds": round(seconds, 2), "per_second": round(count / seconds), "memory_mb": round(memory)}


def fetchmail(old, count):
    with tempfile.TemporaryDirectory() as folder:
        # It hands each message to a program: the cheapest there is.
        rc = lab.secret(folder, "rc", f"poll 127.0.0.1 service {old.ports['pop3']} protocol pop3 uidl auth password user ann password {PASSWORD} "
                        f'keep fetchall sslproto "" mda "/bin/cat >> {folder}/all"\n')
        seconds, memory, _ = timed(["fetchmail", "-f", rc, "--nodetach", "-s", "-i", os.path.join(folder, "ids")], env={"FETCHMAILHOME": folder})
        with open(os.path.join(folder, "all"), "rb") as f:
            got = sum(line.startswith(b"Message-ID:") or line.startswith(b"Message-Id:") for line in f)
        assert got == count, got
        return {"seconds": round(seconds, 2), "per_second": round(count / seconds), "memory_mb": round(memory)}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--count", type=int, default=200_000)
    arguments.add_argument("--pop-count", type=int, default=100_000)
    arguments.add_argument("--kills", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    told = {}
    with Dovecot() as old:
        fill(old, "ann", given.count, given.seed)
        fill(old, "bob", given.count // 10, given.seed + 2)
        place = f"127.0.0.1:{old.ports['imap']}"
        source = f"imap://ann@{place}"
        ours, tenth = imported(source, given.count), imported(f"imap://bob@{place}", given.count // 10)
        with_sync, without = mbsync(old, given.count, True), mbsync(old, given.count, False)
        told["imap"] = {"messages": given.count, "packetboat": ours, "a_tenth": tenth, "mbsync": with_sync, "mbsync_without_fsync": without}
        told["imap"]["times"] = round(with_sync["seconds"] / ours["seconds"], 1)
        told["imap"]["times_without_fsync"] = round(without["seconds"] / ours["seconds"], 1)
        told["imap"]["killed"] = killed(source, given.count, given.kills, told["imap"]["packetboat"]["seconds"])
    with Dovecot() as old:
        fill(old, "ann", given.pop_count, given.seed + 1)
        fill(old, "bob", given.pop_count // 10, given.seed + 3)
        place = f"127.0.0.1:{old.ports['pop3']}"
        source = f"pop3://ann@{place}"
        ours, tenth = imported(source, given.pop_count), imported(f"pop3://bob@{place}", given.pop_count // 10)
        told["pop3"] = {"messages": given.pop_count, "packetboat": ours, "a_tenth": tenth, "fetchmail": fetchmail(old, given.pop_count)}
        told["pop3"]["times"] = round(told["pop3"]["fetchmail"]["seconds"] / ours["seconds"], 1)
        told["pop3"]["killed"] = killed(source, given.pop_count, given.kills, ours["seconds"])
    print(json.dumps(told))


main()
