"""Sweeps of coordinate descent compiled: some forty lines of C, built at first use where there is a C compiler.

A sweep updates one short vector after the other, so that in PyTorch its time is that of launching operations and not of
computing. The C code does the same arithmetic, sample by sample, and reports by how much the objective fell, which
saves the products that computing it takes. Without a compiler, off the CPU, or with ``LITREPRO_COMPILE=0`` in the
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

WIDTH = 8  # vectors are padded with zeros to a multiple of so many entries

# dense: every sample shares (stride 0) or has its own matrix A (N, N); v_i <- normalize(A_i V).
# sparse: own columns of S as index and value; v_i <- normalize((own_i + keep) v_i - S_i' Z), Z = S V kept up to date.
# `fell` is the decrease of <V, C V>: row i changes it by 2 g.(new - old), with g the negative of what is normalized.
_SOURCE = r"""
#include <math.h>
#include <string.h>

#define CHUNK(T, W, STEP) { T acc[W]; for (int c = 0; c < W; c++) acc[c] = 0; STEP \
    for (int c = 0; c < W; c++) out[c0 + c] = acc[c]; c0 += W; }
#define CHUNKS(T, W_STEP) { long c0 = 0; \
    while (k - c0 >= 32) CHUNK(T, 32, W_STEP(32)) while (k - c0 >= 16) CHUNK(T, 16, W_STEP(16)) \
    while (k - c0 >= 8) CHUNK(T, 8, W_STEP(8)) }
#define DENSE(W) { real more[W]; long j = 0; for (int c = 0; c < W; c++) more[c] = 0; \
    for (; j + 1 < N; j += 2) { const real w = a[j], u = a[j + 1]; const real *x = v + j * k + c0, *y = x + k; \
      for (int c = 0; c < W; c++) { acc[c] += w * x[c]; more[c] += u * y[c]; } } \
    if (j < N) { const real w = a[j]; const real *x = v + j * k + c0; \
      for (int c = 0; c < W; c++) acc[c] += w * x[c]; } \
    for (int c = 0; c < W; c++) acc[c] += more[c]; }
#define SPARSE(W) for (long e = 0; e < count; e++) { const real w = -value[e]; const real *x = z + index[e] * k + c0; \
    for (int c = 0; c < W; c++) acc[c] += w * x[c]; }

/* out: minus the gradient; writes out / ||out|| over x, adds to *fell, and returns the largest change of an entry. */
static real replace(real *x, real *out, long k, real own, real keep, double *fell) {
  double squares[8] = {0}, inners[8] = {0}, pulls[8] = {0}, square = 0, inner = 0, pull = 0;
  real most[8] = {0}, largest = 0;
  for (long c0 = 0; c0 < k; c0 += 8) for (int c = 0; c < 8; c++) {
    const real g = out[c0 + c] + own * x[c0 + c], all = g + keep * x[c0 + c];
    inners[c] += (double)g * x[c0 + c]; pulls[c] += (double)g * g; squares[c] += (double)all * all; out[c0 + c] = all;
  }
  for (int c = 0; c < 8; c++) { square += squares[c]; inner += inners[c]; pull += pulls[c]; }
  const double norm = sqrt(square);
  const real scale = (real)(1 / norm);
  for (long c0 = 0; c0 < k; c0 += 8) for (int c = 0; c < 8; c++) {
    const real fresh = out[c0 + c] * scale, change = fresh - x[c0 + c], size = change < 0 ? -change : change;
    most[c] = size > most[c] ? size : most[c];
    out[c0 + c] = change; x[c0 + c] = fresh;
  }
  for (int c = 0; c < 8; c++) if (most[c] > largest) largest = most[c];
  *fell += 2 * (sqrt(pull) - inner);
  return largest;
}

void dense(const real *A, long stride, real *V, const unsigned char *free_, const unsigned char *active,
           double *fell, double *moved, real *out, long B, long N, long k, real keep) {
  for (long b = 0; b < B; b++) {
    if (!active[b]) continue;
    real *v = V + b * N * k; real most = 0;
    fell[b] = 0;
    for (long i = 0; i < N; i++) {
      if (!free_[b * N + i]) continue;
      const real *a = A + b * stride + i * N;
      CHUNKS(real, DENSE)
      const real m = replace(v + i * k, out, k, 0, keep, fell + b);
      if (m > most) most = m;
    }
    moved[b] = most;
  }
}

void sparse(const long *start, const long *indices, const real *values, const real *own, real *V, real *Z,
            const unsigned char *active, double *fell, real *out, long B, long M, long N, long k, real keep) {
  for (long b = 0; b < B; b++) {
    if (!active[b]) continue;
    real *v = V + b * N * k, *z = Z;
    memset(z, 0, sizeof(real) * M * k);
    fell[b] = 0;
    for (int pass = 0; pass < 2; pass++) for (long i = pass; i < N; i++) {
      const long from = start[b * N + i], count = start[b * N + i + 1] - from;
      const long *index = indices + from; const real *value = values + from; real *change = v + i * k;
      if (pass) {
        CHUNKS(real, SPARSE)
        replace(v + i * k, out, k, own[b * N + i], keep, fell + b);
        change = out;
      }
      for (long e = 0; e < count; e++) {
        real *x = z + index[e] * k; const real w = value[e];
        for (long c = 0; c < k; c++) x[c] += w * change[c];
      }
    }
  }
}
"""
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
def _library(real: str):
    """The compiled functions for ``float`` or ``double``, or None where they cannot be built."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None or os.name != "posix":
        return None
    key = hashlib.sha256(f"{_SOURCE} {real} {compiler} {_machine()}".encode()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        folder = Path(base) / "litrepro" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"sweeps-{real}-{key}.so"
        if not target.is_file():
            _build(compiler, real, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError, RuntimeError):
        return None


def _build(compiler: str, real: str, target: Path) -> None:
    """Compile under a temporary name, then rename: processes may do so side by side."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source, built = Path(folder) / "sweeps.c", Path(folder) / "sweeps.so"
        source.write_text(_SOURCE, encoding="utf-8")
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
    """Whether sweeps over this tensor run compiled."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.dtype in _REALS
        and os.environ.get("LITREPRO_COMPILE", "1") != "0"
        and _library(_REALS[tensor.dtype]) is not None
    )


def _address(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def padded(V: torch.Tensor) -> torch.Tensor:
    """A contiguous copy of V (B, N, k), k padded with zeros to a multiple of WIDTH."""
    k = V.shape[-1]
    return torch.nn.functional.pad(V, (0, -k % WIDTH)).contiguous().clone()


def _scalar(value: float, dtype: torch.dtype):
    return (ctypes.c_float if dtype == torch.float32 else ctypes.c_double)(value)


class DenseSweep:
    """v_i <- normalize(A_i V) for every free i, for samples that share A (N, N); in place.

    ``free`` (B, N) uint8; V (B, N, k) from ``padded``. ``keep`` is the weight of a row's own vector.
    """

    def __init__(self, A: torch.Tensor, free: torch.Tensor, k: int, keep: float):
        self.A, self.free, self.keep = A.contiguous(), free.contiguous(), keep
        self.run = _library(_REALS[A.dtype]).dense
        batch = len(free)
        self.fell = torch.zeros(batch, dtype=torch.float64, device="cpu")
        self.moved = torch.zeros(batch, dtype=torch.float64, device="cpu")
        self.out = torch.zeros(k + WIDTH, dtype=A.dtype, device="cpu")

    def __call__(self, V: torch.Tensor, active: torch.Tensor) -> None:
        """One sweep over the active samples (B,) uint8; ``fell`` and ``moved`` (B,) are written."""
        batch, rows, k = V.shape
        pointers = (self.free, active, self.fell, self.moved, self.out)
        sizes = (ctypes.c_long(n) for n in (batch, rows, k))
        self.run(
            _address(self.A), ctypes.c_long(0), _address(V), *map(_address, pointers), *sizes,
            _scalar(self.keep, V.dtype),
        )  # fmt: skip


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
        self.sizes, self.keep, self.run = (batch, m, rows), keep, _library(_REALS[S.dtype]).sparse
        self.fell = torch.zeros(batch, dtype=torch.float64, device="cpu")
        self.Z = torch.zeros(m, k + WIDTH, dtype=S.dtype, device="cpu")
        self.out = torch.zeros(k + WIDTH, dtype=S.dtype, device="cpu")

    def __call__(self, V: torch.Tensor, active: torch.Tensor) -> None:
        """One sweep over the active instances (b,) uint8 of V (b, N, k); ``fell`` (b,) is written."""
        batch, m, rows = self.sizes
        pointers = (self.start, self.index, self.value, self.own, V, self.Z, active, self.fell, self.out)
        sizes = (ctypes.c_long(n) for n in (batch, m, rows, V.shape[-1]))
        self.run(*map(_address, pointers), *sizes, _scalar(self.keep, V.dtype))
