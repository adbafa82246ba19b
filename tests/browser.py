"""A page in a real browser, for tests of what only a browser can tell.

A script is added to the page that tells what it sees to a page around it, whose text Chromium
prints: no driver is needed."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium installed"),
]
FRAME = """<iframe src="page.html" width="%d" height="900" style="border: 0"></iframe><pre></pre>
<script>
addEventListener("message", event => document.querySelector("pre").textContent = event.data);
</script>"""
TELL = """<script>
let faults = 0;
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"])
    addEventListener(kind, () => faults++, true);
addEventListener("load", async () => {
    const seen = await (%s);
    parent.postMessage(JSON.stringify([seen, faults]), "*")});
</script>"""
LAYOUT = """{
    wide: [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, svg")
        && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1).length,
    scroll: document.documentElement.scrollWidth - innerWidth, width: innerWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color}"""


def see(page: str, expression: str, folder: Path, width: int, *, dark: bool = False) -> Any:
    """What a JavaScript expression, or what it promises, is in a page that is loaded in a frame of
    a width, in which no error occurs. The page is written into the folder."""
    told = page.replace("<head>", "<head>" + TELL % expression, 1)
    (folder / "page.html").write_text(told, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME % width)
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--virtual-time-budget=9000", f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--window-size=1600,900",
        "--dump-dom", (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    printed = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert printed, "the page has said nothing"
    seen, faults = json.loads(html.unescape(printed[1]))
    assert faults == 0
    return seen


def check_layout(seen: dict[str, Any], width: int, *, dark: bool) -> None:
    """Nothing sticks out, and the colours are those asked for."""
    assert (seen["width"], seen["wide"], seen["scroll"]) == (width, 0, 0)
    shades = [sum(map(int, re.findall(r"\d+", seen[name]))) for name in ("paper", "ink")]
    assert (shades[0] < 150 and shades[1] > 600) if dark else (shades[0] > 600 and shades[1] < 150)
