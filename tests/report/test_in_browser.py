"""The page in a real browser: it fits every width, in light and in dark, and it sorts.

A script is added to the page that tells what it sees to a page around it, whose text Chromium
prints: no driver is needed."""

import html
import json
import re
import shutil
import subprocess

import pytest

from tests.report import world

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium installed"),
]
FRAME = """<iframe src="page.html" width="%d" height="900" style="border: 0"></iframe><pre></pre>
<script>
addEventListener("message", event => document.querySelector("pre").textContent = event.data);
</script>"""
TELL = """<script>let faults = 0; addEventListener("error", () => faults++, true);</script>%s
<script>
addEventListener("load", () => parent.postMessage(JSON.stringify([%s, faults]), "*"));
</script>"""
LAYOUT = """{
    wide: [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, svg")
        && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1).length,
    scroll: document.documentElement.scrollWidth - innerWidth, width: innerWidth,
    empty: [...document.querySelectorAll("figure svg, figure img")].filter(e => {
        const box = e.getBoundingClientRect();
        return box.width < 6 || box.height < 6 || e.tagName == "IMG" && !e.naturalWidth}).length,
    navigation: [...document.querySelectorAll("nav")].map(nav => nav.checkVisibility()),
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color}"""
SORTED = """[1, 2, 3].map(round => {
    const table = document.querySelector("table.sortable");
    const button = table.querySelectorAll("th button")[2];
    if (round == 3) delete table.tBodies[0].rows[0].cells[2].dataset.value;
    button.click();
    const names = [...table.tBodies[0].rows].map(row => row.cells[0].innerText);
    return [button.closest("th").ariaSort, ...names]})"""


@pytest.fixture
def see(once, tmp_path):
    """What a JavaScript expression gives in the page, loaded in a frame of a width."""

    def run(expression, width, *, dark=False):
        page = world.html(once).replace("</head>", TELL % ("</head>", expression), 1)
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        (tmp_path / "frame.html").write_text(FRAME % width)
        command = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=9000", f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--window-size=1600,900",
            "--dump-dom", (tmp_path / "frame.html").as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        told = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
        assert told, "the page has said nothing"
        seen, faults = json.loads(html.unescape(told[1]))
        assert faults == 0
        return seen

    return run


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_everything_is_there_and_nothing_sticks_out(see, width, dark):
    seen = see(LAYOUT, width, dark=dark)
    assert seen["width"] == width
    assert (seen["wide"], seen["scroll"], seen["empty"]) == (0, 0, 0)
    assert seen["navigation"] == ([False, False] if width == 400 else [True, False])
    shades = [sum(map(int, re.findall(r"\d+", seen[name]))) for name in ("paper", "ink")]
    assert (shades[0] < 150 and shades[1] > 600) if dark else (shades[0] > 600 and shades[1] < 150)


def test_a_click_sorts_a_second_one_turns_the_order_round_and_what_is_missing_stands_last(see):
    low, high = "sim_rolloff", "sim_latent"  # by AUC
    assert see(SORTED, 1400) == [
        ["ascending", low, high, "mean"],
        ["descending", high, low, "mean"],
        ["ascending", low, high, "mean"],
    ]
