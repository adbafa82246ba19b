"""Items of the sample: functions of (seed, number), grouped by author and person, some of them bad
as they say.
"""

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from pipeline.exif import tags
from pipeline.simulation import camera, generators, sample, scene, shots
from tests.simulation.plain_shot import rng


def record_of(seed: int, number: int) -> sample.FaceRecord:
    return sample.face_record(seed, number, photographs=300, bad_share=0.1)


@pytest.fixture
def quick(monkeypatch) -> list[scene.Person]:
    """Pictures are grey, so that hundreds of records take no time; returns the persons that were
    drawn.
    """
    seen: list[scene.Person] = []
    grey = np.full((scene.SIDE, scene.SIDE, 3), 128, np.uint8)
    monkeypatch.setattr(generators, "render", lambda _, subject: seen.append(subject.person))
    monkeypatch.setattr(camera, "photograph", lambda *_: grey)
    monkeypatch.setattr(camera, "jpeg", lambda picture, quality: picture)
    return seen


def test_items_are_functions_of_seed_and_number():
    first, _, again = record_of(1, 0), record_of(1, 1), record_of(1, 0)
    np.testing.assert_array_equal(first.picture, again.picture)
    assert (first.exif, first.metainfo, first.bad) == (again.exif, again.metainfo, again.bad)
    face = sample.generated(1, "sim_rolloff", 4)[1]
    np.testing.assert_array_equal(sample.generated(1, "sim_rolloff", 4)[1], face)
    others = [sample.generated(2, "sim_rolloff", 4), sample.generated(1, "sim_rolloff", 5)]
    portraits = [sample.portrait(1, number) for number in (0, 1)]  # two pictures of a person
    names, crops = zip(*others, *portraits, strict=True)
    assert names == ("00004.png", "00005.png", "00000_0.png", "00000_1.png")
    assert {crop.shape for crop in crops} == {face.shape} == {(sample.CROP, sample.CROP, 3)}
    assert len({crop.tobytes() for crop in (face, *crops)}) == 5
    assert (record_of(2, 0).picture != first.picture).any()


def test_a_record_is_a_face_of_fdf():
    record = record_of(1, 5)
    assert record.picture.shape == (128, 128, 3) and record.picture.dtype == np.uint8
    assert np.shape(record.metainfo["landmark"]) == (7, 2)
    x0, y0, x1, y1 = record.metainfo["bounding_box"]
    nose, r_eye, l_eye, *_ = record.metainfo["landmark"]
    assert -0.1 < x0 < r_eye[0] < l_eye[0] < x1 < 1.1
    assert -0.1 < y0 < r_eye[1] < nose[1] < record.metainfo["true_mouth"][1] < y1 < 1.1
    assert record.metainfo["photo_id"] == record.photo_id


def test_tags_are_read_back_by_the_parsers():
    unreduced = 0
    for number in range(300):
        random = rng("shots", number)
        shot = shots.draw_shot(random, float(random.uniform(3, 15)))
        strings = sample.exif_strings(random, shot)
        unreduced += strings["Exposure Time"].startswith("10/")
        read = (
            tags.parse_iso(strings["ISO Speed Ratings"]),
            tags.parse_f_number(strings["Aperture Value"]),
            tags.parse_exposure_time(strings["Exposure Time"]),
            tags.parse_focal_length(strings["Focal Length"]),
        )
        values = (shot.iso, shot.f_number, shot.exposure_time_s, shot.focal_length_mm)
        assert read == pytest.approx(values)
    assert 3 <= unreduced <= 35, "about 5 % of exposure times"


def test_ids_are_distinct_and_authors_have_several_photos(quick):
    records = [record_of(1, n) for n in range(300)]
    assert len({r.face_id for r in records}) == len({r.photo_id for r in records}) == 300
    by_author = Counter(r.metainfo["author"] for r in records)
    assert 60 <= len(by_author) <= 100 and max(by_author.values()) > 3


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3])
def test_the_share_of_bad_records_is_the_chosen_one_of_all_kinds_alike(quick, share):
    records = (sample.face_record(1, n, photographs=9, bad_share=share) for n in range(1500))
    kinds = Counter(record.bad for record in records)
    bad = 1500 - kinds.pop(None)
    assert stats.binomtest(bad, 1500, share).pvalue > 1e-3
    counts = [kinds.pop(kind, 0) for kind in sample.BAD_KINDS]
    assert not kinds and (not share or stats.chisquare(counts).pvalue > 1e-3)


def test_pictures_of_a_person_show_the_same_traits_and_others_do_not(quick):
    traits = defaultdict(list)
    for number in range(40):
        name, _ = sample.portrait(1, number)
        person = quick[number]
        traits[name.split("_")[0]].append((person.head_width, *person.skin.flat))
    assert {len(own) for own in traits.values()} == {sample.PICTURES_PER_PERSON}
    assert len({values for own in traits.values() for values in own}) == len(traits) == 20


def test_a_person_is_in_one_list_only_and_a_third_is_for_the_test():
    names = [[f"{person:05d}_{picture}.png" for picture in range(2)] for person in range(2000)]
    lists = [{sample.in_test_list(1, name) for name in own} for own in names]
    assert all(len(own) == 1 for own in lists)
    assert stats.binomtest(lists.count({True}), 2000, sample.TEST_SHARE).pvalue > 1e-3
