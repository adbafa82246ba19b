"""The page in a real browser: it fits every width, in light and in dark, asks for nothing,
complains of nothing, and sorts.
"""

import pytest
from PIL import Image

from pipeline.stages import report
from tests import browser
from tests.fake_results import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.BROWSER is None, reason="no chromium installed"),
]
TOO_WIDE = (
    "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre, svg') && "
    "e.checkVisibility() "
    "&& e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
)
EMPTY = (
    "[...document.querySelectorAll('figure svg, figure img')].filter(e => "
    "{ const box = e.getBoundingClientRect(); "
    "return !(box.width > 5 && box.height > 5 && (e.tagName != 'IMG' || e.naturalWidth > 0)) "
    "}).length"
)
UNNAMED = "[...document.querySelectorAll('img, .panels svg')].filter(e => !(e.alt || e.getAttribute('aria-label'))).length"
COLUMN = "[...document.querySelectorAll('table.sortable')[0].tBodies[0].rows].map(row => row.cells[%d].textContent)"
BUTTON = "document.querySelectorAll('table.sortable')[0].querySelectorAll('th button')[%d]"
ORDER = "document.querySelectorAll('table.sortable')[0].querySelectorAll('th[aria-sort]')"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    command = build(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report.main(command)
    return folder / "data/report/index.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 820, 1440])
def test_everything_is_there_nothing_sticks_out_and_nothing_is_asked_for(
    page, path, tmp_path, width, dark
):
    page.open(path, width, dark=dark)
    assert (
        page.run("innerWidth") == width
        and page.run("document.documentElement.scrollWidth") <= width
    )
    assert page.run(TOO_WIDE) == []
    assert page.run("document.querySelectorAll('figure svg, figure img').length") > 40
    assert page.run(EMPTY) == page.run(UNNAMED) == 0
    assert page.requests() == [path.as_uri()] and page.complaints() == []
    red, green, blue = Image.open(page.shot(tmp_path / "shot.png")).convert("RGB").getpixel((3, 3))  # type: ignore[misc]
    assert red + green + blue < 150 if dark else red + green + blue > 600


def test_the_sections_are_folded_on_a_phone_alone(page, path):
    shown = "[...document.querySelectorAll('nav')].map(nav => nav.checkVisibility())"
    for width, expected in ((360, [False, False]), (820, [True, False])):
        page.open(path, width)
        assert page.run(shown) == expected
    page.open(path, 360)
    page.run("document.querySelector('details.small summary').click()")
    assert page.run(shown) == [False, True]
    ends = page.run(
        "[...document.querySelectorAll('nav a')].map(a => !!document.querySelector(a.hash))"
    )
    assert len(ends) == 20 and all(ends)


def test_a_click_sorts_and_a_second_one_turns_the_order_round(page, path):
    page.open(path, 1440)
    before = page.run(COLUMN % 0)
    values = [float(text[:5]) for text in page.run(COLUMN % 2)]
    order = sorted(range(len(values) - 1), key=lambda i: values[i])
    for expected, said in ((order, "ascending"), (order[::-1], "descending")):
        page.run((BUTTON % 2) + ".click()")
        assert page.run(COLUMN % 0) == [*(before[i] for i in expected), "mean"]
        assert page.run(f"[...{ORDER}].map(th => th.ariaSort)") == [said]
    page.run((BUTTON % 0) + ".click()")
    assert (
        page.run(COLUMN % 0) == [*sorted(before[:-1]), "mean"] and page.run(f"{ORDER}.length") == 1
    )
    assert page.complaints() == []


def test_the_keyboard_sorts(page, path):
    page.open(path, 1440)
    page.run((BUTTON % 0) + ".focus()")
    page.press("Tab")
    assert page.run(f"document.activeElement === {BUTTON % 1}")
    page.press("Tab")
    page.press("Enter")
    values = [float(text[:5]) for text in page.run(COLUMN % 2)][:-1]
    assert values == sorted(values) and page.run(f"[...{ORDER}].map(th => th.ariaSort)") == [
        "ascending"
    ]


def test_what_is_missing_stands_last_in_either_order(page, path, tmp_path):
    changed = tmp_path / "missing.html"
    html = path.read_text()
    start = html.index('data-value="0.', html.index("<tbody>"))
    changed.write_text(
        html[:start] + html[html.index(">", start) :]
    )  # the first AUC has no number to sort by
    page.open(changed, 1440)
    first = page.run(COLUMN % 0)[0]
    for _ in range(2):
        page.run((BUTTON % 2) + ".click()")
        assert page.run(COLUMN % 0)[-2:] == [first, "mean"]


def test_without_script_it_is_a_plain_page(page, path):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(path, 1440)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert page.run("document.querySelectorAll('th button').length") == 0
    assert (
        page.run("document.querySelectorAll('table.sortable tbody tr').length") > 20
        and page.run(TOO_WIDE) == []
    )


def test_it_prints_on_paper_without_the_navigation(page, path):
    page.open(path, 1000, dark=True)
    assert page.print().startswith(b"%PDF")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert (
        page.run("[...document.querySelectorAll('nav')].some(nav => nav.checkVisibility())")
        is False
    )
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.call("Emulation.setEmulatedMedia", media="")
