"""A real Chromium without a screen, driven through the Chrome DevTools Protocol over aiohttp's WebSocket.

No driver program and no client library in between: what a page is asked to do, a user could do. It waits for conditions
inside the page, never for a time. Every request, console error and uncaught exception is kept.
Protocol: chromedevtools.github.io/devtools-protocol.
"""

import asyncio
import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--disable-extensions", "--hide-scrollbars", "--no-default-browser-check",
    "--remote-debugging-port=0", "--force-color-profile=srgb",
    # whatever the browser itself may want to know: no name but this machine's has an address
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
_PATIENCE_S = 120


def find() -> str | None:
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page of the browser, with its own cookies and storage."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.faults: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def heard(self, event: dict[str, Any]) -> None:
        """Keep what tells of requests and of errors."""
        method, params = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.faults.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Go to an address and wait until its HTML and scripts are there."""
        found = self.call("Page.navigate", url=url)
        assert not found.get("errorText"), f"{url}: {found['errorText']}"
        self.wait(f"document.readyState === 'complete' && location.href === new URL({json.dumps(url)}).href")

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression holds, across navigations; fails with what the page shows then."""
        watch = (
            "new Promise((done) => { const began = performance.now(); const look = () => {"
            f" let held = false; try {{ held = Boolean({condition}); }} catch (error) {{ held = false; }}"
            f" if (held || performance.now() - began > {_PATIENCE_S * 1000}) done(held); else setTimeout(look, 20); }};"
            " look(); })"
        )
        for _ in range(20):
            try:
                found = self.call("Runtime.evaluate", expression=watch, returnByValue=True, awaitPromise=True)
            except Gone:  # the page was left while it was watched; its successor is asked
                continue
            assert found["result"].get("value"), (
                f"{condition} did not come: {self.ask('document.body.innerText')[:2000]}"
            )
            return
        raise AssertionError(f"{condition}: the page was left again and again")

    def click(self, selector: str) -> None:
        """A click of the mouse into the middle of the first element of this kind, once it is to be seen."""
        found = json.dumps(selector)
        self.wait(f"document.querySelector({found})?.getClientRects().length")
        place = self.ask(
            f"(() => {{ const it = document.querySelector({found});"
            " it.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const r = it.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            x, y = place
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field, select what is there, and type over it."""
        self.click(selector)
        self.ask(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        code = {"Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def look(self, width: int, height: int, dark: bool) -> None:
        """The size of the window, and the theme that the system asks for."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=theme)

    def shoot(self, path: Path) -> None:
        """A screenshot of what the window shows."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


class Gone(Exception):
    """The page that was asked is no longer there."""


class Browser:
    """A running browser; `browser` starts and ends one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._loop, self._socket, self._last = loop, socket, 0
        self._tabs: dict[str, Tab] = {}

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """What the protocol's method returns. Raises Gone where a navigation took the page away."""
        return self._loop.run_until_complete(self._call(method, session, params))

    async def _call(self, method: str, session: str | None, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        asked = {"id": self._last, "method": method, "params": params, **({"sessionId": session} if session else {})}
        await self._socket.send_json(asked)
        while True:
            message = await self._socket.receive_json(timeout=_PATIENCE_S + 30)
            if message.get("id") == self._last:
                break
            if "method" in message and (tab := self._tabs.get(message.get("sessionId", ""))):
                tab.heard(message)
        if "error" in message:
            said = message["error"]["message"]
            if re.search(r"navigated|context was destroyed|Cannot find context|uniqueContextId", said):
                raise Gone(said)
            raise AssertionError(f"{method}: {said}")
        return message["result"]

    def tab(self) -> Tab:
        """A new page in a profile of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.look(1280, 900, dark=False)
        return tab


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Browser]:
    """Starts Chromium with a profile of its own, and ends it."""
    running = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    try:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError(f"{program} did not start:\n{''.join(said)}")
        session = loop.run_until_complete(_session())
        socket = loop.run_until_complete(session.ws_connect(found[1], max_msg_size=0))
        try:
            yield Browser(loop, socket)
        finally:
            loop.run_until_complete(socket.close())
            loop.run_until_complete(session.close())
    finally:
        running.kill()
        running.communicate()
        loop.close()


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()
