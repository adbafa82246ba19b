"""CONTRIBUTING.md: what it names is there, and what it says is enough is enough."""

import re
from typing import get_args

import numpy as np
import pytest

from pipeline.base import perturbation_names
from pipeline.base.params import read_yaml
from pipeline.base.schema import Gmm, Params
from pipeline.common.names import HEADS, MANIPULATION, TAGS
from tests.closure import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARAMS = read_yaml(ROOT / "params.yaml")


def test_files_and_tests_that_it_names_are_there():
    named = re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:md|yaml|toml|lock))(?:::(\w+))?`", TEXT)
    made = {"data/report/index.html"}
    for path, test in named:
        assert path in made or (ROOT / path).exists(), path
        assert not test or f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8"), test
    assert sum(bool(test) for _, test in named) >= 7


def test_every_package_stands_in_the_map():
    packages = {p.name for p in (ROOT / "pipeline").iterdir() if (p / "__init__.py").exists()}
    assert packages == set(re.findall(r"`pipeline/(\w+)`", TEXT.partition("## How")[0]))


def test_a_simulated_generator_is_made_and_evaluated_under_one_name():
    from pipeline.simulation.generators import GENERATORS

    outs = read_yaml(ROOT / "data/dvc.yaml")["stages"]["simulate_sample"]["outs"]
    made = {out.rpartition("/")[2] for out in outs if "/sim_" in out}
    assert made == set(GENERATORS) == set(PARAMS["generators"])


def test_the_four_tags_stand_in_all_tables_of_tags():
    from pipeline.base.values import KNOWN_TAGS
    from pipeline.encoder.authors import HEAD_NAMES
    from pipeline.exif import tags
    from pipeline.explanation import entries
    from pipeline.report import wording

    assert set(KNOWN_TAGS) == set(tags.KNOWN) == set(TAGS)
    for table in (wording.HEADS, entries.SHORT, HEAD_NAMES):
        assert set(table) == set(HEADS)


def test_no_tag_is_called_like_another_column_head_or_figure():
    from pipeline.base.values import NO_TAGS, POINTS
    from pipeline.common.tally import Tally
    from pipeline.pretext.validation import SHORT
    from pipeline.stages.filter_exif import Packed, columns_of

    nothing = Packed([], [], np.zeros((0, 128, 128, 3), np.uint8), Tally(), Tally())
    columns = [c for c in columns_of(nothing, 0, str) if not c.startswith(POINTS)]
    assert {*columns, *SHORT.values(), MANIPULATION, "mean", "total", "all"} == set(NO_TAGS)


def test_a_new_kind_of_perturbation_is_two_entries(monkeypatch):
    from pipeline.perturbation import pictures
    from pipeline.report import wording

    assert set(wording.KINDS) == set(perturbation_names.KINDS)
    monkeypatch.setitem(perturbation_names.KINDS, "darken", (0.1, 1, "factor"))
    monkeypatch.setitem(pictures.FUNCTIONS, "darken", lambda x, by: (x * by).astype(np.uint8))
    given = PARAMS | {"perturbations": ["darken_0.5"]}
    assert Params.model_validate(given).perturbations == ["darken_0.5"]
    changed = pictures.perturb("darken_0.5", seed=1)(np.full((2, 2, 3), 100, np.uint8), "a.png")
    assert changed.tolist() == np.full((2, 2, 3), 50).tolist()


def test_a_network_that_timm_knows_is_an_encoder_by_its_name():
    import timm
    import torch
    from timm.models import resnet

    from pipeline.encoder.backbones import Architecture
    from pipeline.encoder.network import Encoder

    @timm.models.register_model
    def of_a_contributor(pretrained: bool = False, **settings):
        settings |= {"block": resnet.BasicBlock, "layers": (1, 1, 1, 1), "channels": (4, 4, 8, 8)}
        name = "of_a_contributor"
        return timm.models.build_model_with_cfg(resnet.ResNet, name, pretrained, **settings)

    encoder = Encoder(Architecture("of_a_contributor", "all")).eval()
    features, heads = encoder(torch.rand(2, 3, 64, 64))
    assert len(features) == 2 and heads.shape == (2, len(HEADS))


@pytest.mark.parametrize("kind", get_args(Gmm.model_fields["shrinkage"].annotation))
def test_every_shrinkage_of_the_parameters_fits(kind):
    from tests.small_features import fit

    x = np.random.default_rng(1).normal(size=(200, 5))
    assert np.isfinite(fit(x, components=1, shrinkage=kind).mixture.log_likelihood(x)).all()
