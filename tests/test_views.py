"""What views of a block say, how surely, and what labels they make with the teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ssiqa import views
from ssiqa.neighbourhoods import neighbourhoods


def test_teacher_and_views_are_weighed_by_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two depths there are two views, of both and of the upper; together they have their harmonic mean variance."""
    said = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    stds = torch.tensor([0.0, 1.0, 3.0, 1.0], dtype=torch.float64)
    # Each is off by 2 or 1 everywhere: that is the size of its deviations, whose ratios are claimed.
    of_views = iter([(2.0, [5.0, 5.0, 5.0, 5.0]), (-1.0, [0.1, 0.1, 0.1, 0.1])])
    shapes = []

    def stand_in(features: Any, taught: Any, alike: Any, seed: int) -> Any:
        shapes.append(features.shape)
        assert torch.equal(taught, said)
        more, view_stds = next(of_views)
        return said + more, torch.tensor(view_stds, dtype=torch.float64)

    monkeypatch.setattr(views, "view", stand_in)
    found = views.pseudo_labels(torch.zeros(4, 5), (3, 2), said, stds, np.arange(4), 0)
    assert shapes == [(4, 5), (4, 2)]
    # Variances 4 and 1: precisions 1/4 and 1, together 2 / 5 - 4 / 5 = -2 / 5, of variance 8 / 5.
    weights = np.array([0, 1, 9, 1]) / (np.array([0, 1, 9, 1]) + 8 / 5)
    assert found.numpy() == pytest.approx(said.numpy() - 2 / 5 * weights)


def test_a_view_is_as_sure_as_it_is_right() -> None:
    """About labels that features do not tell, it is not sure, whatever its posterior says."""
    rng = np.random.default_rng(0)
    features, noise = (torch.from_numpy(rng.normal(size=size)) for size in ((60, 3), 60))
    told = features[:, 0]
    sure = []
    for said in (told, noise * told.std() / noise.std()):
        seen, claimed = views.view(features.float(), said, np.arange(60), 0)
        stds = views.as_right(seen, claimed, said)
        assert float(stds.square().mean()) == pytest.approx(float((seen - said).square().mean()))
        assert torch.equal(stds.argsort(), claimed.argsort())
        sure.append(float(stds.mean()))
    assert sure[1] > 2 * sure[0]


def test_a_view_never_sees_what_is_said_of_a_photo_or_of_those_like_it() -> None:
    """Nonsense said of one burst leaves its mark on the others, not on itself."""
    rng = np.random.default_rng(0)
    of = rng.permutation(np.repeat(np.arange(30), 4))
    features = (rng.normal(size=(30, 3))[of] + 0.01 * rng.normal(size=(120, 3))).astype(np.float32)
    labels = features[:, 0].astype(np.float64)
    spoilt = np.where(of == 7, labels + 1000, labels)
    said = [views.view(torch.from_numpy(features), torch.from_numpy(taught), of, 0) for taught in (labels, spoilt)]
    (clean, stds), (seen, _) = said
    assert torch.equal(seen[of == 7], clean[of == 7])
    assert (seen != clean).sum() > 60
    assert np.corrcoef(clean, labels)[0, 1] > 0.8
    alone = int(np.argmax(np.abs(features).max(1)))
    assert stds[alone] > stds.median()


@pytest.mark.parametrize("n", [views.FEWEST, 9, 14])
def test_few_photos_have_views_too(n: int) -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32))
    alike = neighbourhoods(features, 0)
    assert len(np.unique(alike)) >= 2
    seen, stds = views.view(features, features[:, 0].double(), alike, 0)
    assert torch.isfinite(seen).all()
    assert torch.isfinite(stds).all()


def test_photos_that_are_all_the_same_have_labels() -> None:
    said = torch.arange(12, dtype=torch.float64)
    features = torch.ones(12, 4)
    alike = neighbourhoods(features, 0)
    assert torch.isfinite(views.pseudo_labels(features, (2, 2), said, torch.ones_like(said), alike, 0)).all()


def test_who_was_taught_one_value_is_not_sure_of_it() -> None:
    """A photo unlike all others keeps most of what the teacher says of it."""
    features = torch.ones(12, 4)
    features[7] = -1
    said = torch.ones(12, dtype=torch.float64)
    said[7] = -2
    labels = views.pseudo_labels(features, (2, 2), said, torch.full_like(said, 0.3), neighbourhoods(features, 0), 0)
    assert labels[7] < -1


def test_a_view_learns_from_some_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LEARNT", 20)
    features = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    labels = features[:, 0].astype(np.float64)
    seen, _ = views.view(torch.from_numpy(features), torch.from_numpy(labels), np.arange(200), 0)
    assert np.corrcoef(seen, labels)[0, 1] > 0.8
