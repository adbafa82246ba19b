"""What is said of an explained face."""

import numpy as np

from pipeline.explanation import entries

Z = {"iso": 1.23456, "f_number": -5.25, "manipulation": float("nan")}


def test_an_explanation_names_the_head_that_deviates_most():
    assert entries.explanation(Z, [("b.png", 1.23456)], (2.34567, "upper left")) == {
        "head_z": {"iso": 1.235, "f_number": -5.25, "manipulation": None},
        "deviating_head": "f_number",
        "nearest": [{"name": "b.png", "distance": 1.235}],
        "covered": {"largest_drop": 2.346, "where": "upper left"},
    }
    assert entries.explanation({"iso": np.nan}, [], (0, "nowhere"))["deviating_head"] is None


def test_row_titles_are_short_lines():
    face = {"verdict": "flag", "p_value": 0.002, "side": "too unusual"}
    title = entries.row_title(face | entries.explanation(Z, [], (2.34567, "upper left")))
    assert title == "flag\np = 0.002\nf-number: -5.2 sd\nupper left: -2.3 nats"
    face = {"verdict": "review", "p_value": 0.03, "side": "too typical"}
    title = entries.row_title(face | entries.explanation(Z, [], (2.34567, "upper left")))
    assert title.startswith("review, too typical\np = 0.03\n")
    face = {"verdict": "pass", "p_value": 0.4321, "side": "too typical"}
    title = entries.row_title(face | entries.explanation({"iso": np.nan}, [], (-0.5, "nowhere")))
    assert title == "pass\np = 0.43\nno head varies\nno part"
