"""What every room's checks of arguments accept, and what they say otherwise."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from litrepro import _validate, runtime


class Speechless:
    """A model whose error says nothing."""

    def __call__(self, x):
        raise NotImplementedError


@pytest.mark.parametrize(
    "call",
    [
        lambda: _validate.positive_int("n", True),
        lambda: _validate.positive_int("n", 2.0),
        lambda: _validate.positive_int("n", 0),
        lambda: _validate.real("n", math.nan),
        lambda: _validate.real("n", "1"),
        lambda: _validate.real("n", True),
        lambda: _validate.real("n", 1.0, 1.0, 2.0, open_low=True),
        lambda: _validate.real("n", 2.0, 1.0, 2.0, open_high=True),
        lambda: _validate.real("n", 0.9, 1.0, 2.0),
        lambda: _validate.real("n", 2.1, 1.0, 2.0),
        lambda: _validate.decomposable("n", torch.ones(2, 2).half()),
        lambda: _validate.decomposable("n", torch.tensor([[math.nan]])),
        lambda: _validate.examples("n", (torch.ones(0, 2), torch.ones(0))),
        lambda: _validate.optional_path("n", 3),
        lambda: _validate.choice("n", None, ("a", "b")),
        lambda: _validate.float_tensor("n", [1.0]),
        lambda: _validate.float_tensor("n", torch.ones(3, dtype=torch.int64)),
        lambda: _validate.float_tensor("n", torch.ones(3), 2),
        lambda: _validate.same_kind(n=torch.ones(1), m=torch.ones(1, dtype=torch.float64)),
        lambda: _validate.function("n", 3),
        lambda: _validate.examples("n", None),
        lambda: _validate.examples("n", (torch.ones(2), torch.ones(3))),
        lambda: _validate.answer("n", None, torch.ones(2)),
        lambda: _validate.answer("n", torch.nn.Linear(3, 1), torch.ones(2)),
        lambda: _validate.answer("n", Speechless(), torch.ones(2)),
        lambda: _validate.random_source("n", "seed"),
        lambda: _validate.random_source("n", -1),
        lambda: _validate.random_source("n", 2**64),
        lambda: _validate.seed("n", 2**64),
        lambda: _validate.seed("n", -1),
        lambda: _validate.sequence("n", "text"),
        lambda: _validate.sequence("n", 5),
        lambda: _validate.sequence("n", (), 1),
        lambda: _validate.integer_tensor("n", [1]),
        lambda: _validate.integer_tensor("n", torch.ones(2, dtype=torch.bool)),
        lambda: _validate.integer_tensor("n", torch.ones(2, dtype=torch.int64), 2),
        lambda: _validate.boolean_tensor("n", np.ones(2, dtype=bool)),
        lambda: _validate.boolean_tensor("n", torch.ones(2, dtype=torch.bool), 2),
        lambda: _validate.broadcast(m=(2, 1), n=(3, 4, 5)),
        lambda: _validate.table("n", [1.0]),
        lambda: _validate.table("n", pd.DataFrame({"a": [1.0]}), ["b"]),
        lambda: _validate.table("n", pd.DataFrame({"a": ["x"]}), numeric=["a"]),
        lambda: _validate.device("n", "nowhere"),
        lambda: _validate.device("n", None),
        lambda: _validate.instance("n", 3, str),
        lambda: _validate.floating_dtype("n", torch.int64),
        lambda: _validate.floating_dtype("n", "float32"),
        lambda: _validate.integers_as("n", torch.ones(2, dtype=torch.bool), torch.float32),
        lambda: _validate.finite(m=torch.ones(2), n=torch.tensor([1.0, math.inf])),
    ],
)
def test_bad_arguments_are_named(call):
    with pytest.raises(ValueError, match=r"\bn\b"):
        call()


def test_good_arguments_come_back():
    assert _validate.positive_int("n", np.int64(3)) == 3
    assert _validate.positive_int("n", torch.tensor(3)) == 3
    assert _validate.real("n", torch.tensor(0.5), 0, 1) == 0.5
    assert _validate.real("n", 0, 0, 1) == 0.0
    assert _validate.real("n", 1, 0, 1) == 1.0
    assert _validate.function("n", len) is len
    assert len(_validate.examples("n", [torch.ones(2, 3), torch.ones(2)])) == 2
    assert _validate.sequence("n", range(2)) == [0, 1]
    assert _validate.sequence("n", [], 0) == []
    _validate.finite(n=torch.ones(2))
    assert _validate.integer_tensor("n", torch.ones(2, dtype=torch.uint8), 1).sum() == 2
    assert _validate.boolean_tensor("n", torch.ones(2, dtype=torch.bool)).all()
    assert _validate.broadcast(m=(2, 1), n=(4,)) == (2, 4)
    assert len(_validate.table("n", pd.DataFrame({"a": [1.0], "b": ["x"]}), ["b"], numeric=["a"])) == 1
    assert _validate.instance("n", 3, int) == 3
    assert _validate.floating_dtype("n", torch.float16) is torch.float16
    assert _validate.device("n", "cpu") == _validate.device("n", torch.device("cpu"))
    _validate.same_kind(n=torch.ones(1), m=torch.zeros(2))


def test_generators_and_seeds():
    source = torch.Generator().manual_seed(7)
    assert _validate.random_source("n", source) is source
    draws = [torch.rand(3, generator=_validate.random_source("n", seed)) for seed in (7, None, 0)]
    torch.testing.assert_close(draws[0], torch.rand(3, generator=source))
    torch.testing.assert_close(draws[1], draws[2])


def test_integers_become_what_is_asked_and_the_rest_stays():
    half = torch.ones(2, dtype=torch.float16)
    for other in (half, torch.ones(2, dtype=torch.complex64), [1], None):
        assert _validate.integers_as("n", other, torch.float64) is other
    torch.testing.assert_close(
        _validate.integers_as("n", torch.tensor([1, -2]), torch.float16), half * half.new([1, -2])
    )
    ticks = torch.tensor([True, False])
    assert _validate.integers_as("n", ticks, torch.float64, booleans=True).tolist() == [1.0, 0.0]


def test_values_are_known_outside_of_maps_alone():
    assert _validate.known(torch.tensor(True)) is True
    assert _validate.known(torch.tensor(0)) is False
    seen = []
    torch.func.vmap(lambda x: seen.append(_validate.known(x > 0)) or x)(torch.ones(2))
    assert seen == [None]


def test_streams_of_a_seed_are_apart_and_repeat():
    first = [torch.rand(4, generator=each) for each in runtime.streams(3, 2)]
    torch.testing.assert_close(first[1], torch.rand(4, generator=runtime.stream(3, 1)))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], torch.rand(4, generator=runtime.stream(4, 1)))
    # What torch takes for a seed is finite, whatever the seeds that it is made of.
    assert {0 <= runtime.stream_seed(seed, index) < 2**63 for seed in (0, 2**64 - 1) for index in (0, 10**9)} == {True}
