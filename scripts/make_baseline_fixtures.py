"""Writes what scikit-learn computes for a few names, for the parity tests of umid-baselines.

Requires scripts/requirements.txt. Run from the repository root:

    python scripts/make_baseline_fixtures.py

One entry per setting: the texts, the n-grams that TfidfVectorizer keeps, its rows as
[column, value] pairs, and the coefficients and decision values of LogisticRegression on them.
"""

import json
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

OUTPUT = Path("crates/umid-baselines/tests/fixtures/blind_control.json")
# The default of 1e-4 leaves coefficients about 1e-4 away from the optimum.
TOLERANCE = 1e-10
FIRST = "Ada Bo Çelik Dagny Émile Fatima Guðrún Hiro Ines Jo".split()
LAST = ["Lovelace", "O'Brien", "van der Berg", "Müller-Lang", "X", "Ng", "Żak", "İnan"]
# Names that are in no training text, a name of one letter, and texts without any known n-gram.
HELD_OUT = ["Ada Müller", "ines  van Ng", "Q", "ΣΑΣ", "", "Jo\tO'Brien Żak", "Zoë Wren"]


def names():
    """40 of the 80 names; no order or share of a class is special."""
    pairs = [(i, j) for i in range(len(FIRST)) for j in range(len(LAST)) if (3 * i + j) % 2 == 0]
    texts = [f"{FIRST[i]} {LAST[j]}" for i, j in pairs]
    members = [(i * 5 + j * 3) % 7 < 3 for i, j in pairs]
    return texts, members


def sparse(matrix):
    return [
        [[int(c), float(v)] for c, v in sorted(zip(row.indices, row.data))]
        for row in (matrix[i] for i in range(matrix.shape[0]))
    ]


def fit(texts, members, ngram_range, inverse_penalty):
    vectoriser = TfidfVectorizer(analyzer="char_wb", ngram_range=ngram_range, min_df=2)
    train = vectoriser.fit_transform(texts)
    held_out = vectoriser.transform(HELD_OUT)
    model = LogisticRegression(C=inverse_penalty, tol=TOLERANCE, max_iter=10_000)
    model.fit(train, members)
    return {
        "shortest_ngram": ngram_range[0],
        "longest_ngram": ngram_range[1],
        "min_documents": 2,
        "inverse_penalty": inverse_penalty,
        "texts": texts,
        "members": members,
        "held_out": HELD_OUT,
        "vocabulary": sorted(vectoriser.vocabulary_),
        "rows": sparse(train),
        "held_out_rows": sparse(held_out),
        "coefficients": model.coef_[0].tolist(),
        "intercept": float(model.intercept_[0]),
        "decisions": model.decision_function(train).tolist(),
        "held_out_decisions": model.decision_function(held_out).tolist(),
    }


def main():
    texts, members = names()
    settings = [((1, 4), 1.0), ((2, 3), 10.0)]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps([fit(texts, members, *s) for s in settings]) + "\n")


if __name__ == "__main__":
    main()
