"""Density clustering, tomography and grain growth beside scikit-learn, scikit-image and plain loops.

On one core of a CPU grain growth is 50 to 55 times as fast as the loop over sites (8 images of 64^2), short of the
factor of 100 aimed at.
"""

from __future__ import annotations

import math

import torch
from _timing import arguments, best_of, report, skip

from litrepro.materials import dbscan, fbp, phantom, potts_growth, radon, voronoi_labels

Row = tuple[str, str, float, float]


def clustering(counts: list[int]) -> list[Row]:
    """DBSCAN of uniform points, about eight neighbours each, in the plane and of voxels in space."""
    from sklearn.cluster import DBSCAN

    rows = []
    for count in counts:
        for d in (2, 3):
            points = torch.rand(count, d, dtype=torch.float64, generator=torch.Generator().manual_seed(d))
            eps = (8 / count / (math.pi if d == 2 else 4 / 3 * math.pi)) ** (1 / d)
            peer = DBSCAN(eps=eps, min_samples=6)
            labels = torch.as_tensor(peer.fit(points.numpy()).labels_)
            ours, kind = dbscan(points, eps, 6)
            core = kind == 2
            if not torch.equal(ours[core], labels[core]) or not torch.equal(ours < 0, labels < 0):
                raise AssertionError("the partitions differ")
            rows.append(
                (
                    f"dbscan, {count:,} points in {d}-D",
                    "sklearn DBSCAN",
                    best_of(lambda p=points, e=eps: dbscan(p, e, 6), 3),
                    best_of(lambda p=points, m=peer: m.fit(p.numpy()), 2),
                )
            )
    return rows


def tomography(n: int, depth: int, projections: int) -> list[Row]:
    """Projection and reconstruction of a stack against scikit-image, slice by slice."""
    from skimage.transform import iradon
    from skimage.transform import radon as peer_radon

    volume = phantom(n, depth, seed=0)
    angles = torch.arange(projections) * (math.pi / projections)
    degrees = torch.rad2deg(angles).numpy()

    def ours() -> torch.Tensor:
        return fbp(radon(volume, angles), angles)

    def theirs() -> list:
        return [iradon(peer_radon(image.numpy(), degrees), degrees, output_size=n) for image in volume]

    back, peer = ours(), torch.stack([torch.as_tensor(image) for image in theirs()])
    error = [(image - volume).square().mean().sqrt().item() for image in (back, peer)]
    print(f"root mean square error of the reconstruction: ours {error[0]:.4f}, scikit-image {error[1]:.4f}")
    return [(f"radon + fbp, {depth} slices of {n}^2", "scikit-image", best_of(ours, 3), best_of(theirs, 1))]


def growth(n: int, sweeps: int, batch: int, device: str) -> list[Row]:
    """Potts sweeps of a batch on sublattices against a loop over sites, which is timed on one image and scaled."""
    labels = voronoi_labels(n, 200, batch, seed=0)
    on_device = labels.to(device)
    ours = best_of(lambda: potts_growth(on_device, sweeps), 2)

    def loop() -> None:
        site_by_site(labels[0].tolist(), 2)

    return [
        (
            f"potts_growth, {batch} x {n}^2, {sweeps} sweeps",
            "site-by-site loop",
            ours,
            best_of(loop, 1) * batch * sweeps / 2,
        )
    ]


def site_by_site(image: list[list[int]], sweeps: int, temperature: float = 0.5) -> None:
    """The textbook Potts model, in Python."""
    import random

    n = len(image)
    around = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    draw = random.Random(0)
    for _ in range(sweeps * n * n):
        i, j = draw.randrange(n), draw.randrange(n)
        near = [image[(i + a) % n][(j + b) % n] for a, b in around]
        new, old = draw.choice(near), image[i][j]
        change = near.count(old) - near.count(new)
        if change <= 0 or draw.random() < math.exp(-change / temperature):
            image[i][j] = new


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows: list[Row] = growth(64, 40, 8, args.device)
    peers = [
        (
            "clustering",
            "scikit-learn",
            lambda: clustering([3000, 30_000] if args.quick else [3000, 100_000, 1_000_000]),
        ),
        ("radon + fbp", "scikit-image", lambda: tomography(*((65, 24, 48) if args.quick else (128, 64, 90)))),
    ]
    for task, peer, measure in peers:
        try:
            rows += measure()
        except ImportError as error:
            skip(task, peer, error)
    report(rows)


if __name__ == "__main__":
    main()
