"""The controls' stage where something cannot be computed: it says why, judges the rest, and stops
for missing files alone.
"""

import re
import shutil

import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from tests import picture_world as world
from tests.controls_world import CONFOUNDS, GENERATORS, read_names, run, without_figures


def test_a_picture_that_changed_costs_the_controls_that_read_it(folder, capsys):
    path = folder / "root" / read_names("sim_noisy")[3]
    path.write_bytes(path.read_bytes() + b"\0")
    _, rows = run()
    missing = {name for name, row in rows.items() if without_figures(row)}
    assert missing == {"random_weights", "shuffled_exif"}
    assert (
        "1 of 96 pictures" in rows["random_weights"]["detail"]
        and "03.png" in rows["shuffled_exif"]["detail"]
    )
    shown = capsys.readouterr().out
    assert re.search("Encoder with random weights .* not computed\n", shown)
    assert (
        "Encoder with random weights: cannot be computed" in shown
        and max(map(len, shown.splitlines())) <= 80
    )


def test_a_mixture_that_the_faces_cannot_carry_costs_the_controls_that_fit_one(folder, capsys):
    world.change_params(folder, "gmm: {components: 1", "gmm: {components: 41")
    detector, rows = run()
    missing = {name for name, row in rows.items() if without_figures(row)}
    assert missing == {"random_weights", "exif_heads", "manipulation_head", "shuffled_exif"}
    assert "gmm.components: 41 components need as many faces" in rows["exif_heads"]["detail"]
    assert detector["auc"] is None and detector["committed"]["auc"] is not None
    assert detector["detail"].startswith(
        "cannot be computed, so that nothing can be compared with it: gmm.components"
    )
    assert "Detector: cannot be computed" in capsys.readouterr().out


def test_too_many_principal_components_do_not_concern_the_heads(folder):
    world.change_params(folder, "pca_components: 0", "pca_components: 7")
    _, rows = run()
    assert {name for name, row in rows.items() if without_figures(row)} == {
        "random_weights",
        "shuffled_exif",
    }
    for name in ("exif_heads", "manipulation_head"):
        assert rows[name]["auc"] is not None and rows[name]["suspicious"] is None, (
            "no detector to compare it with"
        )
        assert rows[name]["detail"].endswith(
            "not judged, as the control or the detector has no interval"
        )


@pytest.mark.parametrize("faces", [1, 3])
def test_a_tiny_generator_is_left_out_and_the_others_are_judged(folder, capsys, faces):
    world.shorten(folder, "sim_noisy", faces)
    content = CONFOUNDS | {
        "harmonised": {"faces": CONFOUNDS["harmonised"]["faces"] | {"sim_noisy": faces}}
    }
    artifacts.write_json(folder / "confounds.json", content)
    detector, rows = run()
    for row in (detector, *(row for name, row in rows.items() if name != "real_against_real")):
        assert (
            list(row["generators"]) == ["sim_blurred"]
            and row["auc"] == row["generators"]["sim_blurred"]
        )
        assert list(row["left_out"]) == ["sim_noisy"] and row["left_out"]["sim_noisy"].startswith(
            f"only {faces} face"
        )
        assert row["faces"] == 24 + 16
    assert detector["low"] < detector["high"] and all(
        row["suspicious"] is not None for row in rows.values()
    )
    assert f"left out: sim_noisy: only {faces} face" in capsys.readouterr().out


def test_with_tiny_generators_only_nothing_is_judged(folder):
    for name in GENERATORS:
        world.shorten(folder, name, 2)
    detector, rows = run()
    assert detector["auc"] is None and "no generator with enough faces" in detector["detail"]
    assert {name for name, row in rows.items() if without_figures(row)} >= {
        "random_weights",
        "exif_heads",
        "shuffled_exif",
    }
    assert rows["real_against_real"]["suspicious"] is not None


def test_photographs_of_one_person_have_no_halves(folder):
    world.shorten(folder, "photographic_test", 2)
    _, rows = run()
    assert without_figures(rows["real_against_real"]) and rows["exif_heads"]["auc"] is not None


def test_figures_of_the_files_that_are_not_there_cost_their_controls(folder):
    artifacts.write_json(folder / "confounds.json", {"metadata_classifier": {"generators": {}}})
    _, rows = run()
    names = {
        f"{name}_{state}"
        for name in ("metadata", "file_size")
        for state in ("as_found", "harmonised")
    }
    assert {name for name, row in rows.items() if without_figures(row)} == names
    assert all("confounds.json" in rows[name]["detail"] for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "gmm.npz",
        "encoder.safetensors",
        "shuffled.safetensors",
        "confounds.json",
        "counts/sim_noisy.json",
    ],
)
def test_a_missing_file_stops_the_stage_at_once(folder, name):
    (folder / name).unlink()
    with pytest.raises(PipelineError, match=name):
        run()


def test_features_of_another_run_stop_the_stage(folder):
    shutil.copy(folder / "features/sim_noisy.npz", folder / "features/sim_blurred.npz")
    with pytest.raises(PipelineError, match=r"sim_blurred\.npz is missing or not the file"):
        run()


def test_an_encoder_that_does_not_say_its_epochs_costs_the_control(folder):
    save_encoder(
        folder / "shuffled.safetensors", Encoder("resnet10", 6, seed=8), {"input_size": world.SIDE}
    )
    _, rows = run()
    assert (
        without_figures(rows["shuffled_exif"])
        and "shuffled.safetensors: does not say" in rows["shuffled_exif"]["detail"]
    )
