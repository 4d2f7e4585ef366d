"""Writes what scikit-learn computes for small references, for the parity tests of umid-detect.

Requires scripts/requirements.txt. Run from the repository root:

    python scripts/make_detector_fixtures.py [OUTPUT_DIR] [SEED]

Inputs are rounded to four decimals so that the files stay small and hold exactly what was fitted.
Another directory and seed give further cases of the same kind; point the parity tests at them with
the environment variable UMID_DETECT_FIXTURES.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

DEFAULT_OUTPUT = Path("crates/umid-detect/tests/fixtures")
DEFAULT_SEED = 20260314
QUERIES = 12
# The default of 1e-3 leaves decision values up to 4e-3 away from the optimum, and which ones
# depends on the order of the rows.
SVM_TOLERANCE = 1e-6


def references(rng):
    """Named references [texts, signals] and queries that are wider than they are."""

    def normal(rows, columns):
        return rng.normal(size=(rows, columns))

    def with_queries(reference):
        columns = reference.shape[1]
        wide = 2.0 * normal(QUERIES - 2, columns)
        return np.round(reference, 4), np.round(np.vstack([wide, reference[:2]]), 4)

    distinct = normal(15, 2)
    mostly_one = np.vstack([np.tile(normal(1, 2), (30, 1)), normal(40, 2)])
    rng.shuffle(mostly_one)
    shifted = np.vstack([normal(40, 2), normal(25, 2) * 0.2 + 4.0])
    return {
        "gaussian_2d": with_queries(normal(60, 2)),
        "gaussian_6d": with_queries(normal(80, 6)),
        "gaussian_18d": with_queries(normal(60, 18)),
        "heavy_tailed_2d": with_queries(rng.standard_t(2.0, size=(80, 2))),
        "two_densities": with_queries(shifted),
        "unscaled": with_queries(normal(60, 3) * [100.0, 0.01, 1.0] + [5.0, 0.3, -40.0]),
        "each_row_four_times": with_queries(np.repeat(distinct, 4, axis=0)),
        "more_copies_than_neighbours": with_queries(mostly_one),
        "eight_rows": with_queries(normal(8, 2)),
        "two_rows": with_queries(normal(2, 2)),
    }


def with_fits(cases, fits):
    """One entry per reference: its rows, its queries and what each setting gives on them."""
    return [
        {
            "name": name,
            "reference": reference.tolist(),
            "queries": queries.tolist(),
            "fits": list(fits(reference, queries)),
        }
        for name, (reference, queries) in cases.items()
    ]


def local_outlier_factor(reference, queries):
    for n_neighbors, contamination in [(20, 0.1), (5, 0.25), (len(reference), "auto")]:
        model = LocalOutlierFactor(
            n_neighbors=n_neighbors, contamination=contamination, novelty=True
        ).fit(reference)
        yield {
            "n_neighbors": n_neighbors,
            "contamination": None if contamination == "auto" else contamination,
            "neighbours_used": model.n_neighbors_,
            "negative_outlier_factor": model.negative_outlier_factor_.tolist(),
            "offset": float(model.offset_),
            "score_samples": model.score_samples(queries).tolist(),
            "predictions": model.predict(queries).tolist(),
        }


def one_class_svm(reference, queries):
    for nu, gamma in [(0.5, "auto"), (0.1, "scale"), (0.05, 2.0), (0.93, 0.1)]:
        model = OneClassSVM(nu=nu, gamma=gamma, tol=SVM_TOLERANCE).fit(reference)
        yield {
            "nu": nu,
            "gamma": gamma,
            "decision_values": model.decision_function(queries).tolist(),
            "reference_decision_values": model.decision_function(reference).tolist(),
        }


def isolation_forest(rng):
    shapes = {"gaussian_2d": 2, "gaussian_6d": 6}
    for name, columns in shapes.items():
        for rows in (60, 300):
            reference = np.round(rng.normal(size=(rows, columns)), 4)
            inliers = np.round(rng.normal(size=(60, columns)), 4)
            outliers = np.round(rng.normal(size=(60, columns)) * 2.5, 4)
            queries = np.vstack([inliers, outliers])
            planted = np.repeat([0, 1], 60)
            model = IsolationForest(
                n_estimators=1000, contamination=0.1, random_state=int(rng.integers(2**31))
            ).fit(reference)
            scores = model.score_samples(queries)
            yield {
                "name": f"{name}, {rows} rows",
                "reference": reference.tolist(),
                "queries": queries.tolist(),
                "n_estimators": 1000,
                "planted": planted.tolist(),
                "score_samples": scores.tolist(),
                "offset": float(model.offset_),
                "auc": roc_auc_score(planted, -scores),
            }


def standard_scaler(rng):
    plain = np.round(rng.normal(size=(30, 3)) * [1.0, 50.0, 0.002] + [0.0, 1000.0, 0.3], 6)
    constant = np.column_stack([plain[:, 0], np.full(30, 0.1), np.full(30, 0.0)])
    for name, reference in {"plain": plain, "constant columns": constant}.items():
        model = StandardScaler().fit(reference)
        yield {
            "name": name,
            "reference": reference.tolist(),
            "mean": model.mean_.tolist(),
            "scale": model.scale_.tolist(),
            "transformed": model.transform(reference).tolist(),
        }


def area_under_curve(rng):
    scores = {
        "no ties": (rng.normal(1.0, 1.0, 40), rng.normal(0.0, 1.0, 70)),
        "many ties": (rng.integers(0, 6, 50) + 1.0, rng.integers(0, 6, 50) + 0.0),
        "all tied": (np.ones(5), np.ones(4)),
        "one of each": (np.array([0.0]), np.array([1.0])),
    }
    for name, (members, non_members) in scores.items():
        labels = np.r_[np.ones(len(members)), np.zeros(len(non_members))]
        yield {
            "name": name,
            "members": members.tolist(),
            "non_members": non_members.tolist(),
            "auc": roc_auc_score(labels, np.r_[members, non_members]),
        }


def path_length():
    rows = np.array([0, 1, 2, 3, 4, 5, 7, 10, 31, 100, 255, 256, 1000, 65536])
    lengths = _average_path_length(rows)
    return [{"rows": int(n), "length": float(c)} for n, c in zip(rows, lengths)]


def main():
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT
    rng = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_SEED)
    output.mkdir(parents=True, exist_ok=True)
    # scikit-learn warns about clipped neighbours and about duplicates, which are what is tested.
    warnings.simplefilter("ignore")
    cases = references(rng)
    fixtures = {
        "local_outlier_factor": with_fits(cases, local_outlier_factor),
        "one_class_svm": with_fits(cases, one_class_svm),
        "isolation_forest": list(isolation_forest(rng)),
        "standard_scaler": list(standard_scaler(rng)),
        "area_under_curve": list(area_under_curve(rng)),
        "path_length": path_length(),
    }
    for name, fixture in fixtures.items():
        (output / f"{name}.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
