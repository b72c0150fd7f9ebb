"""The parts of the bench: each runs the same work on both sides in turn (ours, theirs, ours, theirs ...).

A part adds what it measured to `rows.Values`; medians are taken there. Every delivery is verified, octet by octet.
"""

import imaplib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "3"))
# On a busy machine no part begins another round after so many seconds, so that all of it has an end.
ROUND_SECS = 60
USERS = 50
BOX = 10_000
BIG = 100_000
SYNCS_SETTLE_SECS = 3
SYNC_CALLS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync"


class Bench:
    """What every part is given: the generator, both sides, and where the values go."""

    def __init__(self, program, medium, ours, peers, values, quick):
        self.program, self.medium, self.values = program, medium, values
        self.sides = [ours, peers]
        self.quick = quick

    def turns(self):
        """The rounds of a part."""
        begun = time.monotonic()
        for turn in range(1 if self.quick else ROUNDS):
            if turn == 0 or time.monotonic() - begun < ROUND_SECS:
                yield turn

    def add(self, part, side, **values):
        self.values.add(self.medium, part, side.name, **values)

    def scaled(self, count):
        """Fewer for a quick look."""
        return max(1, count // 5) if self.quick else count

    def run(self, command, *arguments, seconds=300):
        """One command of the generator; its JSON."""
        return self.result(self.begin(command, *arguments), seconds)

    def begin(self, command, *arguments):
        line = [self.program, command, *map(str, arguments)]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def result(process, seconds=300):
        try:
            out, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"{' '.join(process.args[1:])}: not done in {seconds} s") from None
        try:
            answer = json.loads(out)
        except ValueError:
            raise AssertionError(f"{' '.join(process.args[1:])}: {out[-500:]}{errors[-500:]}") from None
        if process.returncode != 0 or "error" in answer:
            raise AssertionError(f"{' '.join(process.args[1:])}: {answer.get('error')} {errors[-500:]}")
        return answer


def at(side, name):
    return f"127.0.0.1:{side.ports[name]}"


def roots(side, smtp=True):
    return ",".join(str(pid) for pid in side.pids(smtp))


def deliver(bench, side, *more, via="smtp", count=3000, conc=16, verify="full", seed=1):
    """Deliveries, each looked for afterwards; anything lost, doubled or altered ends the bench."""
    seen = bench.run("smtp-deliver", f"--{via}", at(side, via), "--imap", at(side, "imap"), "--n", count, "--conc", conc, "--verify", verify,
                     "--seed", seed, "--pids", roots(side, via == "smtp"), *more)
    if verify != "none":
        assert seen["all_there"] is True, f"{side.name}: not every message is there once and as it was sent: {seen}"
    return seen


def part_deliver(bench):
    count = bench.scaled(3000)
    for turn in bench.turns():
        for side in bench.sides:
            seen = deliver(bench, side, "--users", USERS, count=count, seed=100 + turn)
            bench.add("deliver", side, visible=seen["visible_per_s"], accepted=seen["accepted_per_s"], final_p50=seen["final_reply"]["p50_ms"],
                      final_p99=seen["final_reply"]["p99_ms"], cpu=seen["server"]["server_cpu_ms_per_op"])
        for side in bench.sides:
            seen = deliver(bench, side, "--users", USERS, count=count, seed=200 + turn, via="lmtp")
            bench.add("deliver", side, visible_lmtp=seen["visible_per_s"], final_p99_lmtp=seen["final_reply"]["p99_ms"],
                      cpu_lmtp=seen["server"]["server_cpu_ms_per_op"])


def descendants(pids):
    """These processes and all that come from them."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found = []
    todo = list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def counted_syncs(side, work):
    """How many syncs the side asked the kernel for while `work` ran, as strace sees them. What was done before has its syncs behind it
    (an index folds its log when nothing came for a while); those that this work leaves for later are counted with it."""
    time.sleep(SYNCS_SETTLE_SECS)
    with tempfile.TemporaryDirectory(prefix="bench-strace-") as folder:
        out = os.path.join(folder, "calls")
        line = ["strace", "-f", "-qq", "-e", f"trace={SYNC_CALLS}", "-e", "signal=none", "-o", out]
        for pid in descendants(side.pids()):
            line += ["-p", str(pid)]
        strace = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            work()
            time.sleep(SYNCS_SETTLE_SECS)
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(30)
        with open(out) as f:
            return sum(1 for line in f if re.search(rf"\b({SYNC_CALLS.replace(',', '|')})\(", line))


def part_syncs(bench):
    """strace slows every call down, so this is apart from what is timed."""
    for turn in bench.turns():
        for side in bench.sides:
            for conc, count in ((16, 480), (1, 300)):
                work = lambda: deliver(bench, side, "--users", USERS, "--per-conn", count, count=count, conc=conc, seed=300 + 10 * turn + conc)  # noqa: E731, B023
                bench.add("syncs", side, **{f"syncs{conc}": counted_syncs(side, work) / count})


def phases(bench, side, login, names, runs, part, wanted):
    """One `imap-fetch`, its values under our names: {ours: (phase, field)}."""
    seen = bench.run("imap-fetch", "--imap", at(side, "imap"), "--login", login, "--runs", runs, "--phases", names, "--pids", roots(side, False))["phases"]
    bench.add(part, side, **{name: seen.get(phase, {}).get(field) for name, (phase, field) in wanted.items()})


def disk_bytes(side):
    """What the side's mail takes on the disk, by blocks."""
    total = 0
    for folder, _, files in os.walk(side.mail_folder()):
        for name in [".", *files]:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


BOX_PHASES = {
    "select_first": ("select", "first_ms"), "flags": ("fetch_flags_uid", "median_ms"),
    "envelope_first": ("fetch_envelope", "first_ms"), "structure_first": ("fetch_bodystructure", "first_ms"),
    "full": ("fetch_full", "mb_per_s"), "body": ("random_fetch_body", "p50_ms"), "header": ("random_fetch_header", "p50_ms"),
    "store": ("store_one", "p50_ms"), "store_all": ("store_all", "median_ms"), "append_8k": ("append_8k", "p50_ms"),
    "copy": ("copy_1000", "median_ms"), "move": ("move_1000", "median_ms"), "expunge": ("expunge_1000", "median_ms"),
    "expunge_one": ("expunge_one", "p50_ms"), "body_p99": ("random_fetch_body", "p99_ms"), "store_p99": ("store_one", "p99_ms"),
    "append_8k_p99": ("append_8k", "p99_ms"),
}
# The same in a mailbox of a hundred thousand, as far as it is other work there.
BIG_PHASES = {name: BOX_PHASES[name] for name in ("body", "store", "store_all", "append_8k", "copy", "move", "expunge", "expunge_one")}


def part_boxes(bench):
    """Mailboxes filled by APPEND, read by IMAP (the first time with cold caches) and by POP3. The first part, on fresh
    disks, so that what they take is all these messages'."""
    count = bench.scaled(BOX)
    before = {side.name: disk_bytes(side) for side in bench.sides}
    sent, filled = 0, []
    for turn in bench.turns():
        for side in bench.sides:
            seen = bench.run("imap-load", "--imap", at(side, "imap"), "--login", f"box{turn}@bench.test", "--n", count, "--pids", roots(side, False),
                             "--seed", 400 + turn)
            bench.add("boxes", side, append=seen["appends_per_s"], append_cpu=seen["server"]["server_cpu_ms_per_op"])
        sent += seen["bytes"]
        filled.append(f"box{turn}@bench.test")
    for login in filled:
        indexed(bench.sides[0], login)
    for side in bench.sides:
        bench.add("boxes", side, disk=(disk_bytes(side) - before[side.name]) / sent)
    for login in filled:
        for side in bench.sides:
            phases(bench, side, login, "select,flags,envelope,bodystructure,full,random,store,append,copy,expunge", 2, "boxes", BOX_PHASES)
        for side in bench.sides:
            phases(bench, side, login, "envelope,bodystructure", 3, "boxes",
                   {"envelope": ("fetch_envelope", "median_ms"), "structure": ("fetch_bodystructure", "median_ms")})
        for side in bench.sides:
            for window in (1, 8):
                seen = bench.run("pop-download", "--pop", at(side, "pop3"), "--login", login, "--runs", 1, "--window", window, "--pids", roots(side, False))
                bench.add("boxes", side, **{f"pop{window}": seen["mb_per_s"]})
                if window == 1:
                    bench.add("boxes", side, pop_first=seen["login_stat_uidl"]["p50_ms"])


def grow(side, login, to):
    """Fills a mailbox by copying its messages within it: a quick way to many."""
    with imaplib.IMAP4("127.0.0.1", side.ports["imap"], timeout=300) as c:
        c.login(login, "bench")
        have = int(c.select("INBOX")[1][0])
        while have < to:
            more = min(1000, have, to - have)
            kind, said = c.copy(f"1:{more}", "INBOX")
            assert kind == "OK", said
            have += more


def part_big(bench):
    """The same work in a mailbox of a hundred thousand."""
    big, small, size = "big@bench.test", "small@bench.test", bench.scaled(BIG)
    for side in bench.sides:
        bench.run("imap-load", "--imap", at(side, "imap"), "--login", big, "--n", 1000, "--seed", 500)
        grow(side, big, size)
    for turn in bench.turns():
        for side in bench.sides:
            cpu = {}
            for login in (small, big):
                seen = deliver(bench, side, "--users", 1, "--rcpt", login, "--login", login, count=bench.scaled(1500), seed=510 + turn, via="lmtp")
                cpu[login] = seen["server"]["server_cpu_ms_per_op"]
            bench.add("big", side, visible=seen["visible_per_s"], cpu=cpu[big], slower=cpu[big] / max(cpu[small], 0.01))
    for turn in bench.turns():
        for side in bench.sides:
            if turn == 0:
                phases(bench, side, big, "select,flags,envelope,bodystructure", 1, "big", {
                    "select_first": ("select", "first_ms"), "envelope_first": ("fetch_envelope", "first_ms"),
                    "structure_first": ("fetch_bodystructure", "first_ms")})
            phases(bench, side, big, "select,flags,envelope,bodystructure", 1, "big", {
                "select": ("select", "median_ms"), "flags": ("fetch_flags_uid", "median_ms"),
                "envelope": ("fetch_envelope", "median_ms"), "structure": ("fetch_bodystructure", "median_ms")})
    for side in bench.sides:
        phases(bench, side, big, "random,store,append,copy,expunge", 2, "big", BIG_PHASES)
    # As in part_syncs: where a sync costs something. On a RAM disk none waits for another's.
    for side in bench.sides if bench.medium == "disk" else ():
        work = lambda: deliver(bench, side, "--users", 1, "--rcpt", big, "--login", big, count=320, seed=540, via="lmtp")  # noqa: E731, B023
        bench.add("big", side, syncs=counted_syncs(side, work) / 320)


SEARCHES = {
    "subject": "search_subject", "from": "search_from", "header": "search_header", "text": "search_text",
    "arrival": "sort_arrival", "by_subject": "sort_subject", "thread": "thread_references",
}


def indexed(side, login, seconds=600):
    """Waits until the search index has everything; how many octets it takes."""
    end = time.monotonic() + seconds
    while True:
        (account,) = json.loads(side.run("--json", "index", "status", login).stdout)["accounts"]
        if account["behind"] == 0:
            return account["size_bytes"]
        assert time.monotonic() < end, f"the search index is still behind: {account}"
        time.sleep(0.2)


def part_search(bench):
    """Ten thousand and a hundred thousand messages: searched, sorted, threaded. Both sides must find the same number."""
    login, sent = "find@bench.test", 0
    for side in bench.sides:
        sent = bench.run("imap-load", "--imap", at(side, "imap"), "--login", login, "--n", bench.scaled(5000), "--seed", 700)["bytes"]
    bench.add("search", bench.sides[0], size=100 * indexed(bench.sides[0], login) / sent)
    for size, much in ((bench.scaled(10_000), "10k"), (bench.scaled(BIG), "100k")):
        for side in bench.sides:
            grow(side, login, size)
        indexed(bench.sides[0], login)
        hits = {}
        for side in bench.sides:
            seen = bench.run("imap-fetch", "--imap", at(side, "imap"), "--login", login, "--runs", 3, "--phases", "select,search,sort",
                             "--pids", roots(side, False), seconds=900)["phases"]
            for metric, phase in SEARCHES.items():
                if phase in seen:
                    bench.add("search", side, **{f"{metric}_{much}": seen[phase]["median_ms"], f"{metric}_first_{much}": seen[phase]["first_ms"]})
            hits[side.name] = {phase: seen[phase].get("hits", 0) for phase in SEARCHES.values() if phase.startswith("search_")}
        assert hits["ours"] == hits["peers"], f"the sides do not find the same: {hits}"


def part_mixed(bench):
    """Fifty people's mailboxes, used as mail programs use them."""
    for side in bench.sides:
        bench.run("imap-load", "--imap", at(side, "imap"), "--login", "m{}@bench.test", "--users", USERS, "--n", bench.scaled(200), "--conc", 4, "--seed", 600)
    # As a server stands that was not filled this minute; what is appended meanwhile is searched without the index.
    for user in range(USERS):
        indexed(bench.sides[0], f"m{user}@bench.test")
    for _ in bench.turns():
        for clients in (10, 50):
            for side in bench.sides:
                seen = bench.run("imap-mixed", "--imap", at(side, "imap"), "--login", "m{}@bench.test", "--users", USERS, "--conc", clients,
                                 "--secs", 2 if bench.quick else 5, "--pids", roots(side, False))
                bench.add("mixed", side, **{f"ops{clients}": seen["ops_per_s"], f"p99_{clients}": seen["all"]["p99_ms"],
                                            f"cpu{clients}": seen["server"]["server_cpu_ms_per_op"]})


def part_logins(bench):
    """People who signed in a moment ago sign in again; ten at a time."""
    for side in bench.sides:
        bench.run("connect", "--imap", at(side, "imap"), "--proto", "imap", "--n", 2 * USERS, "--conc", 10, "--users", USERS)
        bench.run("connect", "--pop", at(side, "pop3"), "--proto", "pop", "--n", 2 * USERS, "--conc", 10, "--users", USERS)
    count = bench.scaled(2000)
    for _ in bench.turns():
        for metric, where in (("imap", ["--proto", "imap"]), ("imaps", ["--proto", "imap", "--tls", "implicit"]), ("pop3", ["--proto", "pop"])):
            for side in bench.sides:
                seen = bench.run("connect", *where, "--pop" if metric == "pop3" else "--imap", at(side, metric), "--n", count, "--conc", 10,
                                 "--users", USERS, "--pids", roots(side, False))
                bench.add("logins", side, **{metric: seen["logins_per_s"], f"{metric}_cpu": seen["server"]["server_cpu_ms_per_op"]})


def pss_mb(side):
    total = 0
    for pid in descendants(side.pids()):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total / 1000


def idle(bench, side, secure, settle_ms, deliveries):
    # Dovecot stops pushing past 128 connections of one kernel user (fs.inotify.max_user_instances).
    conc = 500 if side.name == "ours" else 90
    where = ["--imap", at(side, "imaps"), "--tls", "implicit"] if secure else ["--imap", at(side, "imap")]
    return bench.begin("imap-idle", *where, "--users", USERS, "--conc", conc, "--n", deliveries, "--settle-ms", settle_ms, "--quiet-ms", 500,
                       "--lmtp", at(side, "lmtp"), "--pids", roots(side))


def part_idle(bench):
    """Fresh processes each time, so that no earlier load hides in what memory is still held."""
    settle_ms = 3_000 if bench.quick else 30_000
    for metric, secure in (("plain_kb", False), ("tls_kb", True)):
        for side in bench.sides:
            side.stop()
            side.start()
            # Everybody once, so that what a first sign-in costs is not counted as a connection's.
            bench.run("connect", "--imap", at(side, "imap"), "--proto", "imap", "--n", USERS, "--conc", 4, "--users", USERS)
        time.sleep(5)
        if not secure:
            for side in bench.sides:
                bench.add("idle", side, warm=pss_mb(side))
        begun = [(side, idle(bench, side, secure, settle_ms, 0)) for side in bench.sides]
        for side, process in begun:
            bench.add("idle", side, **{metric: bench.result(process)["pss_kb_per_connection"]})


def part_push(bench):
    """From MAIL FROM until EXISTS reaches an idle session of the recipient."""
    for _ in bench.turns():
        for side in bench.sides:
            seen = bench.result(idle(bench, side, False, 500, bench.scaled(300) if side.name == "ours" else 10))
            assert seen["not_pushed_in_40s"] == 0, seen
            bench.add("push", side, push_p50=seen["push_from_mail_from"]["p50_ms"], push_p99=seen["push_from_mail_from"]["p99_ms"])


class Sink:
    """Postfix's smtp-sink, which takes everything and counts."""

    def __init__(self, port):
        self.port, self.file = port, tempfile.TemporaryFile()

    def __enter__(self):
        command = ["/usr/sbin/smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1000"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.file, stderr=subprocess.STDOUT)
        lab.wait_for("smtp-sink", self.answers)
        return self

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return bool(s.recv(1))
        except OSError:
            return False

    def messages(self):
        self.file.seek(max(0, self.file.seek(0, os.SEEK_END) - 4096))
        found = re.findall(rb"mesg=(\d+)", self.file.read())
        return int(found[-1]) if found else 0

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.file.close()


def part_relay(bench):
    """From smtp-source through the queue to smtp-sink: accepted durably, sent on, settled."""
    count = bench.scaled(5000)
    for _ in bench.turns():
        for side in bench.sides:
            with Sink(side.sink) as sink:
                begun = time.monotonic()
                subprocess.run(["/usr/sbin/smtp-source", "-s", "16", "-m", str(count), "-l", "4000", "-f", "from@elsewhere.test",
                                "-t", side.relayed, at(side, "smtp")], check=True, timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                lab.wait_for(f"{side.name}: all at smtp-sink", lambda: sink.messages() >= count, 300, 0.02)
                bench.add("relay", side, relay=count / (time.monotonic() - begun))
                time.sleep(1)
                assert sink.messages() == count, f"{side.name}: {sink.messages()} of {count} at smtp-sink"


def part_background(bench):
    import background  # it stands on this module

    background.part_background(bench)


def part_frequent(bench):
    import frequent  # it stands on this module

    frequent.part_frequent(bench)


# In this order. The memory of a server nobody has used is measured by the bench itself, before anything is done.
PARTS = {
    "boxes": part_boxes, "deliver": part_deliver, "syncs": part_syncs, "big": part_big, "search": part_search, "frequent": part_frequent, "mixed": part_mixed,
    "push": part_push, "relay": part_relay, "logins": part_logins, "idle": part_idle, "background": part_background,
}
# What a RAM disk changes; the others are measured once, on disk.
ON_SHM = ("boxes", "deliver", "big", "search", "mixed", "push", "relay")
