"""Sections of params.yaml as a whole, and names that become folders, files and parts of commands."""

import pytest
from pydantic import BaseModel

from pipeline.base import params, schema
from pipeline.base.errors import PipelineError


def test_every_section_is_documented():
    sections = [f.annotation for f in schema.Params.model_fields.values()]
    models = [s for s in sections if isinstance(s, type) and issubclass(s, BaseModel)]
    assert models and all(
        model.__doc__ and model.__doc__ != schema.Section.__doc__ for model in models
    )


def test_an_unknown_section_stops_every_load(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 1\ngnm: {components: 2}\n")
    with pytest.raises(PipelineError, match="unknown sections: gnm"):
        params.load("seed", path=tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["a;b", "../x", "two words", "mean", "photographic_fit", ""])
def test_a_generator_name_is_safe_as_a_folder_and_in_a_command(name):
    assert params.check_generator("SDXL") == "SDXL"
    with pytest.raises(PipelineError, match="no usable name"):
        params.check_generator(name)
