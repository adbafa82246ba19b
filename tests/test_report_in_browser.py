"""The page in a real browser: it fits every width, in light and in dark, and asks for nothing from outside."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest
from PIL import Image

from pipeline.stages import report
from tests.fake_results import build

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking",
         "--no-first-run", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
# Runs in a copy of the page only; the page itself has no script.
PROBE = (
    "<script>addEventListener('load', () => { const wide = [...document.querySelectorAll('body *')].filter(e => "
    "!e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1); parent.document.title = ['probe', innerWidth, "
    "document.documentElement.scrollWidth, wide.length, [...document.images].filter(i => !i.naturalWidth).length, "
    "performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length].join(' '); })</script>"
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no chromium installed")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    command = build(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report.main(command)
    return folder / "data/report/index.html"


def browse(page, profile, *flags):
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("width", [360, 400, 900, 1400])
def test_nothing_sticks_out_and_nothing_is_fetched(page, tmp_path, width):
    probed = tmp_path / "probed.html"
    inside = escape(page.read_text().replace("</body>", f"{PROBE}</body>"))  # a window cannot be as narrow as a phone
    probed.write_text(f'<title>-</title><iframe srcdoc="{inside}" style="width: {width}px; height: 800px; border: 0"></iframe>')
    dom = browse(probed, tmp_path / "profile", "--window-size=1600,900", "--dump-dom")
    found = re.search(r"<title>probe (\d+) (\d+) (\d+) (\d+) (\d+)</title>", dom)
    assert found, "the probe did not run"
    inner, scroll, wide, broken, fetched = map(int, found.groups())
    assert inner == width and scroll <= inner and (wide, broken, fetched) == (0, 0, 0)


@pytest.mark.parametrize(("scheme", "bright"), [(0, False), (1, True)])
def test_light_and_dark(page, tmp_path, scheme, bright):
    shot = tmp_path / "page.png"
    flags = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=900,1000", f"--screenshot={shot}")
    browse(page, tmp_path / "profile", *flags)
    red, green, blue = Image.open(shot).convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert (red + green + blue > 600) == bright and (red + green + blue < 150) != bright


def test_it_prints(page, tmp_path):
    printed = tmp_path / "page.pdf"
    browse(page, tmp_path / "profile", f"--print-to-pdf={printed}")
    assert Path(printed).read_bytes().startswith(b"%PDF") and printed.stat().st_size > 50_000
