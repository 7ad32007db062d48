"""cherche_rs answers what cherche answered: pipelines, rankers, evaluation, errors."""

import builtins

import pytest
from cherche_replay import Replay, cases, check

pytestmark = pytest.mark.filterwarnings("ignore:none of the documents to rank has a field")

FILES = (
    "compose",
    "compose_flow",
    "compose_real",
    "cross_encoder",
    "errors",
    "evaluate",
    "rankers",
    "retrieve_add",
    "retrieve_misc",
    "retrieve_odd",
    "retrieve_stores",
    "retrieve_tags",
    "retrieve_towns",
)
CASES = cases(*FILES)


@pytest.mark.parametrize(
    ("case", "single"),
    [(case, single) for _, case, single in CASES],
    ids=[name for name, _, _ in CASES],
)
def test_the_answers_of_cherche(case, single):
    if "expect_build" in case:
        with pytest.raises(getattr(builtins, case["expect_build"]["raises"])):
            Replay(case, single)
        return
    replay = Replay(case, single)
    assert len(case["steps"]) == len(case["expect"])
    for step, expected in zip(case["steps"], case["expect"], strict=True):
        if "raises" in expected:
            with pytest.raises(getattr(builtins, expected["raises"])):
                replay.run(step)
        else:
            check(expected, replay.run(step))
