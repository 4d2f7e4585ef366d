"""Compares candidate scores on the targets of an evaluation, from the signals that it kept.

    cargo xtask eval --suite crawl --only calibrated
    python scripts/compare_scores.py target/eval/crawl target/zoo

Reads the cells of the method `calibrated` (text alone, and with a bank where there is such a cell) and
the membership lists of the targets, and prints a Markdown table per target, one row per candidate: AUC
of members against non-members and, in brackets, the share of members above the 95th percentile of the
non-members, in per cent. Targets like a web crawl have a column per number of exposures, and the share
of non-members above that percentile whose last name was shown with members 64 times or more. Other
targets have one column, and one for members who were trained under recordings of others.

Each signal is standardised by the non-members and the terms of a candidate are added up. An audit
standardises by reference names, so its own figures differ a little (see the evaluation's tables).
Requires numpy and scikit-learn (scripts/requirements.txt).
"""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

NORM, AGREEMENT, CONTEXTS = "response_norm", "response_agreement", "context_agreement"
INTERACTION, COHERENCE = "response_interaction", "response_coherence_calibrated"
BANK, EXCESS = "bank_csls_calibrated", "bank_csls_excess"
OTHERS = ["text_norm", "template_agreement", "nearest_reference_cosine"]
PRESENT = {
    f"{NORM}_calibrated": 2.0,
    f"{AGREEMENT}_calibrated": 1.0,
    INTERACTION: 1.0,
    COHERENCE: 1.0,
    CONTEXTS: 1.0,
}


def without(signal):
    return {key: weight for key, weight in PRESENT.items() if key != signal}


CANDIDATES = {
    "the present score": PRESENT,
    "without contexts": without(CONTEXTS),
    "without interaction": without(INTERACTION),
    "without coherence": without(COHERENCE),
    "equal weights": dict.fromkeys(PRESENT, 1.0),
    "norm and agreement, not calibrated": {NORM: 1.0, AGREEMENT: 1.0},
    "present, norm and agreement": PRESENT | {NORM: 1.0, AGREEMENT: 1.0},
    "present and bank": PRESENT | {EXCESS: 1.0},
    "present and bank, with its sign": PRESENT | {BANK: 1.0},
    **{key: {key: 1.0} for key in [*PRESENT, NORM, AGREEMENT, BANK, EXCESS, *OTHERS]},
}
# Others with the same last name count as often shown from here.
OFTEN = 64


def cells(evaluation: Path):
    """Signals by target: those of text alone, and over them those of a run with a bank."""
    found = {}
    for file in sorted(evaluation.glob("cells/*.json")):
        cell = json.loads(file.read_text())
        if cell["method"] != "calibrated" or "done" not in cell["outcome"]:
            continue
        if cell["variant"] not in ("", "bank"):
            continue
        signals = {reading["name"]: reading["groups"] for reading in cell["outcome"]["done"]}
        found.setdefault(cell["target"], {}).update(signals)
    return found


def scores(signals, candidate, group):
    """A candidate's score of each name of a group; NaN where the name lacks a signal."""
    total = 0.0
    for key, weight in candidate.items():
        values = {name: column(signals[key], name) for name in ("non_member", group)}
        null = values["non_member"][~np.isnan(values["non_member"])]
        if key == CONTEXTS:
            # As the score does: contexts count as far as names that are no members agree over them.
            weight *= max(agreement(null), 0.0) ** 2
        total = total + weight * (values[group] - null.mean()) / null.std()
    return total


def agreement(log_agreements):
    return np.nanmean(1.0 - np.exp(-log_agreements))


def column(groups, name):
    return np.array([np.nan if x is None else x for x in groups[name]["scores"]], float)


def cell(positives, null, threshold):
    positives = positives[~np.isnan(positives)]
    if len(positives) == 0:
        return ""
    labels = [1] * len(positives) + [0] * len(null)
    area = roc_auc_score(labels, np.concatenate([positives, null]))
    return f"{area:.3f} ({100 * np.mean(positives > threshold):.0f})"


def lists(folder: Path):
    read = lambda name: list(csv.DictReader((folder / name).open(encoding="utf-8")))
    return read("members.csv"), read("non_members.csv")


def table(target, signals, folder):
    members, non_members = lists(folder)
    exposures = np.array([int(row.get("exposures") or 0) for row in members])
    levels = sorted(set(exposures) - {0})
    mispaired = "mispaired" in signals[NORM]
    heads = [str(level) for level in levels] or ["members"]
    heads += [f"last name shown {OFTEN} times"] if levels else []
    heads += ["mispaired"] if mispaired else []
    known = agreement(column(signals[CONTEXTS], "non_member"))
    print(f"\n### {target}\n\nNon-members agree to {known:.2f} over contexts.\n")
    print(f"| score | {' | '.join(heads)} |\n|{' --- |' * (1 + len(heads))}")
    shown = Counter()
    for row, count in zip(members, exposures):
        shown[row["last"]] += count
    for name, candidate in CANDIDATES.items():
        if any(key not in signals for key in candidate):
            continue
        everyone = scores(signals, candidate, "non_member")
        null = everyone[~np.isnan(everyone)]
        threshold = np.quantile(null, 0.95)
        of_members = scores(signals, candidate, "member")
        chosen = [exposures == level for level in levels] or [np.full(len(of_members), True)]
        row = [cell(of_members[group], null, threshold) for group in chosen]
        if levels:
            often = np.array([shown[person["last"]] >= OFTEN for person in non_members])
            flagged = everyone[often & ~np.isnan(everyone)] > threshold
            row.append(f"{100 * flagged.mean():.1f} % of {len(flagged)}")
        if mispaired:
            row.append(cell(scores(signals, candidate, "mispaired"), null, threshold))
        print(f"| {name} | {' | '.join(row)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("evaluation", type=Path, help="folder of an evaluation")
    parser.add_argument("zoo", type=Path, nargs="+", help="folders of the targets' folders")
    arguments = parser.parse_args()
    found = cells(arguments.evaluation)
    if not found:
        parser.error(f"{arguments.evaluation} has no cells of the method calibrated")
    for target, signals in sorted(found.items()):
        folder = next((zoo / target for zoo in arguments.zoo if (zoo / target).is_dir()), None)
        if folder is None:
            parser.error(f"no folder of {target} in {', '.join(map(str, arguments.zoo))}")
        table(target, signals, folder)


if __name__ == "__main__":
    main()
