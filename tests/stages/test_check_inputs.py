"""check_inputs: what would stop a stage after the training stops the run before it."""

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.stages import check_inputs

PARAMS = """
seed: 1
data: {root: data, person_pattern: '^([^_]+)_'}
split: {validation: 0.1, calibration: 0.4}
features: {resize: bilinear, antialias: true, batch_size: 8, device: cpu, precision: float32, maximum_unreadable_share: 0.1,
  maximum_fit_faces: 1000, maximum_faces: 1000}
calibration: {false_alarm_rates: [0.05, 0.1], review_rate: 0.1, flag_rate: 0.05, curve_draws: 10}
generators: [sdxl, flux]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Lists of 100 and 20 photographs by two, and two generators' folders; of the pictures only
    twins are decoded.
    """
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data/data"
    for name in ("sdxl", "flux"):
        (data / name).mkdir(parents=True)
        (data / name / "1.png").touch()
    write_list(tmp_path, "train", range(50))
    write_list(tmp_path, "test", range(50, 60))
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return tmp_path


def write_list(folder, name, people):
    lines = [f"./data/celeba-face/{person:03}_{i}.jpg\n" for person in people for i in range(2)]
    (folder / f"data/data/{name}.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "data/data/celeba-face").mkdir(exist_ok=True)
    for line in lines:
        picture = np.frombuffer(line.encode().ljust(48)[:48], np.uint8).reshape(4, 4, 3)
        Image.fromarray(picture).save(folder / "data" / line.strip(), "PNG")


def run():
    check_inputs.main(
        [
            "--root",
            "data",
            "--train",
            "data/train.txt",
            "--test",
            "data/test.txt",
            "--output",
            "checked.txt",
        ]
    )


def stopped(folder, said):
    with pytest.raises(PipelineError, match=said):
        run()
    assert not (folder / "checked.txt").exists()


def replace(folder, before, after):
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    assert before in text
    (folder / "params.yaml").write_text(text.replace(before, after), encoding="utf-8")


def test_inputs_that_are_there_are_counted_and_the_output_never_changes(folder, capsys):
    run()
    first, printed = (folder / "checked.txt").read_bytes(), capsys.readouterr().out
    counts = {
        line.rsplit(None, 1)[0].strip(): line.rsplit(None, 1)[1]
        for line in printed.splitlines()[3:]
    }
    assert counts.keys() == {
        "photographs to fit",
        "photographs to calibrate",
        "photographs to test",
        "sdxl",
        "flux",
    }
    assert int(counts["photographs to fit"]) + int(counts["photographs to calibrate"]) == 100
    assert counts["photographs to test"] == "20" and counts["sdxl"] == "1"
    write_list(folder, "test", range(50, 55))
    run()
    assert (folder / "checked.txt").read_bytes() == first


def test_a_rate_that_the_calibration_photographs_cannot_support_is_refused_with_the_number_needed(
    folder,
):
    replace(folder, "[0.05, 0.1]", "[0.01, 0.05, 0.1]")
    stopped(folder, "rate of 0.01 needs at least 99 calibration photographs, got ")


def test_the_number_of_faces_that_will_be_extracted_counts(folder):
    replace(folder, "maximum_fit_faces: 1000", "maximum_fit_faces: 18")
    stopped(folder, "rate of 0.05 needs at least 19 calibration photographs, got 18")


def test_everybody_to_calibrate_leaves_nothing_to_fit(folder):
    write_list(folder, "train", [next(iter(calibrating(folder)))])
    stopped(folder, "is left to fit the mixture")


def calibrating(folder):
    """People who are to calibrate."""
    from pipeline.face_sets.people import of_split

    names = [f"{person:03}_0.jpg" for person in range(50)]
    return (
        int(name[:3])
        for name in of_split(names, "calibration", pattern="^([^_]+)_", seed=1, calibration=0.4)
    )


def test_a_photograph_in_both_lists_is_named(folder):
    write_list(folder, "test", range(49, 60))
    stopped(
        folder,
        r"2 photographs are both in data/train.txt and in data/test.txt \(first: data/celeba-face/049_0.jpg\)",
    )


def copy(folder, name, other):
    (folder / f"data/data/celeba-face/{other}.jpg").write_bytes(
        (folder / f"data/data/celeba-face/{name}.jpg").read_bytes()
    )


def test_the_same_picture_for_two_purposes_is_named_with_both_names_and_no_other(folder):
    person = next(iter(calibrating(folder)))
    copy(folder, f"{person:03}_0", "055_1")
    copy(folder, "056_0", "056_1")  # of one purpose: allowed
    copy(folder, "057_0", "056_1")
    (folder / "data/data/celeba-face/058_0.jpg").unlink()  # for extract_features to count
    stopped(
        folder,
        rf"pair out of its list: \S*{person:03}_0\.jpg \(to calibrate\) and \S*055_1\.jpg \(to test\)$",
    )


@pytest.mark.parametrize("content", [b"", b"not found"])
def test_broken_files_that_are_alike_are_for_extract_features_to_count(folder, content):
    for name in ("001_0", "002_0", "003_0", "055_1"):
        (folder / f"data/data/celeba-face/{name}.jpg").write_bytes(content)
    run()


def test_many_pairs_are_counted(folder):
    for number in range(50, 60):
        for i in range(2):
            copy(folder, "001_0", f"{number:03}_{i}")
    stopped(folder, r", and 10 more$")


def test_a_person_in_both_lists_is_warned_of(folder, capsys):
    (folder / "data/data/celeba-face/001_7.jpg").write_text("another picture")
    with (folder / "data/data/test.txt").open("a") as file:
        file.write("data/celeba-face/001_7.jpg\n")
    run()
    printed = capsys.readouterr().out
    assert (
        "warning: persons both in data/train.txt and in data/test.txt: 1 (first: 001)"
        in " ".join(printed.split())
    )
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_list_that_is_not_there_is_named(folder, name):
    (folder / f"data/data/{name}.txt").unlink()
    stopped(folder, f"{name}.txt")


def test_a_generator_without_pictures_or_folder_is_named(folder):
    (folder / "data/data/flux/1.png").unlink()
    stopped(folder, "flux: no .jpeg")
    (folder / "data/data/flux").rmdir()
    stopped(folder, "flux: no such folder of pictures")


def test_a_file_name_that_tells_no_person_is_named(folder):
    (folder / "data/data/train.txt").write_text("./data/celeba-face/0001.jpg\n", encoding="utf-8")
    stopped(folder, "person_pattern")
