"""NASA's shuttle readings, as the ``river`` wheel ships them: 49,097 rows of 9 sensors, 7 % anomalies (Statlog, class
1 against the rest; D. Michie et al., 1994)."""

import csv
import gzip
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Shuttle:
    """Standardised readings, float32 [n, 9]. ``train`` holds normal rows only; ``labels`` are 1 for an anomaly."""

    train: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray


def find():
    """Path of the readings, without importing river (its own dependencies are not needed). Raises FileNotFoundError."""
    spec = importlib.util.find_spec("river")
    for folder in spec.submodule_search_locations if spec else ():
        path = Path(folder) / "datasets" / "shuttle.csv.gz"
        if path.exists():
            return path
    raise FileNotFoundError("the shuttle readings come with the package river: pip install --no-deps river==0.26.1")


def load(seed=0):
    """Split the rows: half of the normal ones to train on, all others held out."""
    rows = csv.reader(io.StringIO(gzip.decompress(find().read_bytes()).decode()))
    next(rows)
    table = np.array([[float(x) for x in row] for row in rows])
    readings, anomaly = table[:, :-1], table[:, -1].astype(int)
    order = np.random.default_rng(seed).permutation(len(table))
    normal = order[anomaly[order] == 0]
    train = normal[: len(normal) // 2]
    rest = np.setdiff1d(order, train)
    mean, spread = readings[train].mean(0), readings[train].std(0) + 1e-6
    scaled = np.clip((readings - mean) / spread, -20, 20).astype(np.float32)
    return Shuttle(scaled[train], scaled[rest], anomaly[rest])
