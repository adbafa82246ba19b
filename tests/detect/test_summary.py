"""What is said under the rows: counts by folder, the verdicts' meaning, where to doubt them."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.detector_world import SETS
from tests.picture_world import picture

pytestmark = pytest.mark.usefixtures("folder")


def test_the_table_counts_by_folder_and_says_what_the_verdicts_mean(run):
    shutil.copytree("photos", "other")
    Path("other/bad.png").write_bytes(b"")
    said = run("photos", "other")[2]
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[0].split()) == "folder pass review flag cannot judge unreadable"
    assert {line.split()[0] for line in lines[2:5]} == {"photos", "other", "all"}
    assert sum(int(n) for n in lines[4].split()[1:]) == 2 * SETS["test"] + 1
    text = " ".join(said.split())
    assert "unreadable: 1 x empty" in text and "39 calibration photographs" in text
    assert "no probability of being AI-generated" in text


def test_folders_unlike_the_calibration_are_named(run):
    Path("noise").mkdir()
    for i in range(25):
        noisy = picture(i, 34, 36).astype(int) + picture(50 + i, 34, 36)[::-1] % 64
        Image.fromarray(noisy.clip(0, 255).astype("uint8")).save(f"noise/{i}.png")
    said = " ".join(run("photos", "noise")[2].split())
    assert "caution, noise: its 25 faces are more unusual" in said
    assert "caution, photos" not in said
