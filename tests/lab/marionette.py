"""A Thunderbird of its own under Xvfb, driven through Marionette, its own remote protocol (length-prefixed JSON)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402


class Display:
    """An X display in memory."""

    def __enter__(self):
        read, write = os.pipe()
        self.process = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
                                        pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        number = ""
        # Up to its newline: it writes in pieces, and dies of a pipe that closed between them.
        while not number.endswith("\n"):
            piece = os.read(read, 16).decode()
            if not piece:
                break
            number += piece
        os.close(read)
        number = number.strip()
        if not number:
            raise AssertionError("Xvfb did not start")
        self.name = f":{number}"
        return self

    def __exit__(self, *why):
        self.process.terminate()
        self.process.wait()


class Thunderbird:
    """`script` runs JavaScript with the program's own rights; what it returns comes back as a value."""

    def __init__(self, display, prefs, certificate):
        self.display, self.certificate = display, certificate
        self.profile = tempfile.mkdtemp(prefix="packetboat-thunderbird-")
        self.port = lab.free_port()
        prefs = {"marionette.port": self.port, "mail.provider.suppress_dialog_on_startup": True, "mail.spotlight.firstRunDone": True,
                 "mail.winsearch.firstRunDone": True, "mail.shell.checkDefaultClient": False, "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
                 "app.update.enabled": False, "mailnews.start_page.enabled": False, "mail.rights.version": 1, "browser.policies.testing.disallowEnterprise": True,
                 "app.donation.eoy.version.viewed": 999, "mail.inappnotifications.enabled": False, "toolkit.telemetry.enabled": False, **prefs}
        with open(os.path.join(self.profile, "user.js"), "w") as f:
            f.writelines(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items())
        self.number = 0

    def __enter__(self):
        self.log = open(os.path.join(self.profile, "log"), "wb")
        self.process = subprocess.Popen(["thunderbird", "--profile", self.profile, "--no-remote", "--marionette", "--remote-allow-system-access"],
                                        env={**os.environ, "DISPLAY": self.display.name, "HOME": self.profile, "MOZ_DISABLE_CONTENT_SANDBOX": "1", "LC_ALL": "C.UTF-8"},
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        try:
            self.socket = lab.wait_for("Marionette", self.connect, 90)
            self.receive()
            self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
            self.command("Marionette:SetContext", {"value": "chrome"})
            self.command("WebDriver:SetTimeouts", {"script": 60000})
            lab.wait_for("its window", lambda: self.script("return Services.wm.getMostRecentWindow('mail:3pane')?.document.readyState == 'complete'"), 60)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def connect(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.profile, "log")) as f:
                raise AssertionError("Thunderbird ended:\n" + f.read()[-3000:])
        try:
            return socket.create_connection(("127.0.0.1", self.port), timeout=90)
        except OSError:
            return None

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            octet = self.socket.recv(1)
            if not octet:
                raise AssertionError("Marionette hung up")
            length += octet
        size, text = int(length[:-1]), b""
        while len(text) < size:
            text += self.socket.recv(size - len(text))
        return json.loads(text)

    def command(self, name, parameters):
        self.number += 1
        text = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(str(len(text)).encode() + b":" + text)
        _, _, error, value = self.receive()
        if error:
            raise AssertionError(f"{name}: {error['error']}: {error['message']}\n{error.get('stacktrace', '')[:1500]}")
        return value

    def script(self, text, *arguments):
        """The body of an async function: `return` gives the value."""
        body = f"""
const resolve = arguments[arguments.length - 1];
const args = arguments[0];
const {{ MailServices }} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
(async () => {{ {text} }})().then(v => resolve({{ value: v === undefined ? null : v }}), e => resolve({{ error: String(e) + "\\n" + e.stack }}));
"""
        answer = self.command("WebDriver:ExecuteAsyncScript", {"script": body, "args": [list(arguments)], "newSandbox": True, "sandbox": "system"})["value"]
        if "error" in answer:
            raise AssertionError("Thunderbird: " + answer["error"])
        return answer["value"]

    def __exit__(self, *why):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait()
        self.log.close()
        time.sleep(0.2)
        shutil.rmtree(self.profile, ignore_errors=True)
