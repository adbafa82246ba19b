"""What is left out is counted by reason, with the first name and its cause."""

from pipeline.common.tally import Tally


def test_the_first_name_and_cause_of_a_reason_stay():
    tally = Tally()
    tally.add("broken", "a.png", "no end")
    tally.add("broken", "b.png", "no start")
    tally.add("missing", "c.png")
    assert tally == {
        "broken": {"count": 2, "first": "a.png", "cause": "no end"},
        "missing": {"count": 1, "first": "c.png"},
    }
    assert tally.total == 3
    assert str(tally) == "2 x broken (first: a.png: no end), 1 x missing (first: c.png)"


def test_names_that_cannot_be_printed_are_escaped():
    tally = Tally()
    tally.add("broken", "a\udcff\n\x1b[31m.png", "é\r")
    assert tally["broken"]["first"] == "a\\udcff\\n\\x1b[31m.png"
    assert tally["broken"]["cause"] == "é\\r"
