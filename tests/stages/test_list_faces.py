"""list_faces on a small data root: what it writes, and what stops a run before training."""

import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.face_sets import selection
from pipeline.stages import list_faces

PARAMS = """
seed: 1
data: {root: data, person_pattern: '^([^_]+)_', maximum_unreadable_share: 0.1,
  maximum_fit_faces: 1000, maximum_faces: 1000}
split: {validation: 0.1, calibration: 0.4}
calibration: {false_alarm_rates: [0.05, 0.1], review_rate: 0.1, flag_rate: 0.05, sides: upper,
              histories: [none]}
generators: [sdxl, flux]
"""
FACES = "data/data/celeba-face"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """100 and 20 photographs, two of each person, and two generators with two faces each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    for i, name in enumerate(("sdxl/1", "sdxl/2", "flux/1", "flux/2")):
        save(tmp_path / f"data/data/{name}.png", 1000 + i)
    write_list(tmp_path, "train", range(50))
    write_list(tmp_path, "test", range(50, 60))
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return tmp_path


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")


def write_list(folder, name, persons):
    names = [f"{person:03}_{i}" for person in persons for i in range(2)]
    lines = [f"./data/celeba-face/{name}.jpg\n" for name in names]
    (folder / f"data/data/{name}.txt").write_text("".join(lines), encoding="utf-8")
    for picture in names:
        save(folder / FACES / f"{picture}.jpg", int(picture.replace("_", "")))


def run():
    options = "--root data --train data/train.txt --test data/test.txt --output data/face_sets"
    list_faces.main(options.split())
    rows = {}
    for name in (*PHOTOGRAPHIC, "sdxl", "flux"):
        with open(f"data/face_sets/{name}.csv", encoding="utf-8", newline="") as file:
            rows[name] = list(csv.DictReader(file))
    return rows, artifacts.read_json("data/face_sets/listing.json")


def assert_stopped(folder, message):
    with pytest.raises(PipelineError, match=message):
        run()
    assert not (folder / "data/face_sets").exists()


def replace(folder, before, after):
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    assert before in text
    (folder / "params.yaml").write_text(text.replace(before, after), encoding="utf-8")


def copy(folder, name, other):
    (folder / "data/data" / other).write_bytes((folder / "data/data" / name).read_bytes())


def persons_of(split):
    names = [f"{person:03}_0.jpg" for person in range(50)]
    chosen = selection.of_split(names, split, pattern="^([^_]+)_", seed=1, calibration=0.4)
    return [name[:3] for name in chosen]


def test_every_set_is_listed_with_names_persons_and_hashes(folder):
    rows, listing = run()
    photographs = {name: {row["person"] for row in rows[name]} for name in PHOTOGRAPHIC}
    assert photographs["photographic_fit"] == set(persons_of("fit"))
    assert photographs["photographic_calibration"] == set(persons_of("calibration"))
    assert photographs["photographic_test"] == {f"{person:03}" for person in range(50, 60)}
    assert [row["person"] for row in rows["sdxl"]] == ["data/sdxl/1.png", "data/sdxl/2.png"]
    for name, faces in rows.items():
        assert [row["name"] for row in faces] == sorted(row["name"] for row in faces)
        for row in faces:
            content = (folder / "data" / row["name"]).read_bytes()
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert listing["sets"][name]["usable"] == len(faces)
    assert list(listing["sets"]) == sorted(rows) and not listing["passed_over"]
    assert listing["sets"]["photographic_test"] == {
        **{"source": "data/test.txt", "listed": 20, "chosen": 20, "usable": 20, "persons": 10},
        "left_out": {},
    }
    assert listing["sets"]["flux"]["source"] == "data/flux" and listing["warnings"] == []


def test_worker_processes_find_the_same(folder, monkeypatch):
    first = run()
    monkeypatch.setenv("PIPELINE_WORKERS", "2")
    assert run() == first


def test_at_most_so_many_faces_are_chosen_by_name(folder):
    every, _ = run()
    replace(folder, "maximum_faces: 1000", "maximum_faces: 7")
    replace(folder, "maximum_fit_faces: 1000", "maximum_fit_faces: 25")
    rows, listing = run()
    counts = {name: listing["sets"][name]["chosen"] for name in rows}
    assert list(counts.values()) == [25, 25, 7, 2, 2]
    for name in rows:
        names = [row["name"] for row in every[name]]
        assert [row["name"] for row in rows[name]] == selection.choose(names, counts[name], seed=1)


def test_what_is_left_out_and_passed_over_is_counted_and_printed(folder, capsys):
    (folder / FACES / "055_1.jpg").unlink()
    copy(folder, "celeba-face/056_0.jpg", "celeba-face/056_1.jpg")
    copy(folder, "sdxl/1.png", "flux/2.png")
    (folder / "data/data/flux/.DS_Store").touch()
    save(folder / FACES / "001_7.jpg", 5)
    with (folder / "data/data/test.txt").open("a") as file:
        file.write("data/celeba-face/001_7.jpg\n")
    rows, listing = run()
    assert len(rows["photographic_test"]) == 19
    assert listing["sets"]["photographic_test"]["left_out"] == {
        "missing": {"count": 1, "first": "data/celeba-face/055_1.jpg"},
        "doubled": {"count": 1, "first": "data/celeba-face/056_1.jpg"},
    }
    assert listing["passed_over"] == {"hidden": {"count": 1, "first": "data/flux/.DS_Store"}}
    printed = capsys.readouterr().out
    flowing = " ".join(printed.split())
    assert "photographic_test 21 19 11 2 " in flowing
    assert "left out of photographic_test: 1 x missing (first: data/celeba-face/055_1" in flowing
    assert "passed over: 1 x hidden (first: data/flux/.DS_Store)" in flowing
    for start in ("pictures of two generators are the same: 1", "persons both among"):
        [warning] = [text for text in listing["warnings"] if text.startswith(start)]
        assert f"warning: {warning}" in flowing
    assert max(map(len, printed.partition("warning:")[2].splitlines())) <= 80


def test_a_rate_that_the_usable_calibration_photographs_cannot_support_stops(folder):
    replace(folder, "[0.05, 0.1]", "[0.01, 0.05, 0.1]")
    assert_stopped(folder, "rate of 0.01 needs at least 99 calibration photographs, got ")


def test_the_number_of_chosen_calibration_photographs_counts(folder):
    replace(folder, "maximum_fit_faces: 1000", "maximum_fit_faces: 18")
    assert_stopped(folder, "rate of 0.05 needs at least 19 calibration photographs, got 18")


def test_nobody_to_fit_stops(folder):
    write_list(folder, "train", [int(persons_of("calibration")[0])])
    assert_stopped(folder, "is left to fit the mixture")


def test_a_picture_for_two_purposes_stops_with_both_names(folder):
    person = persons_of("calibration")[0]
    copy(folder, f"celeba-face/{person}_0.jpg", "celeba-face/055_1.jpg")
    names = rf"{person}_0\.jpg \(photographic_calibration\) and \S*055_1\.jpg \(photographic_test\)"
    assert_stopped(folder, names)


def test_copies_of_one_face_are_left_out_of_the_whole_list(folder):
    """Of persons to fit and to calibrate with, under as many names: one of them stays."""
    persons = [*persons_of("fit")[:9], *persons_of("calibration")[:4]]
    for person in persons[1:]:
        copy(folder, f"celeba-face/{persons[0]}_0.jpg", f"celeba-face/{person}_0.jpg")
    rows, listing = run()
    left_out = [listing["sets"][name]["left_out"] for name in PHOTOGRAPHIC]
    assert [entry.get("doubled", {}).get("count", 0) for entry in left_out] == [8, 4, 0]
    assert len(rows["photographic_fit"]) + len(rows["photographic_calibration"]) == 88


def test_a_photograph_that_was_not_chosen_in_a_generator_folder_stops(folder):
    replace(folder, "maximum_faces: 1000", "maximum_faces: 1")
    every = {f"data/celeba-face/{person:03}_{i}.jpg" for person in range(50, 60) for i in range(2)}
    rows, _ = run()
    unchosen = sorted(every - {row["name"] for row in rows["photographic_test"]})[0]
    for number in range(1, 3):
        copy(folder, f"../{unchosen}", f"flux/{number}.png")
    replace(folder, "maximum_faces: 1", "maximum_faces: 2")
    run_again = pytest.raises(PipelineError, match=r"\(photographic_test\) and \S+ \(flux\)")
    with run_again:
        run()


def test_more_unreadable_pictures_than_allowed_stop_with_the_set(folder):
    for name in ("050_0", "051_0", "052_0"):
        (folder / FACES / f"{name}.jpg").write_bytes(b"no picture")
    assert_stopped(folder, r"test\.txt: 3 of 20 pictures are unreadable \(3 x not_a_picture")
