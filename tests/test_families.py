"""What runs is in the parity tests; what does not run yet is refused by name."""

from __future__ import annotations

import pytest
from tiny_models.catalog import FAMILIES_NOT_BUILT, FORMS_NOT_BUILT, SPECS

import cherche_rs

_ONE_OF_EACH = {spec.family: name for name, spec in reversed(SPECS.items())}


@pytest.mark.parametrize("family", sorted(FAMILIES_NOT_BUILT))
def test_unbuilt_family_is_refused_by_name(zoo, family):
    name = _ONE_OF_EACH[family]
    with pytest.raises(ValueError, match=r"(?i)support") as raised:
        cherche_rs.CrossEncoder(str(zoo.path(name)))
    message = str(raised.value).lower()
    assert family.removesuffix("-modules") in message


@pytest.mark.parametrize("name", sorted(FORMS_NOT_BUILT))
def test_unbuilt_form_is_refused(zoo, name):
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        cherche_rs.CrossEncoder(str(zoo.path(name)))
