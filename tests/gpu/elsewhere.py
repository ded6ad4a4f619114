"""A device that is none: its tensors say that they lie elsewhere, and are computed on the CPU.

What fails on a GPU because something lies on the wrong side fails here too, on any machine: operations on tensors of
two devices, a generator of the wrong one, a tensor given to NumPy without a copy to the CPU. Kernels, precision and
speed of a GPU are not imitated. It rests on a part of PyTorch that is still experimental (``AVAILABLE`` says whether it
is there) and is registered once per process, at the first use of ``elsewhere()``.
"""

from __future__ import annotations

import contextlib
import functools
import runpy
import sys

import torch
from torch.utils import backend_registration

NAME = "elsewhere"
AVAILABLE = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
OF_THE_CPU = torch.Generator
aten = torch.ops.aten
# What PyTorch lets copy or index across devices.
COPIES, INDEXED = {aten.copy_.default}, {"index", "index_put", "index_put_", "_index_put_impl_"}


class MixedDevices(RuntimeError):
    """An operation that a GPU would refuse."""


class Elsewhere(torch.Tensor):
    """``here``, a tensor of the CPU, under the name of the other device."""

    @staticmethod
    def __new__(cls, here: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), here.stride(), here.storage_offset(), dtype=here.dtype, device=torch.device(NAME, 0)
        )
        made.here = here
        return made

    def __repr__(self):
        return f"{self.here!r} elsewhere"

    def __reduce_ex__(self, protocol):  # a file of it is read with map_location="cpu"
        return self.here.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return compute(operation, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


class GeneratorElsewhere(OF_THE_CPU):
    """A generator of the other device."""

    device = property(lambda self: torch.device(NAME, 0))


class _Kind(type(OF_THE_CPU)):
    def __instancecheck__(cls, value):
        return isinstance(value, OF_THE_CPU)


class Generator(metaclass=_Kind):
    """Stands in for ``torch.Generator``."""

    def __new__(cls, device="cpu"):
        return GeneratorElsewhere() if is_elsewhere(device) else OF_THE_CPU(device)


def is_elsewhere(device) -> bool:
    """Whether this names the other device."""
    return device is not None and torch.device(device).type == NAME


def here(value):
    """The tensor of the CPU behind a tensor of the other device; anything else as it is."""
    return value.here if isinstance(value, Elsewhere) else value


def put(value):
    """A tensor under the name of the other device; anything else as it is."""
    if not isinstance(value, torch.Tensor) or isinstance(value, Elsewhere):
        return value
    # The wrapper has no room for marks that stand for an operation not yet done.
    if value._is_zerotensor():
        value = torch.zeros(value.shape, dtype=value.dtype)
    return Elsewhere(value.resolve_conj().resolve_neg())


def mapped(function, value):
    """The function of every leaf of nested lists and tuples (PyTorch's trees know more kinds, and are slower)."""
    if isinstance(value, list | tuple):
        found = [mapped(function, part) for part in value]
        return found if isinstance(value, list) else tuple(found)
    return function(value)


def tensors_of(values) -> list[torch.Tensor]:
    """The tensors among the arguments of an operation."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_of(value)
    return found


def compute(operation, args, kwargs):
    """An operation of which some tensor, or the device asked for, is elsewhere."""
    leaves = tensors_of((*args, *kwargs.values()))
    there = [value for value in leaves if isinstance(value, Elsewhere)]
    refuse_mixtures(operation, leaves, args)
    device = kwargs.get("device")
    kwargs = {key: torch.device("cpu") if key == "device" else mapped(here, value) for key, value in kwargs.items()}
    found = operation(*mapped(here, args), **kwargs)
    if operation is aten._local_scalar_dense.default:
        return found
    if operation is aten._to_copy.default:
        found = found.clone() if found.data_ptr() == here(args[0]).data_ptr() else found
        return put(found) if is_elsewhere(args[0].device if device is None else device) else found
    if operation in COPIES and not isinstance(args[0], Elsewhere):
        return args[0]
    for value in there:
        follow(value)
    known = {id(value.here): value for value in there}
    return mapped(lambda value: known.get(id(value)) if id(value) in known else put(value), found)


def follow(value: Elsewhere) -> None:
    """Give the wrapper the shape that an operation in place gave to what is behind it."""
    if (value.shape, value.stride()) != (value.here.shape, value.here.stride()):
        behind = value.here
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.Python)):
            value.data = Elsewhere(behind)
        value.here = behind


def refuse_mixtures(operation, leaves, args) -> None:
    """Numbers may come from the CPU, other tensors not, but for copies and indices."""
    sides = {isinstance(value, Elsewhere) for value in leaves if value.ndim}
    alone = {isinstance(value, Elsewhere) for value in leaves}
    if operation in COPIES or len(alone) < 2:
        return
    if operation.__name__.split(".")[0] in INDEXED and isinstance(args[0], Elsewhere):
        others = [value for value in leaves if not isinstance(value, Elsewhere)]
        if all(value.dtype in (torch.int64, torch.int32, torch.bool) or not value.ndim for value in others):
            return
    # A number of the CPU joins tensors elsewhere; a number elsewhere does not join tensors of the CPU.
    if sides != {True}:
        shapes = [(tuple(value.shape), value.device.type) for value in leaves]
        raise MixedDevices(f"{operation} got tensors of two devices: {shapes}")


class Calls(torch.overrides.TorchFunctionMode):
    """Calls that do not reach the dispatcher as they were written."""

    def __torch_function__(self, call, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(call, "__name__", "")
        first = args[0] if args else None
        if name in ("tensor", "as_tensor", "asarray") and not isinstance(first, torch.Tensor):
            to = kwargs.pop("device", None)
            made = call(plain(first), *args[1:], **kwargs, device="cpu" if is_elsewhere(to) else to)
            return made.to(to) if is_elsewhere(to) else made
        if isinstance(first, Elsewhere):
            if name == "new_tensor":
                to = kwargs.pop("device", first.device)
                return torch.tensor(plain(args[1]), **{"dtype": first.dtype, **kwargs}, device="cpu").to(to)
            if name in ("__getitem__", "__setitem__"):
                return call(first, indices(args[1]), *args[2:])
            if name == "tolist":
                return first.here.detach().tolist()
            if name == "__set__" and call.__self__ is torch.Tensor.data:
                call(*args)
                first.here = args[1].here
                return None
        for value in (*args, kwargs.get("generator")):
            if isinstance(value, OF_THE_CPU):
                tensors = [one for one in args if isinstance(one, torch.Tensor)]
                to = kwargs.get("device") or (tensors[0].device if tensors else "cpu")
                if is_elsewhere(to) != isinstance(value, GeneratorElsewhere):
                    raise MixedDevices(f"{name} draws on {to} with a generator of {value.device}")
        return call(*args, **kwargs)


def plain(data):
    """Nested lists with numbers in the place of tensors without dimensions."""
    return mapped(lambda value: value.item() if isinstance(value, Elsewhere) and not value.ndim else value, data)


def indices(index):
    """Lists among the indices as tensors, which is what PyTorch makes of them."""
    if isinstance(index, tuple):
        return tuple(map(indices, index))
    if isinstance(index, list) or (type(index).__module__ == "numpy" and getattr(index, "ndim", 0)):
        made = torch.as_tensor(plain(index), device="cpu")
        return (made if made.numel() else made.long()).to(NAME)
    return index


@functools.cache
def register() -> torch.library.Library:
    """Tell PyTorch of the device; what is returned has to be kept."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda operation, *args, **kwargs: compute(operation, args, kwargs), "PrivateUse1")
    return library


@contextlib.contextmanager
def elsewhere():
    """The name of the device, for as long as it is to be used."""
    register()
    torch.Generator = Generator
    try:
        with Calls():
            yield NAME
    finally:
        torch.Generator = OF_THE_CPU


def main(page: str) -> None:
    """Run a page as a script while the device can be had; ``LITREPRO_DEVICE=elsewhere`` makes the page use it."""
    with elsewhere():
        runpy.run_path(page, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
