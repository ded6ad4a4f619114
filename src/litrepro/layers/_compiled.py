"""Sweeps of coordinate descent compiled: C, built at first use where there is a C compiler.

A sweep updates one short vector after the other, so that in PyTorch its time is that of launching operations and not of
computing. The C code (`_kernels`) does the same arithmetic, sample by sample, and knows by how much the objective fell,
which saves the products that computing it takes. Without a compiler, off the CPU, or with ``LITREPRO_COMPILE=0`` in the
environment, ``available`` is False and the callers iterate in PyTorch.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from litrepro.layers import _kernels

WIDTH = 8  # vectors are padded with zeros to a multiple of so many entries where instances have an S of their own
VECTOR = 64  # and to so many bytes where they share C
PANEL = 8  # rows of C that are read side by side, at most
_REALS = {torch.float32: "float", torch.float64: "double"}


def _machine() -> str:
    """What decides the machine code: the processor, its extensions, and the compiler."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        flags = "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
    except OSError:
        flags = platform.processor()
    return f"{platform.machine()} {platform.system()} {flags}"


@functools.cache
def _library(real: str, source: str):
    """A source's compiled functions for ``float`` or ``double``, or None where they cannot be built."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None or os.name != "posix":
        return None
    key = hashlib.sha256(f"{source} {real} {compiler} {_machine()}".encode()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        folder = Path(base) / "litrepro" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"sweeps-{real}-{key}.so"
        if not target.is_file():
            _build(compiler, real, source, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError, RuntimeError):
        return None


def _build(compiler: str, real: str, code: str, target: Path) -> None:
    """Compile under a temporary name, then rename: processes may do so side by side."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source, built = Path(folder) / "sweeps.c", Path(folder) / "sweeps.so"
        source.write_text(code, encoding="utf-8")
        command = [*compiler.split(), "-O3", "-march=native", "-fno-math-errno", f"-Dreal={real}", "-shared", "-fPIC"]
        for attempt in (command, [word for word in command if word != "-march=native"]):
            done = subprocess.run(
                [*attempt, "-o", str(built), str(source), "-lm"], capture_output=True, timeout=60, check=False
            )
            if done.returncode == 0:
                os.replace(built, target)
                return
        raise RuntimeError(done.stderr.decode(errors="replace"))


def available(tensor: torch.Tensor) -> bool:
    """Whether what is done to this tensor runs compiled."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.dtype in _REALS
        and os.environ.get("LITREPRO_COMPILE", "1") != "0"
        and all(_library(_REALS[tensor.dtype], code) is not None for code in (_kernels.SHARED, _kernels.OWN))
    )


def _address(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def padded(V: torch.Tensor, width: int = WIDTH) -> torch.Tensor:
    """A contiguous copy of V (B, N, k), k padded with zeros to a multiple of ``width``."""
    k = V.shape[-1]
    return torch.nn.functional.pad(V, (0, -k % width)).contiguous().clone()


def _scalar(value: float, dtype: torch.dtype):
    return (ctypes.c_float if dtype == torch.float32 else ctypes.c_double)(value)


class Shared:
    """Samples that share a symmetric C (N, N) with a zero diagonal; ``free`` (N, B, 1) are the rows that change."""

    def __init__(self, C: torch.Tensor, free: torch.Tensor):
        self.C, self.free = C.contiguous(), free[..., 0].T.to(torch.uint8).contiguous()
        self.library = _library(_REALS[C.dtype], _kernels.SHARED)
        self.library.descend.restype = ctypes.c_long

    def _rows(self, V: torch.Tensor) -> torch.Tensor:
        """(N, B, k) -> (B, N, k) of its own, padded."""
        return padded(V.transpose(0, 1), VECTOR // V.element_size())

    def _call(self, function: str, tensors: tuple, sizes: tuple[int, ...], *rest):
        """Call with room for row numbers, panels of C and seven sets of rows."""
        (rows, k), C = tensors[0].shape[1:], self.C
        rows_of_sample = torch.empty(rows, dtype=torch.int64, device="cpu")
        panels = torch.empty((rows + PANEL) * rows, dtype=C.dtype, device="cpu")
        work = torch.empty(7 * (rows + PANEL) * k, dtype=C.dtype, device="cpu")
        first, *others = tensors
        pointers = (C, first, self.free, *others, rows_of_sample, panels, work)
        return getattr(self.library, function)(*map(_address, pointers), *map(ctypes.c_long, sizes), *rest)

    def descend(
        self, V: torch.Tensor, objective: torch.Tensor, max_iter: int, tol: float, keep: float
    ) -> tuple[torch.Tensor, int]:
        """v_i <- -g_i / ||g_i|| row by row from V (N, B, k), until each sample stops: (V, most sweeps of a sample).

        ``objective`` (B,) float64 at V is brought up to date; ``keep`` is the weight of a row's own vector.
        """
        W = self._rows(V)
        still = 4 * torch.finfo(V.dtype).eps
        sweeps = self._call(
            "descend", (W, objective), W.shape, _scalar(keep, V.dtype), ctypes.c_long(max_iter), ctypes.c_double(tol),
            ctypes.c_double(still),
        )  # fmt: skip
        return W[..., : V.shape[-1]].transpose(0, 1).contiguous(), sweeps

    def solve(
        self, V: torch.Tensor, grad: torch.Tensor, iterations: int, damping: float, residual: float
    ) -> torch.Tensor:
        """u (N, B, k) with P_o(w_o u_o + sum_j C_oj u_j) = P_o grad_o on the free rows, 0 on the others.

        w_o is ||g_o|| plus ``damping`` times its mean.
        """
        W, G = self._rows(V), self._rows(grad)
        U = torch.empty_like(W)
        self._call(
            "solve", (W, G, U), W.shape, ctypes.c_long(iterations), ctypes.c_double(damping),
            ctypes.c_double(residual**2),
        )  # fmt: skip
        return U[..., : V.shape[-1]].transpose(0, 1).contiguous()


class SparseSweep:
    """One pass of coordinate descent for instances with an S (b, m, N) of their own, rows 1..N - 1; in place."""

    def __init__(self, S: torch.Tensor, k: int, keep: float):
        batch, m, rows = S.shape
        columns = S.mT.reshape(batch * rows, m)
        where = columns.nonzero()
        self.start = torch.zeros(batch * rows + 1, dtype=torch.int64, device="cpu")
        self.start[1:] = (columns != 0).sum(1).cumsum(0)
        self.index = where[:, 1].contiguous()
        self.value = columns[where[:, 0], where[:, 1]].contiguous()
        self.own = columns.square().sum(1).contiguous()
        self.sizes, self.keep, self.run = (batch, m, rows), keep, _library(_REALS[S.dtype], _kernels.OWN).sparse
        self.fell = torch.zeros(batch, dtype=torch.float64, device="cpu")
        self.Z = torch.zeros(m, k + WIDTH, dtype=S.dtype, device="cpu")
        self.out = torch.zeros(k + WIDTH, dtype=S.dtype, device="cpu")

    def __call__(self, V: torch.Tensor, active: torch.Tensor) -> None:
        """One sweep over the active instances (b,) uint8 of V (b, N, k); ``fell`` (b,) is written."""
        batch, m, rows = self.sizes
        pointers = (self.start, self.index, self.value, self.own, V, self.Z, active, self.fell, self.out)
        sizes = (ctypes.c_long(n) for n in (batch, m, rows, V.shape[-1]))
        self.run(*map(_address, pointers), *sizes, _scalar(self.keep, V.dtype))
