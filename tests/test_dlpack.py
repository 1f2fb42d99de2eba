"""The reader of foreign memory: layouts it must understand, producers that lie, and the one call of the deleter."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ssiqa import _core, kernels

CPU, CUDA = 1, 2
INT, UINT, FLOAT = 0, 1, 2


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter))


class ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
capsule_name = ctypes.pythonapi.PyCapsule_GetName
capsule_name.restype = ctypes.c_char_p
capsule_name.argtypes = (ctypes.py_object,)


class Producer:
    """Hands out `values` in a capsule built by hand, and counts how often it is given back."""

    def __init__(self, values: np.ndarray, *, versioned: bool = True, flags: int = 0, major: int = 1, **overrides: Any):
        self.values = values
        self.released = 0
        self.device = (overrides.get("device_type", CPU), 0)
        self._deleter = Deleter(self._release)
        self._shape = (ctypes.c_int64 * values.ndim)(*values.shape)
        steps = [step // values.itemsize for step in values.strides]
        self._strides = (ctypes.c_int64 * values.ndim)(*steps)
        tensor = Tensor(
            values.ctypes.data, CPU, 0, values.ndim, FLOAT, 8 * values.itemsize, 1, self._shape, self._strides, 0
        )
        for name, value in overrides.items():
            setattr(tensor, name, value)
        if versioned:
            self._managed: Any = ManagedVersioned(major, 0, None, self._deleter, flags, tensor)
        else:
            self._managed = Managed(tensor, None, self._deleter)
        self._name = b"dltensor_versioned" if versioned else b"dltensor"
        self.capsule = new_capsule(ctypes.addressof(self._managed), self._name, None)
        self.shape = values.shape
        self.dtype = values.dtype

    def _release(self, _: int) -> None:
        self.released += 1

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class OldProducer(Producer):
    def __dlpack__(self) -> object:  # type: ignore[override]
        return self.capsule


def distances(x: Any) -> np.ndarray:
    out = np.empty((x.shape[0], x.shape[0]))
    _core.squared_distances(x, None, out)
    return out


VALUES = np.arange(12.0).reshape(4, 3) ** 2
EXPECTED = kernels.squared_distances(VALUES)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("strides", ["given", "null"])
def test_capsules_are_used_and_given_back_once(versioned: bool, strides: str) -> None:
    overrides = {"strides": None} if strides == "null" else {}
    producer = Producer(VALUES, versioned=versioned, **overrides)
    assert np.array_equal(distances(producer), EXPECTED)
    assert producer.released == 1
    assert capsule_name(producer.capsule) == (b"used_dltensor_versioned" if versioned else b"used_dltensor")
    with pytest.raises(ValueError, match="unused DLPack capsule"):
        distances(producer)
    assert producer.released == 1


def test_producers_from_before_version_one() -> None:
    producer = OldProducer(VALUES, versioned=False)
    assert np.array_equal(distances(producer), EXPECTED)
    assert producer.released == 1


def test_byte_offset() -> None:
    shifted = np.concatenate([np.full(5, np.nan), VALUES.ravel()])
    producer = Producer(VALUES, data=shifted.ctypes.data, byte_offset=5 * 8)
    assert np.array_equal(distances(producer), EXPECTED)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"device_type": CUDA}, "x must be in CPU memory"),
        ({"code": INT, "bits": 32}, "x must have dtype float32"),
        ({"code": UINT}, "x must have dtype float32"),
        ({"bits": 16}, "x must have dtype float32"),
        ({"lanes": 2}, "x must have dtype float32"),
        ({"code": INT}, "x must have dtype float32 or float64"),
        ({"data": None}, "x has no memory"),
        ({"byte_offset": 3}, "x must be aligned"),
        ({"shape": None}, "x has no shape"),
        ({"ndim": -1}, "x has no shape"),
        ({"ndim": 1}, "wrong number of axes"),
        ({"shape": (ctypes.c_int64 * 2)(-1, 3)}, "x has a negative size"),
        ({"shape": (ctypes.c_int64 * 2)(2**62, 4)}, "x is too large"),
        ({"shape": (ctypes.c_int64 * 2)(5, 3)}, "out has the wrong shape"),
        ({"major": 2}, "version of DLPack"),
    ],
)
def test_arrays_that_cannot_be_used_are_given_back(overrides: dict[str, Any], message: str) -> None:
    producer = Producer(VALUES, **overrides)
    producer.device = (CPU, 0)  # so that the capsule, too, is looked at
    with pytest.raises((TypeError, ValueError), match=message):
        distances(producer)
    assert producer.released == 1


def test_another_device_is_refused_before_its_memory_is_asked_for() -> None:
    producer = Producer(VALUES, device_type=CUDA)
    with pytest.raises(ValueError, match="x must be in CPU memory"):
        distances(producer)
    assert capsule_name(producer.capsule) == b"dltensor_versioned"


def test_what_is_no_array() -> None:
    class NoCapsule(Producer):
        def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object:
            return "capsule"

    class Failing(Producer):
        def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object:
            raise BufferError("not today")

    with pytest.raises(ValueError, match="unused DLPack capsule"):
        distances(NoCapsule(VALUES))
    with pytest.raises(BufferError, match="not today"):
        distances(Failing(VALUES))
    with pytest.raises(TypeError, match="supports DLPack"):
        _core.squared_distances([[1.0]], None, np.empty((1, 1)))


def test_output_must_be_writable_contiguous_and_right() -> None:
    read_only = np.empty((4, 4))
    read_only.flags.writeable = False
    producer = Producer(np.empty((4, 4)), flags=1)
    for out, message in (
        (read_only, "out must be writable"),
        (producer, "out must be writable"),
        (np.empty((4, 8))[:, ::2], "out must be contiguous"),
        (np.empty((4, 4), order="F"), "out must be contiguous"),
        (np.empty((3, 4)), "out has the wrong shape"),
    ):
        with pytest.raises(ValueError, match=message):
            _core.squared_distances(VALUES, None, out)
    with pytest.raises(TypeError, match="out must have dtype float64"):
        _core.squared_distances(VALUES, None, np.empty((4, 4), np.float32))
    assert producer.released == 1


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    lambda x: np.repeat(x, 3, axis=0)[::3],
    lambda x: x[::-1].copy()[::-1],
    lambda x: x[:, ::-1].copy()[:, ::-1],
    lambda x: np.broadcast_to(x[None], (2, *x.shape))[1],
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts(layout: Callable[[np.ndarray], np.ndarray], dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((60, 45)).astype(dtype)
    view = layout(x)
    view.flags.writeable = False
    assert np.array_equal(kernels.squared_distances(view), kernels.squared_distances(x))
    assert np.array_equal(
        kernels.rbf_matvec(view, x, view[:, :3], gamma=0.1), kernels.rbf_matvec(x, x, x[:, :3], gamma=0.1)
    )
    assert np.array_equal(
        kernels.krr_fit(view, view[:, 0], gamma=0.1, alpha=1.0),
        kernels.krr_fit(x, x[:, 0].copy(), gamma=0.1, alpha=1.0),
    )
    assert np.array_equal(
        kernels.smallest_difference(view[:, 0], view[:, 1], 9),
        kernels.smallest_difference(x[:, 0].copy(), x[:, 1].copy(), 9),
    )


def test_torch_layouts() -> None:
    x = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kernels.squared_distances(x.T.contiguous().T), kernels.squared_distances(x))
    assert torch.equal(kernels.squared_distances(x[:, 3:9]), kernels.squared_distances(x[:, 3:9].contiguous()))
    expanded = x[:1].expand(5, 30)
    assert torch.equal(kernels.squared_distances(expanded), torch.zeros(5, 5))


def test_memory_is_not_kept() -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    alive = weakref.ref(x)
    kernels.squared_distances(x)
    with pytest.raises(ValueError, match="finite"):
        kernels.squared_distances(x * np.nan)
    del x
    gc.collect()
    assert alive() is None
