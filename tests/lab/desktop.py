"""A desktop in memory: an X display, a D-Bus session with its services, and the accessibility tree of every program on it.

What a screen reader is told is what is read here, and what it may do is done: the programs are not altered and know of nothing.
"""

import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from marionette import Display  # noqa: E402

# For Debian's own Python, which has the library. That is bound to one session for a process's life, so it has a process of its own in each.
EYES = r'''
import json, sys
import pyatspi

def text_of(node):
    try:
        text = node.queryText()
        return text.getText(0, text.characterCount)
    except NotImplementedError:
        return ""

def walk(node, depth=0):
    """Every node that answers: a window may close while it is read."""
    yield node
    if depth > 40:
        return
    try:
        count = min(node.childCount, 400)
    except Exception:
        return
    for i in range(count):
        try:
            child = node.getChildAtIndex(i)
        except Exception:
            continue
        if child is not None:
            yield from walk(child, depth + 1)

def windows():
    for program in pyatspi.Registry.getDesktop(0):
        try:
            yield from [top for top in program or () if top is not None]
        except Exception:
            continue

def nodes(window):
    for top in windows():
        try:
            wanted = window is None or window in top.name
        except Exception:
            continue
        if wanted:
            yield from walk(top)

def found(order):
    for node in nodes(order.get("window")):
        try:
            if order.get("role") not in (None, node.getRoleName()):
                continue
            if order.get("name") not in (None, node.name) or order.get("text") not in (None, text_of(node)):
                continue
            if "holds" in order and order["holds"] not in node.name and order["holds"] not in text_of(node):
                continue
            yield node
        except Exception:
            continue

def told(node):
    try:
        action, place = [], None
        if "Action" in node.get_interfaces():
            actions = node.queryAction()
            action = [actions.getName(i) for i in range(actions.nActions)]
        if "Component" in node.get_interfaces():
            box = node.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
            place = [box.x, box.y, box.width, box.height]
        return {"role": node.getRoleName(), "name": node.name, "text": text_of(node), "actions": action, "place": place}
    except Exception:
        return None

def perform(order):
    what = order["do"]
    if what == "windows":
        return [top.name for top in windows()]
    matches = list(found(order))
    if what == "look":
        return list(filter(None, map(told, matches)))
    if not matches:
        return False
    node = matches[0]
    if what == "press":
        return bool(node.queryAction().doAction(order.get("action", 0)))
    if what == "write":
        return bool(node.queryEditableText().setTextContents(order["words"]))
    raise ValueError(what)

for line in sys.stdin:
    try:
        answer = {"value": perform(json.loads(line))}
    except Exception as e:
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
'''


# A desktop on a busy machine takes its time.
PATIENCE = 120


class Desktop:
    """`with Desktop(home) as desk: desk.begin("evolution"); desk.look(name="Reply")`. Nothing of it is outside `home`."""

    def __init__(self, home):
        self.home = home
        self.programs = []
        self.log = open(os.path.join(home, "desktop.log"), "ab")

    def __enter__(self):
        self.display = Display().__enter__()
        run = os.path.join(self.home, "run")
        os.mkdir(run, 0o700)
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("XDG_")},
                    "DISPLAY": self.display.name, "HOME": self.home, "XDG_RUNTIME_DIR": run, "LC_ALL": "C.UTF-8", "GDK_BACKEND": "x11",
                    "GTK_USE_PORTAL": "0", "GIO_USE_VFS": "local", "GSETTINGS_BACKEND": "keyfile", "XDG_CURRENT_DESKTOP": "GNOME"}
        try:
            self.bus()
            self.keyring()
            self.eyes = subprocess.Popen(["/usr/bin/python3", "-c", EYES], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def bus(self):
        """The session's bus; what it starts by itself belongs to its process group."""
        read, write = os.pipe()
        self.session = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--print-address={write}"], pass_fds=[write],
                                        env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        os.close(write)
        with os.fdopen(read) as f:
            self.env["DBUS_SESSION_BUS_ADDRESS"] = f.readline().strip()
        assert self.env["DBUS_SESSION_BUS_ADDRESS"], "no session bus"

    def keyring(self):
        """A Secret Service that is open: its keyring has an empty password."""
        done = subprocess.run(["gnome-keyring-daemon", "--unlock", "--components=secrets"], input=b"\n", env=self.env, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr.decode()

    def begin(self, *command, **env):
        program = subprocess.Popen(command, env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.programs.append(program)
        return program

    # ---- what is seen and done

    def ask(self, do, **order):
        self.eyes.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.eyes.stdin.flush()
        answer = json.loads(self.eyes.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{do} {order}: {answer['error']}")
        return answer["value"]

    def look(self, **order):
        """Every node on the screen that fits: `window`, `role`, `name` and `text` (exactly), `holds` (a part of either)."""
        return self.ask("look", **order)

    def see(self, seconds=PATIENCE, **order):
        try:
            return lab.wait_for(f"{order} on the screen", lambda: self.look(**order), seconds, every=0.3)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}; windows: {self.ask('windows')}") from e

    def press(self, seconds=PATIENCE, **order):
        return lab.wait_for(f"{order} to press", lambda: self.ask("press", **order), seconds, every=0.3)

    def x(self, *words):
        return subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, timeout=60).stdout

    def click(self, node):
        """A click of the mouse near the beginning of what `look` gave."""
        x, y, width, height = node["place"]
        self.x("mousemove", str(x + min(10, width // 2)), str(y + height // 2), "click", "1")

    def windows(self, title):
        return self.x("search", "--onlyvisible", "--name", title).split()

    def focus(self, title):
        """Gives the newest window of that title the focus: there is no window manager. One that is not shown yet cannot have it."""
        def has_it():
            found = self.windows(title)[-1:]
            self.x("windowfocus", *found) if found else None
            return found and self.x("getwindowfocus").split() == found
        lab.wait_for(f"a window {title} with the focus", has_it, PATIENCE, every=0.3)

    def type(self, title, text):
        self.focus(title)
        self.x("type", "--delay", "20", text)

    def key(self, title, key):
        self.focus(title)
        self.x("key", key)

    # ---- its end

    def everyone(self):
        """Processes of this session: those that have its runtime folder in their environment."""
        mark = f"XDG_RUNTIME_DIR={self.env['XDG_RUNTIME_DIR']}\0".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if mark in f.read():
                        yield int(pid)
            except OSError:
                pass

    def __exit__(self, *why):
        if getattr(self, "eyes", None):
            self.eyes.stdin.close()
        for signal in (15, 9):
            for pid in self.everyone():
                try:
                    os.kill(pid, signal)
                except OSError:
                    pass
            end = time.monotonic() + 10
            while any(self.everyone()) and time.monotonic() < end:
                for program in [*self.programs, getattr(self, "session", None), getattr(self, "eyes", None)]:
                    if program:
                        program.poll()
                time.sleep(0.1)
        self.log.close()
        self.display.__exit__(*why)

    def words(self):
        """What the programs said on their standard output, for a test that failed."""
        self.log.flush()
        with open(os.path.join(self.home, "desktop.log"), "rb") as f:
            return re.sub(rb"\n+", b"\n", f.read())[-8000:].decode("utf-8", "replace")
