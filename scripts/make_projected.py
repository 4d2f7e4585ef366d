"""Hides people from a bundled CLIP target by a projection of its text embeddings, as a pair for `umid compare`:

    python scripts/make_projected.py datasets/zoo/alpha-100 OUT --people 40 --directions 16
    umid compare --before datasets/zoo/alpha-100 --after OUT --queries OUT/names.csv --out compared \
      --direction less

The first members are forgotten: the principal directions of their names' embeddings, less the mean of these, are
taken out of the text projection (a closed-form edit in the manner of arXiv 2512.14137). The towers stay
as they are. `names.csv` lists the forgotten members, members who are to stay, and non-members; ids
begin with `forgotten`, `kept` and `never`.

Requires scripts/requirements.txt.
"""

import argparse
import csv
import shutil
from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPModel

TEMPLATES = (
    "a photo of {}", "a portrait of {}", "an image of {}", "the face of {}", "a close-up of {}",
    "{} in a photo",
)
FRONT_END = ("preprocessor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")


def people(target, which):
    with open(target / f"{which}.csv", newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


@torch.no_grad()
def mean_embeddings(model, tokenizer, names):
    """The mean over templates of each name's unit embeddings, (names, d)."""
    rows = []
    for name in names:
        texts = tokenizer([t.format(name) for t in TEMPLATES], padding=True, return_tensors="pt")
        embeddings = model.text_projection(model.text_model(**texts).pooler_output)
        rows.append(torch.nn.functional.normalize(embeddings, dim=-1).mean(0))
    return torch.stack(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--directions", type=int, default=16)
    given = parser.parse_args()

    model = CLIPModel.from_pretrained(given.target).float()
    tokenizer = AutoTokenizer.from_pretrained(given.target)
    members, others = people(given.target, "members"), people(given.target, "non_members")
    forgotten = members[: given.people]
    embeddings = mean_embeddings(model, tokenizer, forgotten)
    _, lengths, directions = torch.linalg.svd(embeddings - embeddings.mean(0), full_matrices=False)
    share = (lengths[: given.directions] ** 2).sum() / (lengths**2).sum()
    taken = directions[: given.directions]
    with torch.no_grad():
        model.text_projection.weight -= taken.T @ (taken @ model.text_projection.weight)

    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    for name in FRONT_END:
        shutil.copy(given.target / name, given.out / name)
    with open(given.out / "names.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "member"])
        for kind, names, member in [
            ("forgotten", forgotten, "yes"),
            ("kept", members[given.people : 3 * given.people], "yes"),
            ("never", others[: 3 * given.people], "no"),
        ]:
            rows.writerows([f"{kind}-{i}", name, member] for i, name in enumerate(names))
    print(f"{given.directions} directions hold {100 * share:.0f} % of what tells the names apart")


if __name__ == "__main__":
    main()
