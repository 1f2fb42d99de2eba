"""Kernel width and penalty by groups that are left out whole."""

from __future__ import annotations

import numpy as np
import pytest

from ssiqa import KernelRidge, group_out, kernels


def test_errors_are_those_of_refits() -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(40, 3)), rng.integers(0, 6, 40)
    y = 5 + np.sin(x[:, 0]) + 0.1 * rng.normal(size=40)
    gammas, alphas = np.array([0.05, 0.5]), np.array([0.01, 1.0])
    found = group_out.from_distances(kernels.squared_distances(x), y, groups, gammas, alphas)
    for row, gamma in enumerate(gammas):
        for column, alpha in enumerate(alphas):
            errors = np.empty(40)
            for group in np.unique(groups):
                inside = groups == group
                model = KernelRidge(gamma, alpha).fit(x[~inside], y[~inside])
                errors[inside] = y[inside] - model.predict(x[inside])
            assert found[row, column] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)


def test_a_matrix_that_cannot_be_inverted_is_no_choice() -> None:
    x = np.repeat(np.arange(4.0), 5)[:, None]  # duplicates
    found = group_out.from_distances(
        kernels.squared_distances(x), x[:, 0], np.arange(20) % 4, np.array([1.0]), np.array([0.0, 0.1])
    )
    assert np.isinf(found[0, 0])
    assert np.isfinite(found[0, 1])


def test_few_large_groups_are_enough_to_choose_by() -> None:
    """Versions of a few contents: one row of each would be a dozen rows of hundreds of features, and say nothing."""
    rng = np.random.default_rng(0)
    contents, versions = 12, 20
    quality = np.tile(np.linspace(-1, 1, versions), contents)
    groups = np.repeat(np.arange(contents), versions)
    x = rng.normal(size=(contents, 60))[groups] + np.outer(quality, rng.normal(size=60)) * 0.5
    x += 0.3 * rng.normal(size=x.shape)
    new = rng.normal(size=(1, 60)) + np.outer(np.linspace(-1, 1, 50), (x[19] - x[0]) / 2)
    model = KernelRidge().fit(x, quality, groups)
    assert model.n_selection_ == len(x)
    assert np.corrcoef(model.predict(new), np.linspace(-1, 1, 50))[0, 1] > 0.9


def test_many_groups_are_chosen_on_by_one_row_each() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    assert KernelRidge().fit(x, x[:, 0], np.arange(300) % 150).n_selection_ == 150
