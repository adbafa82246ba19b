"""The page in a real browser: it fits, keys lead through it, decisions are kept and saved."""

import csv
import io
import shutil
from pathlib import Path

import pytest

from pipeline.detect import __main__ as command
from tests import browser
from tests.detect.page_reader import Reader

pytestmark = browser.MARKS
NAMES = ("=1+1.png", "@\"x, y'.png", "-</script><b>.png", "＝long " + "x" * 90 + ".png")
LAYOUT = f"""(async () => {{
    document.querySelector(".why").closest("details").open = true;
    await new Promise(done => setTimeout(done, 500));
    return {{...{browser.LAYOUT},
        empty: [...document.querySelectorAll(".face img")].filter(e => e.checkVisibility()
            && (e.getBoundingClientRect().width < 40 || !e.naturalWidth)).length,
        covered: [...document.querySelectorAll("button")].filter(e =>
            e.scrollWidth > e.clientWidth || e.getBoundingClientRect().height < 20).length}}}})()"""
# Before a reload: keys, whose places and decisions the window's name brings over; then what is left
USED = """(async () => {
    const faces = [...document.querySelectorAll(".face")];
    const press = (...keys) => keys.map(key => {
        const event = new KeyboardEvent("keydown", {key, bubbles: true});
        document.activeElement.dispatchEvent(event);
        return faces.indexOf(document.activeElement)});
    const filter = verdict => {
        const button = document.querySelector(`[value="${verdict}"]`);
        button.focus();
        button.click()};
    const seen = () => faces.filter(face => face.checkVisibility()).length;
    const decided = () => faces.map(face => face.dataset.decision ?? "");
    const status = () => document.querySelector("[role=status]").innerText;
    if (!window.name) {
        const places = press("k", "j", "j", "ArrowRight", "k", "ArrowLeft", "q", "g", "p", "u", "u",
            "k", "x", "k", "k", "n", "o");
        const open = faces.filter(face => face.querySelector("details").open).length;
        faces.at(-1).querySelector('[value="AI-generated"]').click();
        window.name = JSON.stringify({places, open, decided: decided()});
        location.reload();
        await new Promise(() => {});
    }
    const blobs = [], before = JSON.parse(window.name);
    const again = {decided: decided(), status: status()};
    URL.createObjectURL = blob => blobs.push(blob) && "data:,";
    HTMLAnchorElement.prototype.click = function () { before.file = this.download };
    document.querySelector(".save button").click();
    const verdicts = ["", "flag", "review", "pass", "cannot judge"];
    const counts = verdicts.map(verdict => { filter(verdict); return seen() });
    filter("pass");
    return {before, again, csv: await blobs[0].text(), counts,
        first: press("ArrowRight", "j", "u"), last: decided()}})()"""


@pytest.fixture(scope="module")
def page(world, tmp_path_factory):
    """The page of the test photographs and of files with names of their own."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(world / "root/test", folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("-<").mkdir()
        for name in NAMES:
            shutil.copy("photos/000_0.png", name)
        Path("photos/bad.png").write_bytes(b"")
        models, fit = str(world / "models"), str(world / "root/fit")
        options = ["--page", "review.html", "--model", models, "--device", "cpu"]
        options += ["--photographs", fit, "--explain", "2", "--false-alarm-rate", "0.5"]
        command.main([*options, "--", "photos", *NAMES])
    return folder / "review.html"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 820, 1440])
def test_everything_is_there_and_nothing_sticks_out(page, tmp_path, width, dark):
    text = page.read_text(encoding="utf-8")
    seen = browser.see(text, LAYOUT, tmp_path, width, dark=dark)
    browser.check_layout(seen, width, dark=dark)
    assert (seen["empty"], seen["covered"]) == (0, 0)


def test_keys_go_through_and_decide_and_what_is_decided_survives_a_reload_and_is_saved(
    page, tmp_path
):
    cards = Reader(page).cards
    seen = browser.see(page.read_text(encoding="utf-8"), USED, tmp_path, 820)
    before = seen["before"]
    places = [-1, 0, 1, 2, 1, 0, 0, 1, 2, 3, 4, 3, 3, 2, 1, 3, 3]
    assert before["places"] == places and before["open"] == 1
    expected = ["AI-generated", "photographic", "unsure", *[""] * (len(cards) - 4), "AI-generated"]
    assert before["decided"] == seen["again"]["decided"] == expected
    assert seen["again"]["status"] == f"4 of {len(cards)} decided"
    assert before["file"] == "review-decisions.csv"
    verdicts = [card.data["verdict"] for card in cards]
    kinds = ("flag", "review", "pass", "cannot judge")
    assert seen["counts"] == [len(cards), *map(verdicts.count, kinds)]
    first = verdicts.index("pass")
    assert seen["first"] == [-1, first, first + 1], "the arrow is the filter's"
    assert seen["last"][first] == "unsure"
    rows = list(csv.DictReader(io.StringIO(seen["csv"])))
    decided = [card for card, decision in zip(cards, expected, strict=True) if decision]
    for row, card in zip(rows, decided, strict=True):
        assert row["path"] == card.data["path"]
        assert row["verdict"] == card.data["verdict"] and row["p_value"] == card.data["p"]
        assert [row[f"box_{end}"] for end in ("x0", "y0", "x1", "y1")] == (
            card.data["box"].split(",") if card.data["box"] else [""] * 4
        )
    assert [row["decision"] for row in rows] == [each for each in expected if each]


def test_no_path_becomes_a_formula(page, tmp_path):
    decide = """(async () => {
        for (const button of document.querySelectorAll('[value="unsure"]')) button.click();
        const blobs = [];
        URL.createObjectURL = blob => blobs.push(blob) && "data:,";
        HTMLAnchorElement.prototype.click = () => {};
        document.querySelector(".save button").click();
        return await blobs[0].text()})()"""
    text = browser.see(page.read_text(encoding="utf-8"), decide, tmp_path, 820)
    rows = list(csv.DictReader(io.StringIO(text)))
    paths = {row["path"] for row in rows}
    assert {f"./{name}" for name in NAMES} <= paths and len(rows) == len(Reader(page).cards)
    for line in text.splitlines()[1:]:
        assert line.startswith('"') and line[1] not in "=+-@＝＋－＠"
