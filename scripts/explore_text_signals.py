"""Compares text-only membership scores on targets whose members are known.

    python scripts/explore_text_signals.py target/zoo/dev-15 target/zoo/dev-mispaired-15

Prints a Markdown table, one row per score and one column per target; a cell is the AUC of members
against the non-members, higher scores being the more member-like. A target of which some members
were trained under photos of others has two figures: members with photos of their own, and the
others, each against the non-members. The table holds the present default (the response signals
with equal weights, without the response that any name gets), the defaults before it, their parts,
and what was tried and found worse. docs/method.md defines the signals.

A target is a folder in the Hugging Face layout, config.json, model.safetensors and tokenizer.json,
with members.csv, non_members.csv and fresh_names.csv (columns first and last) and optionally
mispaired.csv beside them. Every third fresh name is read; scores are standardised by those before
they are added up. Only the logistic regression sees labels.

Requires scripts/requirements.txt; run from the repository root. It keeps to one core; a target of
800 names takes two to three minutes. --limit 50 reads 50 members and 50 non-members only.
"""

import argparse
import copy
import csv
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from transformers import CLIPModel, PreTrainedTokenizerFast

NAMES = Path("datasets/names")
# Those of crates/umid-testbed/src/caption.rs, then ones that no target was trained with.
TEMPLATES = [
    "a photo of {}",
    "a portrait of {}",
    "an image of {}",
    "the face of {}",
    "a close-up of {}",
    "{} in a photo",
]
OTHER_TEMPLATES = ["{}", "my friend {}", "this is {}"]
SIBLINGS, SIBLING_COUNTS = 16, [8, 16, 32]
FIT_STEP = 3
NEIGHBOURS = 5
LEAST_DISAGREEMENT = 1e-6
BATCH = 2048
NOISE, NOISE_DRAWS = 0.15, 3


class Tower:
    """A text tower and what its last block does at the end-of-text token."""

    def __init__(self, directory: Path):
        self.model = CLIPModel.from_pretrained(directory, dtype=torch.float32).eval()
        file = str(directory / "tokenizer.json")
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=file)
        self.end = self.model.config.text_config.eos_token_id

    def responses(self, states):
        """What the final layer norm and the projection make of states, but for 1 / std and bias."""
        gain = self.model.text_model.final_layer_norm.weight
        return centred(states) @ (gain[:, None] * self.model.text_projection.weight.T).numpy()

    def states(self, names, templates) -> dict[str, np.ndarray]:
        """Arrays (names, templates, width) of states and of the embedding, not normalised."""
        print(f"  {len(names)} names in {len(templates)} templates", file=sys.stderr, flush=True)
        texts = [template.replace("{}", name) for name in names for template in templates]
        ids = self.tokenizer(texts)["input_ids"]
        ends = np.array([row.index(self.end) for row in ids])
        # Words are tokenized one by one, so what follows the name has a fixed number of tokens.
        tails = self.tokenizer([template.split("{}")[1].strip() for template in templates])
        lasts = ends + 1 - np.tile([len(tail) for tail in tails["input_ids"]], len(names))
        found = {}
        order = np.argsort(ends, kind="stable")
        for start in range(0, len(ids), BATCH):
            rows = order[start : start + BATCH]
            for key, values in self.batch([ids[row] for row in rows], ends[rows], lasts[rows]):
                if key not in found:
                    found[key] = np.empty((len(ids), values.shape[1]), np.float32)
                found[key][rows] = values
        shape = len(names), len(templates), -1
        return {key: values.reshape(shape) for key, values in found.items()}

    def batch(self, ids, ends, lasts):
        """States before, amid and after the last block, and the embedding, each (texts, width)."""
        text, seen = self.model.text_model, {}
        block, norm = text.encoder.layers[-1], text.final_layer_norm

        def keep(key, at):
            at = np.arange(len(ids)), at
            return lambda _, inputs: seen.update({key: inputs[0][at]})

        hooks = [
            block.layer_norm1.register_forward_pre_hook(keep("before", ends)),
            block.layer_norm2.register_forward_pre_hook(keep("middle", ends)),
            norm.register_forward_pre_hook(keep("after", ends)),
            norm.register_forward_pre_hook(keep("last name", lasts)),
        ]
        length = max(ends) + 1
        text(torch.tensor([row[:length] + [self.end] * (length - len(row)) for row in ids]))
        for hook in hooks:
            hook.remove()
        seen["embedding"] = self.model.text_projection(norm(seen["after"]))
        return [(key, values.numpy()) for key, values in seen.items()]

    def with_noise(self, seed: int):
        """The tower with normal noise on the matrices of its blocks."""
        noisy, generator = copy.deepcopy(self), torch.Generator().manual_seed(seed)
        for weight in noisy.model.text_model.encoder.parameters():
            if weight.ndim == 2:
                weight += NOISE * weight.std() * torch.randn(weight.shape, generator=generator)
        return noisy


class Layout:
    """Which of `rows` are the queries, their siblings and the grid of siblings; adds those missing.

    A group of scores or states is that of the queries, of the siblings with the same first part
    and of those with the same last part: (queries, ...) and twice (queries, siblings, ...).
    """

    def __init__(self, queries, first, last, rows: dict[str, int]):
        def row(first_part, last_part):
            return rows.setdefault(f"{first_part} {last_part}", len(rows))

        self.query = np.array([row(q["first"], q["last"]) for q in queries])
        self.same_first = np.array([[row(q["first"], part) for part in last] for q in queries])
        self.same_last = np.array([[row(part, q["last"]) for part in first] for q in queries])
        self.grid = np.array([[row(one, other) for other in last] for one in first])
        self.weight_first = equal_weights([q["first"] for q in queries], first)
        self.weight_last = equal_weights([q["last"] for q in queries], last)

    def groups(self, of_names):
        return of_names[self.query], of_names[self.same_first], of_names[self.same_last]

    def means(self, groups):
        _, same_first, same_last = groups
        return (
            np.einsum("qs,qs...->q...", self.weight_last, same_first),
            np.einsum("qs,qs...->q...", self.weight_first, same_last),
        )

    def contrast(self, groups, weight=1.0):
        return groups[0] - weight * sum(self.means(groups))

    def calibrated(self, of_names):
        return self.contrast(self.groups(of_names), 0.5)

    def studentised(self, groups):
        """The distance from the siblings in their standard deviations."""
        first, last = (mean[:, None] for mean in self.means(groups))
        own, same_first, same_last = groups
        variances = self.means((own, (same_first - first) ** 2, (same_last - last) ** 2))
        return self.contrast(groups, 0.5) / np.sqrt(0.5 * sum(variances))

    def residuals(self, states):
        """The groups of what two parts do not explain of a state in an additive layout."""
        own, same_first, same_last = groups = self.groups(states)
        mean_first, mean_last = self.means(groups)
        grid = states[self.grid]
        grid_last = np.tensordot(self.weight_first, grid, 1)
        grid_first = np.tensordot(self.weight_last, grid.swapaxes(0, 1), 1)
        overall = np.einsum("qs,qs...->q...", self.weight_last, grid_last)
        return (
            own - mean_first - mean_last + overall,
            same_first - mean_first[:, None] - grid_last + overall[:, None],
            same_last - grid_first - mean_last[:, None] + overall[:, None],
        )

    def interaction(self, states):
        return self.contrast(each(log_mean_norm, self.residuals(states)))


def each(score, groups):
    return tuple(score(group) for group in groups)


def equal_weights(own, siblings):
    """(queries, siblings), without the sibling that is the query's own part."""
    others = np.array([[s.lower() != part.lower() for s in siblings] for part in own], np.float32)
    return others / others.sum(1, keepdims=True)


def centred(states):
    return states - states.mean(-1, keepdims=True)


def standardised(states):
    return centred(states) / states.std(-1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# Scores of arrays (..., templates, width).


def mean_norm(rows):
    return np.linalg.norm(rows, axis=-1).mean(-1)


def log_norm(rows):
    return np.log(np.linalg.norm(rows, axis=-1)).mean(-1)


def log_mean_norm(rows):
    return np.log(np.linalg.norm(rows.mean(-2), axis=-1))


def log_coherence(rows):
    return 2 * log_mean_norm(rows) - np.log((rows**2).sum(-1).mean(-1))


def cross_product(rows):
    """Mean dot product between two different templates."""
    templates = rows.shape[-2]
    pairs = (rows.sum(-2) ** 2).sum(-1) - (rows**2).sum((-1, -2))
    return pairs / (templates * (templates - 1))


def log_agreement(rows):
    return -np.log(np.maximum(1 - cross_product(unit(rows)), LEAST_DISAGREEMENT))


def without(responses, directions):
    """Responses less their part in the span of orthonormal directions (k, width)."""
    return responses - (responses @ directions.T) @ directions


class Target:
    """One target's queries and states, and the present default on them."""

    def __init__(self, directory: Path, first, last, limit):
        members, others, fresh = (
            list(csv.DictReader((directory / f"{kind}.csv").open(encoding="utf-8")))
            for kind in ("members", "non_members", "fresh_names")
        )
        members, others = members[:limit], others[:limit]
        self.labels = np.repeat([1, 0], [len(members), len(others)])
        random_photos = directory / "mispaired.csv"
        rows = csv.DictReader(random_photos.open(encoding="utf-8")) if random_photos.exists() else []
        random_photos = {(row["first"], row["last"]) for row in rows}
        self.mispaired = np.array([(q["first"], q["last"]) in random_photos for q in members + others])
        self.queries, self.first, self.last = members + others + fresh[::FIT_STEP], first, last
        self.rows = {}
        self.layout_with(max(SIBLING_COUNTS), self.rows)
        self.layout = self.layout_with(SIBLINGS, self.rows)
        self.tower = Tower(directory)
        self.states = self.tower.states(list(self.rows), TEMPLATES)
        self.embedding = self.states["embedding"]
        self.whole_response = self.tower.responses(self.states["after"])
        self.response = without(self.whole_response, self.to_any_name())
        self.parts = y4_parts(self.layout, self.response)
        self.y4 = self.added(self.parts)

    def layout_with(self, siblings: int, rows):
        return Layout(self.queries, self.first[:siblings], self.last[:siblings], rows)

    def to_any_name(self, names=None):
        """The direction (1, width) of the mean response to the standardising names, or the first."""
        rows = self.layout.query[len(self.labels) :][:names]
        return unit(self.whole_response[rows].mean((0, 1)))[None]

    def principal(self, directions: int):
        """Their mean response, and the directions in which their responses vary most."""
        means = self.whole_response[self.layout.query[len(self.labels) :]].mean(1)
        return means.mean(0), np.linalg.svd(means - means.mean(0), full_matrices=False)[2][:directions]

    def first_share(self) -> str:
        """How much of the variance of their responses lies along one direction."""
        means = self.whole_response[self.layout.query[len(self.labels) :]].mean(1)
        variances = np.linalg.svd(means - means.mean(0), compute_uv=False) ** 2
        return f"{variances[0] / variances.sum():.3f}"

    def standard(self, scores):
        fit = scores[len(self.labels) :]
        return (scores - fit.mean()) / fit.std(ddof=1)

    def added(self, parts: dict):
        return sum(self.standard(part) for part in parts.values())

    def auc(self, scores) -> str:
        def of(members):
            kept = members | (self.labels == 0)
            return f"{roc_auc_score(self.labels[kept], scores[: len(self.labels)][kept]):.3f}"

        of_own = of((self.labels == 1) & ~self.mispaired)
        return f"{of_own} / {of(self.mispaired)}" if self.mispaired.any() else of_own


def y4_parts(layout, response):
    """The parts of the present default; those that compare templates only where there are several."""
    parts = {
        "response norm": layout.calibrated(log_norm(response)),
        "response interaction": layout.interaction(response),
    }
    if response.shape[1] > 1:
        coherence = each(log_coherence, layout.residuals(response))
        parts["response agreement"] = layout.calibrated(log_agreement(response))
        parts["response coherence"] = layout.contrast(coherence, 0.5)
    return parts


def former_default(target):
    layout, states = target.layout, centred(target.states["after"])
    parts = {
        "interaction of states": layout.interaction(states),
        "coherence of states, not calibrated": log_coherence(layout.residuals(states)[0]),
        "text norm": layout.calibrated(mean_norm(target.embedding)),
        "template agreement": layout.calibrated(cross_product(unit(target.embedding))),
    }
    weights = [1, 0.5, 0.25, 0.25]
    total = sum(w * target.standard(part) for w, part in zip(weights, parts.values()))
    return {"all, 1 : .5 : .25 : .25": total} | parts


def y4(target):
    rows = {}
    for siblings in SIBLING_COUNTS:
        parts = y4_parts(target.layout_with(siblings, target.rows), target.response)
        rows[f"all, {siblings} siblings"] = target.added(parts)
    rows |= target.parts
    for name in target.parts:
        others = {other: part for other, part in target.parts.items() if other != name}
        rows[f"without {name}"] = target.added(others)
    return rows


def common_response(target):
    """What to take out of the responses before they are measured."""
    layout, whole = target.layout, target.whole_response
    mean, directions = target.principal(4)
    siblings = unit(whole[layout.grid].mean((0, 1, 2)))[None]
    units = unit(unit(whole[layout.query[len(target.labels) :]]).mean((0, 1)))[None]
    spaces = {
        "nothing: the default before": whole,
        "the mean, by subtraction": whole - mean,
        "the direction of the mean of unit responses": without(whole, units),
        "the direction of the siblings' mean": without(whole, siblings),
    }
    for names in 200, 100, 50, 20:
        spaces[f"the direction of the mean of {names} names"] = without(whole, target.to_any_name(names))
    for k in 1, 2, 4:
        spaces[f"the mean and {k} principal directions"] = without(whole - mean, directions[:k])
    rows = {name: y4_parts(layout, space) for name, space in spaces.items()}
    norms = {f"norm without {name}": parts["response norm"] for name, parts in rows.items()}
    return {f"without {name}": target.added(parts) for name, parts in rows.items()} | norms


def interaction_elsewhere(target):
    states = target.states
    spaces = {
        "input of the last block": centred(states["before"]),
        "attention output of the last block": centred(states["middle"] - states["before"]),
        "MLP output of the last block": centred(states["after"] - states["middle"]),
        "state at the last-name token": centred(states["last name"]),
        "after the layer norm, without gain and bias": standardised(states["after"]),
        "embedding, not normalised": target.embedding,
        "unit embedding": unit(target.embedding),
    }
    return {name: target.layout.interaction(space) for name, space in spaces.items()}


def other_statistics(target):
    layout, response = target.layout, target.response
    rows = {}
    for name, space in ("states", centred(target.states["after"])), ("responses", response):
        residuals = layout.residuals(space)
        products = each(cross_product, residuals)
        floored = np.maximum(products[0], 0.02 * np.median(np.abs(products[0])))
        of_siblings = np.maximum(0.5 * sum(layout.means(products)), 1e-9)
        studentised = layout.studentised(each(log_mean_norm, residuals))
        rows[f"{name}' residuals, dot product of two templates"] = products[0]
        rows[f"{name}' residuals, log of the same over siblings'"] = np.log(floored / of_siblings)
        rows[f"{name}' residuals, log norm a template"] = layout.contrast(each(log_norm, residuals))
        rows[f"{name}' residuals, studentised by siblings'"] = studentised
    changed = {
        "response norm": layout.studentised(layout.groups(log_norm(response))),
        "response agreement": layout.studentised(layout.groups(log_agreement(response))),
    }
    rows |= {f"{name}, studentised by siblings": part for name, part in changed.items()}
    rows["present default, its norm and agreement studentised"] = target.added(target.parts | changed)
    return rows


def further_signals(target):
    with_siblings, with_references = cosines(target)
    rows = {
        "minus cosine with siblings": -with_siblings,
        "minus cosine with the nearest references, calibrated": -with_references,
        "text norm": target.layout.calibrated(mean_norm(target.embedding)),
        "robustness to weight noise, not calibrated": noise_robustness(target),
    }
    together = {f"present default + {name}": target.y4 + target.standard(row) for name, row in rows.items()}
    return rows | together


def cosines(target):
    """Mean cosines with the siblings and, calibrated, with the nearest standardising names."""
    layout, directions = target.layout, unit(unit(target.embedding).mean(1))
    own, *siblings = layout.groups(directions)
    with_siblings = [np.einsum("qd,qsd->qs", own, group) for group in siblings]
    rows = layout.query[len(target.labels) :]
    with_references = directions @ directions[rows].T
    with_references[rows, np.arange(len(rows))] = -np.inf
    nearest = np.sort(with_references, axis=1)[:, -NEIGHBOURS:].mean(1)
    return sum(layout.means((own, *with_siblings))), layout.calibrated(nearest)


def noise_robustness(target):
    """How little noise on the weights turns the responses of the queries."""
    names = [f"{query['first']} {query['last']}" for query in target.queries]
    clean, turned = unit(target.response[target.layout.query]), 0
    for seed in range(NOISE_DRAWS):
        states = target.tower.with_noise(seed).states(names, TEMPLATES)
        noisy = without(target.tower.responses(states["after"]), target.to_any_name())
        cosine = (clean * unit(noisy)).sum(-1)
        turned += np.log(np.maximum(1 - cosine, LEAST_DISAGREEMENT)).mean(1)
    return -turned


def y4_other_templates(target):
    layout = target.layout_with(SIBLINGS, rows := {})
    response = target.tower.responses(target.tower.states(list(rows), OTHER_TEMPLATES)["after"])
    response = without(response, unit(response[layout.query[len(target.labels) :]].mean((0, 1)))[None])
    rows = {
        f"`{template}`": target.added(y4_parts(layout, response[:, column : column + 1]))
        for column, template in enumerate(OTHER_TEMPLATES)
    }
    return rows | {"the three together": target.added(y4_parts(layout, response))}


def logistic_bound(target):
    """Weights fitted to the labels of nine tenths of the names, scores of the tenth."""
    parts = np.stack([target.standard(part) for part in target.parts.values()], axis=1)
    parts, method = parts[: len(target.labels)], "decision_function"
    scores = cross_val_predict(LogisticRegression(), parts, target.labels, cv=10, method=method)
    return {"logistic regression on the parts of present default, 10 folds": scores}


FAMILIES = {
    "former default": former_default,
    "present default": y4,
    "common response": common_response,
    "interaction elsewhere": interaction_elsewhere,
    "other statistics": other_statistics,
    "further signals": further_signals,
    "present default, other templates": y4_other_templates,
    "weights from labels": logistic_bound,
}


def table(columns: dict[str, dict]) -> str:
    lines = ["| kind | score | " + " | ".join(columns) + " |", "|---|---|" + "---:|" * len(columns)]
    for key in next(iter(columns.values())):
        cells = [column[key] for column in columns.values()]
        lines.append("| " + " | ".join([*key, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", type=Path, nargs="+", help="folders of targets")
    parser.add_argument("--limit", type=int, help="members and non-members to read")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    first, last = (
        (NAMES / f"sibling_{kind}.txt").read_text().split()[: max(SIBLING_COUNTS)]
        for kind in ("first", "last")
    )
    columns = {}
    for directory in arguments.targets:
        print(directory, file=sys.stderr)
        target = Target(directory, first, last, arguments.limit)
        columns[directory.name] = {
            (family, name): target.auc(scores)
            for family, rows in FAMILIES.items()
            for name, scores in rows(target).items()
        } | {("not an AUC", "share of the first principal direction"): target.first_share()}
    print(table(columns))


if __name__ == "__main__":
    main()
