"""The page in a real browser: it fits every width, in light and in dark, and it sorts."""

import pytest

from tests import browser
from tests.report import world

pytestmark = browser.MARKS
LAYOUT = f"""{{...{browser.LAYOUT},
    empty: [...document.querySelectorAll("figure svg, figure img")].filter(e => {{
        const box = e.getBoundingClientRect();
        return box.width < 6 || box.height < 6 || e.tagName == "IMG" && !e.naturalWidth}}).length,
    navigation: [...document.querySelectorAll("nav")].map(nav => nav.checkVisibility())}}"""
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
        return browser.see(world.html(once), expression, tmp_path, width, dark=dark)

    return run


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_everything_is_there_and_nothing_sticks_out(see, width, dark):
    seen = see(LAYOUT, width, dark=dark)
    browser.check_layout(seen, width, dark=dark)
    assert seen["empty"] == 0
    assert seen["navigation"] == ([False, False] if width == 400 else [True, False])


def test_a_click_sorts_a_second_one_turns_the_order_round_and_what_is_missing_stands_last(see):
    low, high = "sim_rolloff", "sim_latent"  # by AUC
    assert see(SORTED, 1400) == [
        ["ascending", low, high, "mean"],
        ["descending", high, low, "mean"],
        ["ascending", low, high, "mean"],
    ]
