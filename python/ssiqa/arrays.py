"""Arrays of any library: their shapes and dtypes, new ones beside them, and what is said where they do not fit."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np


class Array(Protocol):
    """What is asked of an array, beyond `shape` and `dtype`."""

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


ArrayT = TypeVar("ArrayT", bound=Array)


def shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape)


@functools.cache  # naming a dtype takes longer than a small kernel
def _name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def dtype_name(array: Any) -> str:
    return _name(array.dtype)


def require_arrays(**arrays: Any) -> None:
    first_name, first_dtype = "", ""
    for name, array in arrays.items():
        if not hasattr(array, "__dlpack__"):
            raise TypeError(f"{name} must be an array such as numpy's or torch's, but it is a {type(array).__name__}.")
        dtype = _name(array.dtype)
        if dtype not in ("float32", "float64"):
            raise TypeError(f"{name} must have dtype float32 or float64, but it has {dtype}.")
        if not first_name:
            first_name, first_dtype = name, dtype
        elif dtype != first_dtype:
            raise TypeError(f"{name} must have the dtype of {first_name}, but they are {dtype} and {first_dtype}.")


def require_axes(name: str, array: Any, *allowed: int) -> None:
    if len(shape(array)) not in allowed:
        expected = " or ".join(str(count) for count in allowed)
        raise ValueError(f"{name} must have {expected} axes, but its shape is {shape(array)}.")


def require_same_columns(name: str, array: Any, x: Any) -> None:
    if shape(array)[-1] != shape(x)[-1]:
        raise ValueError(f"{name} must have as many columns as x, but their shapes are {shape(array)} and {shape(x)}.")


def require_same_batches(name: str, array: Any, x: Any) -> None:
    if shape(array)[:-2] != shape(x)[:-2]:
        raise ValueError(f"{name} must have as many batches as x, but their shapes are {shape(array)} and {shape(x)}.")


def require_same_rows(name: str, array: Any, other_name: str, other: Any) -> None:
    """(b?, n) or (b?, n, t) beside (b?, n, d), or (n,) beside (n,)."""
    leading = max(len(shape(other)) - 1, 1)
    if shape(array)[:leading] != shape(other)[:leading]:
        raise ValueError(
            f"{name} must have as many rows as {other_name}, but their shapes are {shape(array)} and {shape(other)}."
        )


def per_batch(name: str, value: float | Iterable[float], x: Any) -> list[float]:
    """One number for each batch of (b, n, d), or one for (n, d)."""
    batches = shape(x)[0] if len(shape(x)) == 3 else 1
    if not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return [float(value)] * batches  # type: ignore[arg-type]
    numbers = [float(number) for number in value]
    if len(shape(x)) != 3 or len(numbers) != batches:
        raise ValueError(f"{name} must be a number or, in batches, one for each of them, but there are {len(numbers)}.")
    return numbers


def require_vectors(pred: Any, target: Any) -> None:
    require_arrays(pred=pred, target=target)
    require_axes("pred", pred, 1)
    require_axes("target", target, 1)
    require_same_rows("target", target, "pred", pred)


def empty(like: Any, sizes: tuple[int, ...], dtype: str | None = None) -> Any:
    """An uninitialised array of the library of `like`, which is imported by now if it is torch, in the same memory."""
    name = dtype or dtype_name(like)
    if isinstance(like, np.ndarray):
        return np.empty(sizes, dtype=name)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(like, torch.Tensor):
        return torch.empty(sizes, dtype=getattr(torch, name), device=like.device)
    namespace = like.__array_namespace__()
    device = like.device if hasattr(like.device, "__enter__") else contextlib.nullcontext()  # CuPy's is where it is in
    with device:
        return namespace.empty(sizes, dtype=getattr(namespace, name))
