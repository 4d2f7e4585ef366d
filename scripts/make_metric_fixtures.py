"""Writes what scikit-learn and SciPy compute for small samples, for the metric tests of umid-detect.

Requires scripts/requirements.txt. Run from the repository root:

    python scripts/make_metric_fixtures.py [OUTPUT_FILE] [SEED]
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, spearmanr
from sklearn.metrics import (
    balanced_accuracy_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

DEFAULT_OUTPUT = Path("crates/umid-detect/tests/fixtures/metrics.json")
DEFAULT_SEED = 20260711
RATES = (0.01, 0.001)


def samples(rng):
    """Named scores of members and of non-members."""

    def normal(mean, size):
        return np.round(rng.normal(mean, 1.0, size), 4)

    few = normal(0.7, 12)
    return {
        "no ties": (normal(1.0, 60), normal(0.0, 110)),
        "coarse scores": (rng.integers(0, 7, 80) + 1.0, rng.integers(0, 7, 120) + 0.0),
        "constant": (np.full(7, 0.25), np.full(9, 0.25)),
        "one of each": (np.array([0.5]), np.array([0.5])),
        "three against two": (np.array([0.1, 0.4, 0.4]), np.array([0.4, 0.2])),
        "few members": (normal(1.5, 4), normal(0.0, 400)),
        "few non-members": (normal(1.5, 300), normal(0.0, 5)),
        "each score five times": (np.repeat(few, 5), np.repeat(normal(0.0, 30), 5)),
        "the classes share their scores": (few, few),
        "separated": (normal(20.0, 30), normal(0.0, 100)),
        "inverted": (normal(-1.0, 40), normal(0.0, 130)),
        "ties at the top": (
            np.r_[np.full(20, 3.0), normal(0.0, 30)],
            np.r_[np.full(2, 3.0), normal(0.0, 200)],
        ),
        "resolves one in a thousand": (rng.integers(0, 60, 40) / 4.0, rng.integers(0, 50, 1200) / 4.0),
    }


def score_case(name, members, non_members):
    labels = np.r_[np.ones(len(members)), np.zeros(len(non_members))]
    scores = np.r_[members, non_members]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    # The median cuts some of every sample; ">" leaves a constant sample without a flag.
    flags = scores > np.median(scores)
    split = len(members)
    precision = precision_score(labels, flags) if flags.any() else None
    return {
        "name": name,
        "members": members.tolist(),
        "non_members": non_members.tolist(),
        "auc": roc_auc_score(labels, scores),
        "false_positive_rates": fpr.tolist(),
        "true_positive_rates": tpr.tolist(),
        "tpr_at_fpr": [
            {"false_positive_rate": rate, "highest": float(tpr[fpr <= rate].max())}
            for rate in RATES
        ],
        "member_flags": flags[:split].tolist(),
        "non_member_flags": flags[split:].tolist(),
        "balanced_accuracy": balanced_accuracy_score(labels, flags),
        "precision": precision,
        "recall": recall_score(labels, flags),
    }


def share_cases():
    for hits, trials in [(0, 1), (1, 1), (0, 40), (1, 40), (3, 60), (20, 40), (59, 60),
                         (22, 400), (400, 400), (9, 10000), (4000, 10000)]:
        interval = binomtest(hits, trials).proportion_ci(0.95, method="exact")
        yield {"hits": hits, "trials": trials, "low": interval.low, "high": interval.high}


def correlation_cases(rng):
    """Pairs of lists, with and without ties, and their rank correlation."""
    noise = rng.normal(0.0, 1.0, 80)
    counts = np.floor(10 ** rng.uniform(0.0, 4.0, 80))
    for name, first, second in (
        ("no ties", noise, np.round(noise + rng.normal(0.0, 1.0, 80), 6)),
        ("counts", np.round(np.log10(counts) + noise, 3), counts),
        ("coarse", rng.integers(0, 4, 60) + 0.0, rng.integers(0, 3, 60) + 0.0),
        ("falling", np.arange(9.0), -np.arange(9.0) ** 3),
    ):
        value = spearmanr(first, second).statistic
        yield {"name": name, "first": first.tolist(), "second": second.tolist(), "value": value}


def main():
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT
    rng = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_SEED)
    # scikit-learn warns where a sample has one class or no flag, which is part of what is tested.
    warnings.simplefilter("ignore")
    fixtures = {
        "samples": [score_case(name, *scores) for name, scores in samples(rng).items()],
        "shares": list(share_cases()),
        "correlations": list(correlation_cases(rng)),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(fixtures) + "\n")


if __name__ == "__main__":
    main()
