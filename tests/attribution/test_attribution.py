"""The command on faces that the stage has kept."""

import csv
import io
import json
from pathlib import Path

import pytest

from pipeline.attribution import __main__ as attribution
from pipeline.base.errors import PipelineError
from pipeline.base.params import read_yaml
from pipeline.common import artifacts
from pipeline.common.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
PAGE = "http://www.flickr.com/photos/a/1/"
URL = "http://creativecommons.org/licenses/by/2.0/"
ENTRY = {"author": "anna", "license": "Attribution", "license_url": URL, "photo_url": PAGE}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command on faces (id, photograph, author) and a face list: the table it prints."""
    import pandas as pd

    monkeypatch.chdir(tmp_path)

    def once(faces, metainfo, source="fdf"):
        tree = read_yaml(ROOT / "params.yaml")
        tree = {
            "data": tree["data"] | {"root": "sample"},
            "exif": tree["exif"] | {"source": source},
        }
        Path("params.yaml").write_text(json.dumps(tree))
        path = Layout(Path("sample")).metainfo
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(metainfo if isinstance(metainfo, str) else json.dumps(metainfo))
        Path("data/faces").mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(faces, columns=["face_id", "photo_id", "author"])
        artifacts.write_table(attribution.FACES, table)
        attribution.main([])
        return list(csv.reader(io.StringIO(capsys.readouterr().out)))

    return once


def test_every_face_that_is_used_has_its_row_in_order(run):
    faces = [("8", "1", "anna"), ("7", "2", ""), ("9", "3", "Ben, B.")]
    others = {"5": ENTRY, "9": {**ENTRY, "author": " Ben, B. "}, "7": {"license": None}, "8": ENTRY}
    assert run(faces, others) == [
        ["face_id", "photo_id", "author", "license", "license_url", "photo_url"],
        ["8", "1", "anna", "Attribution", URL, PAGE],
        ["7", "2", "", "", "", ""],
        ["9", "3", "Ben, B.", "Attribution", URL, PAGE],
    ]


def test_one_s_own_photographs_have_author_and_path(run):
    faces = [("anna/1.jpg#0", "anna/1.jpg", "anna")]
    assert run(faces, "no JSON", source="photos")[1:] == [[*faces[0], "", "", ""]]


def test_what_authors_write_is_one_line_and_no_formula(run):
    entry = {**ENTRY, "author": '=HYPERLINK("x")', "license": "@a\nb"}
    [_, row] = run([("8", "1", entry["author"])], {"8": entry})
    assert row[2:4] == ['\'=HYPERLINK("x")', "'@a\\nb"]


def test_the_entry_that_was_used_speaks_for_a_face_that_stands_there_twice(run):
    other = json.dumps({"8": {**ENTRY, "author": "ben", "photo_url": "none"}})
    twice = other[:-1] + f', "8": {json.dumps(ENTRY)}}}'
    assert run([("8", "1", "anna")], twice)[1][-1] == PAGE


def test_faces_of_another_face_list_are_an_error(run):
    with pytest.raises(PipelineError, match=r"metainfo\.json: has no face 8 by 'ben'.*dvc repro"):
        run([("8", "1", "ben")], {"8": ENTRY})
