"""The stage writes the authors' layout, breaks the records that it calls bad, and depends on no
number of processes.
"""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.simulation import generators, sample
from pipeline.stages import simulate_sample

PARAMS = "seed: 4\nsimulation: {photographs: 40, portraits: 10, generated: 2, bad_share: 0.4}\n"
EXIF = "SSL_training_data/fdf_ccby2_exif_update_filtered_v2"
FDF = "SSL_training_data/FDF/data"


def make(folder: Path, workers: int, only: tuple[str, ...] | None = None) -> Path:
    """Run the stage in a folder; generators whose training takes seconds can be left out."""
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIPELINE_WORKERS", str(workers))
        patch.setenv("OMP_NUM_THREADS", "1")
        if only:
            patch.setattr(
                generators, "GENERATORS", {name: generators.GENERATORS[name] for name in only}
            )
        simulate_sample.main(["--root", "sample", "--sheet", "sheet.png"])
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("one") / "x", 1, ("sim_upsampling", "sim_rolloff"))


def test_the_number_of_processes_changes_no_byte(made, tmp_path):
    assert digests(make(tmp_path / "two", 2, ("sim_upsampling", "sim_rolloff"))) == digests(made)


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte_of_any_generator(tmp_path):
    one, three = (digests(make(tmp_path / str(workers), workers)) for workers in (1, 3))
    assert one == three and all(
        any(f"/{name}/" in path for path in one) for name in generators.GENERATORS
    )


def test_the_layout_is_the_authors(made):
    root = made / "sample"
    faces = json.loads((root / FDF / "fdf/fdf_metainfo.json").read_text())
    photos = json.loads((root / FDF / "id_vs_fdfName.json").read_text())
    assert len(faces) == 40 and faces.keys() == photos.keys()
    assert {path.stem for path in (root / FDF / "fdf/images/128").glob("*.png")} == set(faces)
    assert (
        len(list((root / "data/sim_rolloff").iterdir())) == 2
        and len(list((root / "data/celeba-face").iterdir())) == 10
    )
    assert Image.open(made / "sheet.png").size[0] > 500


def expected(root: Path) -> dict[str, sample.FaceRecord]:
    records = [sample.face_record(4, n, photographs=40, bad_share=0.4) for n in range(40)]
    return {record.face_id: record for record in records}


def test_bad_records_are_bad_in_the_way_they_say_and_good_ones_are_good(made):
    root, kinds = made / "sample", set()
    for face_id, record in expected(made).items():
        kinds.add(record.bad)
        picture, metadata = (
            root / FDF / "fdf/images/128" / f"{face_id}.png",
            root / EXIF / f"{record.photo_id}.json",
        )
        if record.bad == "picture_truncated":
            with pytest.raises(OSError, match="truncated"):
                Image.open(picture).load()
        else:
            assert Image.open(picture).convert("RGB").tobytes() == record.picture.tobytes()
        if record.bad == "json_missing":
            assert not metadata.exists()
            continue
        if record.bad == "json_broken":
            with pytest.raises(ValueError, match=r".*"):
                json.loads(metadata.read_text())
            continue
        tags = json.loads(metadata.read_text())["EXIF"]
        assert ("ISO Speed Ratings" in tags) == (record.bad != "iso_missing")
        assert (tags["Aperture Value"] == "F") == (record.bad == "f_number_empty")
        assert (tags["Exposure Time"] == "Unknown") == (record.bad == "exposure_unknown")
    assert len(kinds) >= 6, "choose another seed, so that the test sees the kinds"


def test_the_lists_part_the_portraits_by_person(made):
    root = made / "sample"
    train, test = (
        (root / f"data/{name}.txt").read_text().splitlines() for name in ("train", "test")
    )
    assert all(
        (root / line).is_file() and line.startswith("./data/celeba-face/")
        for line in [*train, *test]
    )
    assert len(set(train) | set(test)) == len(train) + len(test) == 10
    assert not {Path(line).name.split("_")[0] for line in train} & {
        Path(line).name.split("_")[0] for line in test
    }


def test_the_stage_ends_with_a_table_and_checks_its_parameters(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(simulate_sample, "jobs_of", lambda sizes: [])
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    simulate_sample.main(["--root", "sample", "--sheet", "sheet.png"])
    out = capsys.readouterr().out
    assert (
        "Simulated sample in sample" in out
        and "sim_latent" in out
        and max(map(len, out.splitlines())) <= terminal.WIDTH
    )
    Path("params.yaml").write_text(PARAMS.replace("0.4", "0.6"), encoding="utf-8")
    with pytest.raises(
        PipelineError, match=r"simulation\.bad_share = 0\.6: Input should be less than 0\.5"
    ):
        simulate_sample.main(["--root", "sample", "--sheet", "sheet.png"])
