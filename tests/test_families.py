"""Families: those that run are in the parity tests, the others are refused by name."""

from __future__ import annotations

import cherche_rs
import pytest
from tiny_models.catalog import NOT_BUILT, SPECS

_ONE_OF_EACH = {spec.family: name for name, spec in reversed(SPECS.items())}


@pytest.mark.parametrize("family", sorted(NOT_BUILT))
def test_unbuilt_family_is_refused_by_name(zoo, family):
    name = _ONE_OF_EACH[family]
    with pytest.raises(ValueError, match=r"(?i)supported"):
        cherche_rs.CrossEncoder(str(zoo.path(name)))
