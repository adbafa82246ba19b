"""Licences by their address."""

import pytest

from pipeline.exif.licenses import check_license, license_of
from pipeline.exif.tags import Rejection

HOST = "http://creativecommons.org/licenses"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{HOST}/by/2.0/", "CC-BY"),
        (f" {HOST}/by-nc-sa/2.0", "CC-BY-NC-SA"),
        ("https://www.creativecommons.org/licenses/BY-SA/4.0/deed.de", "CC-BY-SA"),
        (f"{HOST}/by-nd", "CC-BY-ND"),
        ("https://example.org/?http://creativecommons.org/licenses/by/2.0/", ""),
        ("http://creativecommons.org.example.org/licenses/by/2.0/", ""),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ""),
        ("", ""),
    ],
)
def test_a_licence_has_its_name_from_its_address(url, name):
    assert license_of(url) == name


def test_only_the_licences_that_are_named_pass():
    check_license({"license_url": f"{HOST}/by-sa/2.0/"}, ["CC-BY", "CC-BY-SA"])
    for url, reason in ((f"{HOST}/by-nc-sa/2.0/", "license_other"), (" ", "license_missing")):
        with pytest.raises(Rejection, match=f"^{reason}$"):
            check_license({"license_url": url}, ["CC-BY", "CC-BY-SA"])
    with pytest.raises(Rejection, match=r"^license_missing$"):
        check_license({}, ["CC-BY"])
