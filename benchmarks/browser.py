"""A headless Chromium driven by its DevTools protocol over two pipes: nothing to install but the browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from utils.system.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60  # seconds


def find_browser() -> str | None:
    """The path of a Chromium, None where none is installed; CHROMIUM names one."""
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)


class Browser:
    """A browser with one page.

    Args:
        path: of the program.
        size: width and height of its window.
        downloads: folder that takes what the page downloads.
        dark: whether pages are to be dark.

    Raises:
        UserError: it ends, or something that is waited for never comes. Also by all methods.
    """

    def __init__(
        self, path: str, size: tuple[int, int] = (1400, 900), downloads: Path | None = None, dark: bool = False
    ) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="browser")
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            "--no-first-run",
            f"--user-data-dir={self.profile.name}",
            "about:blank",
        ]
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'  # where the protocol expects its pipes
        self.process = subprocess.Popen(
            ["bash", "-c", shell, path, *options],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.count, self.session, self.errors = b"", 0, None, []
        (target,) = [item for item in self.send("Target.getTargets")["targetInfos"] if item["type"] == "page"][:1]
        self.session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self.send("Page.enable")
        self.send("Runtime.enable")
        self.send("Log.enable")
        self.resize(*size)
        scheme = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        if downloads:
            self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.count:
            pass
        if "error" in answer:
            raise UserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        """The next message; `errors` takes up what scripts and the console say of any."""
        while b"\0" not in self.rest:
            piece = os.read(self.input, 1 << 20)
            if not piece:
                raise UserError("the browser ended")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(line)
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.errors.append(message["params"]["entry"]["text"])
        if message.get("method") == "Page.javascriptDialogOpening":  # a page that asks whether to leave it
            self.count += 1
            answer = {"id": self.count, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self.output, json.dumps(answer | {"sessionId": self.session}).encode() + b"\0")
        return message

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Give the window another size, in pixels of pages, of which each is `scale` of the screen's."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def open(self, address: str) -> None:
        """Go to a page, and wait until all of it is there."""
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """What an expression is in the page; promises are waited for."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise UserError(found["exceptionDetails"]["exception"].get("description"))
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression holds in the page."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise UserError(f"never came true: {condition}")
            time.sleep(0.02)

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key; modifiers are 1 Alt, 2 Ctrl, 8 Shift."""
        text = {"text": key} if len(key) == 1 and not modifiers & 2 else {}
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, windowsVirtualKeyCode=code, **text
            )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the pointer at a place of the window, pull it to another, and let go."""
        for kind, (x, y), held in (
            ("mousePressed", start, 1),
            ("mouseMoved", [(a + b) / 2 for a, b in zip(start, end, strict=True)], 1),
            ("mouseMoved", end, 1),
            ("mouseReleased", end, 0),
        ):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=held, clickCount=1)

    def close(self) -> None:
        """End the browser."""
        try:
            self.send("Browser.close")
        except (UserError, OSError):
            self.process.kill()
        self.process.wait(20)
        os.close(self.output)
        os.close(self.input)
        self.profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
