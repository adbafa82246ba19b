"""The stage writes the authors' layout, breaks the records that it calls bad, and depends on no
number of processes.
"""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.common import pictures
from pipeline.common.layout import Layout
from pipeline.simulation import generators, sample
from pipeline.stages import simulate_sample

PARAMS = "seed: 4\nsimulation: {photographs: 40, portraits: 20, generated: 2, bad_share: 0.4}\n"
QUICK = ("sim_upsampling", "sim_rolloff")  # these have nothing to learn first


def make(folder: Path, workers: int, names: tuple[str, ...] = QUICK) -> Path:
    """A new folder in which the stage has made a sample with these generators."""
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIPELINE_WORKERS", str(workers))
        chosen = {name: generators.GENERATORS[name] for name in names}
        patch.setattr(generators, "GENERATORS", chosen)
        simulate_sample.main(["--root=sample", "--sheet=sheet.png"])
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "one", 1)


@pytest.fixture
def layout(made) -> Layout:
    return Layout(made / "sample")


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(tmp_path):
    everything = tuple(generators.GENERATORS)
    one, three = (contents(make(tmp_path / str(n), n, everything)) for n in (1, 3))
    assert one == three
    assert all(Path(f"sample/data/{name}/00001.png") in one for name in everything)


def test_the_layout_is_the_authors(made, layout):
    faces = json.loads(layout.metainfo.read_text())
    assert len(faces) == 40 and faces.keys() == json.loads(layout.mapping.read_text()).keys()
    assert {path.stem for path in layout.images.iterdir()} == set(faces)
    sets = {path.name: len(list(path.iterdir())) for path in layout.root.glob("data/*/")}
    assert sets == {"celeba-face": 20, "sim_upsampling": 2, "sim_rolloff": 2}
    assert Image.open(made / "sheet.png").width > 500


def test_bad_records_are_bad_in_the_way_they_say_and_good_ones_are_good(layout):
    kinds = set()
    for number in range(40):
        record = sample.face_record(4, number, photographs=40, bad_share=0.4)
        picture = layout.images / f"{record.face_id}.png"
        record_file = layout.exif / f"{record.photo_id}.json"
        kinds.add(record.bad)
        if record.bad == "picture_truncated":
            with pytest.raises(pictures.UnreadablePicture, match="truncated"):
                pictures.read_picture(picture)
        else:
            assert pictures.read_picture(picture).tobytes() == record.picture.tobytes()
        if record.bad == "json_missing":
            assert not record_file.exists()
        elif record.bad == "json_broken":
            with pytest.raises(json.JSONDecodeError):
                json.loads(record_file.read_text())
        else:
            tags = json.loads(record_file.read_text())["EXIF"]
            assert ("ISO Speed Ratings" in tags) == (record.bad != "iso_missing")
            assert (tags["Aperture Value"] == "F") == (record.bad == "f_number_empty")
            assert (tags["Exposure Time"] == "Unknown") == (record.bad == "exposure_unknown")
    assert len(kinds) >= 6, "choose another seed, so that the test sees the kinds"


def test_the_lists_part_the_portraits_by_person(layout):
    train, test = (
        (layout.root / f"data/{name}.txt").read_text().splitlines() for name in ("train", "test")
    )
    portraits = {f"./data/celeba-face/{path.name}" for path in layout.root.glob("data/celeba*/*")}
    assert {*train, *test} == portraits and len(train) + len(test) == len(portraits)
    people = [{Path(line).name.split("_")[0] for line in lines} for lines in (train, test)]
    assert all(people) and not people[0] & people[1]
