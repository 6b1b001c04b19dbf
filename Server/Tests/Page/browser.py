"""A headless Chromium that is driven through its debugging pipe, with nothing but Python's own library."""

import base64
import glob
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
KEYS = {"Enter": (13, "\r"), "Escape": (27, None), "Tab": (9, None), "ArrowUp": (38, None), "ArrowDown": (40, None),
        "ArrowLeft": (37, None), "ArrowRight": (39, None), "Home": (36, None), "End": (35, None), " ": (32, " ")}
ALT, CONTROL, SHIFT = 1, 2, 8


def find():
    """Returns the path of a browser: that of CHROMIUM, one in PATH, or one that Playwright has fetched; None without any."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    fetched = os.path.expanduser("~/.cache/ms-playwright/chromium*/chrome-linux*/*")
    return next((path for path in sorted(glob.glob(fetched)) if os.path.basename(path) in ("chrome", "headless_shell")), None)


class Browser:
    """One page of one browser."""

    def __init__(self, path):
        self.folder = tempfile.mkdtemp()
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()

        def connect():
            # The browser reads from 3 and writes to 4; the copies keep both from being overwritten on the way.
            reads, writes = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        command = [path, "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--no-sandbox",
                   "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
                   "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.folder}", "about:blank"]
        self.process = subprocess.Popen(
            command, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.number, self.events = b"", 0, []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Messages

    def _read(self, end):
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.into, 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 60
        while True:
            answer = self._read(end)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def of(self, method):
        """Returns what came of an event so far."""
        return [event["params"] for event in self.events if event["method"] == method]

    # The page

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=f"(async () => {{ return ({expression}); }})()", awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=30):
        """Waits until an expression holds."""
        end = time.monotonic() + seconds
        while True:
            value = self.evaluate(f"Boolean({expression})")
            if value:
                return
            if time.monotonic() > end:
                raise AssertionError(f"this did not become true in {seconds} s: {expression}")
            time.sleep(0.03)

    def click(self, selector):
        """Clicks into the middle of an element, as a hand would: what covers it gets the click."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({ block: 'nearest' });"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2, r.width]; })()")
        assert place and place[2] > 0, f"there is nothing to click at '{selector}'"
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="none" if kind == "mouseMoved" else "left",
                      clickCount=0 if kind == "mouseMoved" else 1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, modifiers=0):
        if len(key) == 1 and key != " ":
            code = f"Key{key.upper()}" if key.isalpha() else {"/": "Slash", "?": "Slash"}.get(key, "")
            event = {"key": key, "code": code, "windowsVirtualKeyCode": ord(key.upper()), "modifiers": modifiers}
            text = None if modifiers & (ALT | CONTROL) else key
        else:
            number, text = KEYS[key]
            event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        down = {"type": "keyDown", **event} | ({"text": text} if text and not modifiers & CONTROL else {})
        if key == "Enter" and modifiers & CONTROL:
            down["text"] = "\r"
        self.call("Input.dispatchKeyEvent", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def focused(self):
        """Returns the id of the focused element, or its role and its text."""
        return self.evaluate(
            "(() => { const e = document.activeElement; if (!e || e === document.body) return '';"
            " return e.id || [e.getAttribute('role') ?? e.localName, (e.getAttribute('aria-label') ?? e.textContent).trim().slice(0, 40)].join(':'); })()")

    def window(self, width, height, is_phone=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_phone)

    def appearance(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def nodes(self):
        """Returns role and name of everything that assistive technology sees."""
        found = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "")) for node in found if not node.get("ignored")]
