"""The memo: a call with the same argument objects is made once, and only then."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.memo import memo, memoised


class Counted:
    """A function that counts its calls."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self.calls += 1
        return self.factor * sum(_tensors((*args, *kwargs.values())), torch.zeros(()))

    def method(self, *args: Any) -> Tensor:
        return self(*args)


def _tensors(args: tuple[Any, ...]) -> list[Tensor]:
    found = []
    for a in args:
        found += _tensors(a) if isinstance(a, tuple) else [a] if isinstance(a, Tensor) else []
    return found


def test_the_same_objects_are_computed_once() -> None:
    f, x, y = Counted(), torch.ones(2), torch.ones(2)
    with memoised():
        first = memo(f)(x, y)
        assert memo(f)(x, y) is first
        assert f.calls == 1
        assert memo(f)(y, x) is not first, "order matters"


def test_equal_values_in_another_object_are_another_call() -> None:
    f, x = Counted(), torch.ones(2)
    with memoised():
        assert memo(f)(x) is not memo(f)(x.clone())
    assert f.calls == 2


def test_tensors_in_tuples_go_by_identity_and_the_rest_by_value() -> None:
    f, x, y = Counted(), torch.ones(2), torch.ones(2)
    with memoised():
        first = memo(f)((x, (y,)), 3, None)
        assert memo(f)((x, (y,)), 3, None) is first, "a new tuple of the same tensors"
        assert memo(f)((x, (y,)), 4, None) is not first
        assert memo(f)((y, (x,)), 3, None) is not first
        assert memo(f)((x, (y,)), 3, x) is not first
    assert f.calls == 4


def test_keyword_arguments_are_told_apart() -> None:
    f, x, y = Counted(), torch.ones(2), torch.zeros(2)
    with memoised():
        first = memo(f)(x, early=y)
        assert memo(f)(x, early=y) is first
        assert memo(f)(x, early=x) is not first
        assert memo(f)(x, late=y) is not first
        assert memo(f)(x) is not first


def test_keys_are_held_so_that_no_identity_is_reused() -> None:
    """A freed tensor's address soon belongs to a new one; the table must not be fooled."""
    f = Counted()
    with memoised():
        for i in range(200):
            assert memo(f)(torch.full((3,), float(i)))[0] == 2 * i


def test_owners_of_methods_are_held_too() -> None:
    x = torch.ones(1)
    with memoised():
        for i in range(200):
            assert memo(Counted(float(i)).method)(x) == i


def test_methods_of_two_instances_are_two_functions() -> None:
    a, b, x = Counted(2.0), Counted(3.0), torch.ones(1)
    with memoised():
        assert memo(a.method)(x) == 2
        assert memo(b.method)(x) == 3
        assert memo(a.method)(x) == 2
    assert (a.calls, b.calls) == (1, 1)


def test_two_methods_and_two_modules_are_told_apart() -> None:
    layers, x = [nn.Linear(1, 1), nn.Linear(1, 1)], torch.ones(1, 1)
    f = Counted()
    with memoised():
        results = [memo(layer)(x) for layer in layers]
        assert [memo(layer)(x) for layer in layers] == results
        assert results[0] is not results[1]
        assert memo(f.method)(x) is not memo(f)(x)


def test_a_result_without_a_graph_is_not_served_where_gradients_are_wanted() -> None:
    f, x = Counted(), torch.ones(1, requires_grad=True)
    with memoised():
        with torch.no_grad():
            bare = memo(f)(x)
            assert memo(f)(x) is bare
        full = memo(f)(x)
        assert not bare.requires_grad and full.requires_grad
        with torch.no_grad():
            assert memo(f)(x) is bare
    assert f.calls == 2


def test_gradients_are_those_of_one_call_used_twice() -> None:
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def twice() -> Tensor:
        return memo(torch.sin)(x) * 2 + memo(torch.sin)(x) ** 2

    (plain,) = torch.autograd.grad(twice(), x)
    with memoised():
        (shared,) = torch.autograd.grad(twice(), x)
    torch.testing.assert_close(shared, plain, rtol=1e-15, atol=0)


def test_outside_it_is_the_function_itself() -> None:
    f = Counted()
    assert memo(f) is f
    with memoised():
        assert memo(f) is not f
    assert memo(f) is f, "closed again"


def test_switched_off_it_is_the_function_itself_even_inside_another() -> None:
    f = Counted()
    with memoised(enabled=False):
        assert memo(f) is f
    with memoised():
        with memoised(enabled=False):
            assert memo(f) is f
        assert memo(f) is not f


def test_every_evaluation_has_its_own_table() -> None:
    f, x = Counted(), torch.ones(1)
    with memoised():
        outer = memo(f)(x)
        with memoised():
            inner = memo(f)(x)
            assert inner is not outer, "a fresh table inside"
            assert memo(f)(x) is inner
        assert memo(f)(x) is outer, "the outer table is back"
    with memoised():
        assert memo(f)(x) is not outer, "nothing survives"
    assert f.calls == 3


def test_an_error_closes_the_table() -> None:
    f = Counted()
    with pytest.raises(KeyError), memoised():
        raise KeyError
    assert memo(f) is f
