"""Statistics of arrays with gaps agree with numpy's functions."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnn.features.nan_statistics import among_peers, nanmedian, or_zero

_NUMBERS = st.floats(-1e6, 1e6) | st.just(np.nan)


@given(arrays(float, (2, 3, 5), elements=_NUMBERS), st.integers(0, 2), st.booleans())
def test_the_median_is_numpys_with_gaps(values: np.ndarray, axis: int, keepdims: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmedian(values, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(nanmedian(values, axis=axis, keepdims=keepdims), expected)


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_the_median_is_numpys_without_gaps(points: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, points))
    np.testing.assert_allclose(nanmedian(values, axis=1), np.median(values, axis=1))


def test_what_is_no_number_is_zero() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf, -2.0])
    assert or_zero(values).tolist() == [1.0, 0.0, 0.0, 0.0, -2.0]


def test_a_service_without_a_value_is_no_peer() -> None:
    alone = among_peers(np.array([[1.0, 1.1, 1.2, 9.0]]))[0]
    beside_a_gap = among_peers(np.array([[1.0, 1.1, np.nan, 1.2, 9.0]]))[0]
    np.testing.assert_allclose(beside_a_gap[[0, 1, 3, 4]], alone)
    assert beside_a_gap[2] == 0.0
