"""Items of the sample: functions of (seed, number), grouped by author and person, some of them bad
as they say.
"""

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from pipeline.common import randomness
from pipeline.exif import tags as exif
from pipeline.simulation import camera, generators, sample, scene, shots


def record_of(seed: int, number: int) -> sample.FaceRecord:
    return sample.face_record(seed, number, photographs=300, bad_share=0.1)


@pytest.fixture
def quick(monkeypatch):
    """Pictures are grey, so that hundreds of records take no time; returns the persons that were
    drawn.
    """
    seen: list[scene.Person] = []
    grey = np.full((scene.SIDE, scene.SIDE, 3), 128, np.uint8)

    def render(rng, subject, eyes=None):
        seen.append(subject.person)

    monkeypatch.setattr(generators, "render", render)
    monkeypatch.setattr(camera, "photograph", lambda *_: grey)
    monkeypatch.setattr(camera, "jpeg", lambda picture, quality: picture)
    return seen


# --- keyed by (seed, number)


def test_equal_seed_and_number_give_equal_bytes_in_any_order():
    first = [record_of(1, n) for n in (0, 1, 2)]
    again = [record_of(1, n) for n in (2, 0, 1)]
    for a, b in zip(first, (again[1], again[2], again[0]), strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)
        assert (a.face_id, a.photo_id, a.exif, a.metainfo, a.bad) == (
            b.face_id,
            b.photo_id,
            b.exif,
            b.metainfo,
            b.bad,
        )
    other = record_of(2, 0)
    assert (first[0].picture != other.picture).any() and (
        first[0].picture != first[1].picture
    ).any()


@pytest.mark.parametrize(
    "name", ["sim_upsampling", "sim_denoised", "sim_asymmetric", "sim_rolloff"]
)
def test_generated_faces_are_of_their_seed_and_number(name):
    (file, first), (_, again) = sample.generated(1, name, 4), sample.generated(1, name, 4)
    np.testing.assert_array_equal(first, again)
    assert file == "00004.png" and first.dtype == np.uint8 and first.ndim == 3
    assert first.shape == sample.portrait(1, 0)[1].shape, (
        "generated faces and photographs are of one size"
    )
    assert (sample.generated(2, name, 4)[1] != first).any() and (
        sample.generated(1, name, 5)[1] != first
    ).any()


# --- records


def test_a_record_is_a_face_of_fdf():
    record = record_of(1, 5)
    assert record.picture.shape == (128, 128, 3) and record.picture.dtype == np.uint8
    x0, y0, x1, y1 = record.metainfo["bounding_box"]
    assert -0.1 < x0 < x1 < 1.1 and -0.1 < y0 < y1 < 1.1
    nose, r_eye, l_eye, *_ = record.metainfo["landmark"]
    assert len(record.metainfo["landmark"]) == 7 and np.shape(record.metainfo["landmark"]) == (7, 2)
    assert (
        x0 < r_eye[0] < l_eye[0] < x1
        and y0 < r_eye[1] < nose[1] < record.metainfo["true_mouth"][1] < y1
    )
    assert (
        record.metainfo["license"] == "simulated" and record.metainfo["photo_id"] == record.photo_id
    )


def test_tags_are_read_back_by_the_parsers(quick):
    written: Counter[bool] = Counter()
    for number in range(300):
        rng = randomness.generator(3, "shots", number)
        shot = shots.draw_shot(rng, float(rng.uniform(3, 15)))
        strings = sample.exif_strings(rng, shot)
        written["/" in strings["Exposure Time"] and strings["Exposure Time"].startswith("10/")] += 1
        read = (
            exif.parse_iso(strings["ISO Speed Ratings"]),
            exif.parse_f_number(strings["Aperture Value"]),
            exif.parse_exposure_time(strings["Exposure Time"]),
            exif.parse_focal_length(strings["Focal Length"]),
        )
        assert read == pytest.approx(
            (shot.iso, shot.f_number, shot.exposure_time_s, shot.focal_length_mm)
        )
    assert 3 <= written[True] <= 35, "about 5 % of exposure times are not reduced"


def test_ids_are_distinct_and_photos_have_authors_of_several(quick):
    records = [record_of(1, n) for n in range(300)]
    assert len({r.face_id for r in records}) == len({r.photo_id for r in records}) == 300
    by_author = Counter(r.metainfo["author"] for r in records)
    assert 60 <= len(by_author) <= 100 and max(by_author.values()) > 3


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_the_share_of_bad_records_is_the_chosen_one_and_all_six_kinds_come(quick, share):
    kinds = Counter(
        sample.face_record(1, n, photographs=9, bad_share=share).bad for n in range(1500)
    )
    bad = 1500 - kinds.pop(None)
    assert stats.binomtest(bad, 1500, share).pvalue > 1e-3
    assert set(kinds) <= set(sample.BAD_KINDS) and len(sample.BAD_KINDS) == 6
    if share > 0.1:
        assert set(kinds) == set(sample.BAD_KINDS)
        assert stats.chisquare(list(kinds.values())).pvalue > 1e-3


def test_no_record_is_bad_where_none_is_wished(quick):
    assert all(sample.face_record(1, n, photographs=9, bad_share=0).bad is None for n in range(100))


# --- portraits


def test_pictures_of_a_person_show_the_same_traits_and_others_do_not(quick):
    names = [sample.portrait(1, n)[0] for n in range(40)]
    assert len(set(names)) == 40 and names[:2] == ["00000_0.png", "00000_1.png"]
    persons = defaultdict(list)
    for name, person in zip(names, quick, strict=True):
        persons[name.split("_")[0]].append(
            (person.head_width, *person.skin.ravel(), *person.iris.ravel())
        )
    assert {len(pictures) for pictures in persons.values()} == {sample.PICTURES_PER_PERSON}
    assert all(len(set(pictures)) == 1 for pictures in persons.values())
    assert len({pictures[0] for pictures in persons.values()}) == len(persons)


def test_two_pictures_of_a_person_differ():
    assert (sample.portrait(1, 0)[1] != sample.portrait(1, 1)[1]).any()


def test_a_person_is_in_one_list_only_and_a_third_is_for_the_test():
    lists = defaultdict(set)
    for number in range(4000):
        person, picture = divmod(number, 2)
        lists[person].add(sample.in_test_list(1, f"{person:05d}_{picture}.png"))
    assert all(len(found) == 1 for found in lists.values())
    tested = sum(found == {True} for found in lists.values())
    assert stats.binomtest(tested, 2000, sample.TEST_SHARE).pvalue > 1e-3


def test_the_crop_lies_around_the_face():
    for number in range(30):
        rng = randomness.generator(1, "boxes", number)
        subject = generators.portrait_subject(rng)
        x0, y0, x1, y1 = sample.face_box(rng, subject)
        centre = scene.project((0.0, 0.02), subject.pose, subject.shot.perspective)
        assert abs((x0 + x1) / 2 - centre[0]) < 5 and abs((y0 + y1) / 2 - centre[1]) < 5
        assert 60 < y1 - y0 < 80 and 50 < x1 - x0 <= y1 - y0
