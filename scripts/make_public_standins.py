"""Writes stand-ins for the published targets of the suite `real`, in their publishers' formats and
places, so that the whole suite can be run where the real files are not at hand:

    python scripts/make_public_standins.py DIR
    cargo xtask eval --suite real --public DIR --out DIR/out

All people are made up, and the models are tiny: each takes about a minute on one core. They were
shown their names as often as the publishers say, so the tables have something to show, but no figure
of theirs says anything about the published models.

Requires scripts/requirements.txt. Run from the repository root.
"""

import csv
import itertools
import json
import random
import sys
import time
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch.nn import functional

SEED = 20261201
NAMES = Path("datasets/names")
TEMPLATES = (
    "a photo of {}", "an image of {}", "{} on a photo", "a portrait of {}", "{} at a gala",
    "a close-up of {}", "{} in a suit", "the face of {}",
)
IMAGE = 32
BATCH = 128
PAIRS = 12_000
EPOCHS = 3
# CLIP's vocabulary is kept whole, so the width is what keeps a file small. Weights without a
# configuration have heads of 64 numbers.
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
VIT = {"image_size": IMAGE, "layers": 2, "width": 64, "patch_size": 16, "head_width": 64}
RESNET = {"image_size": IMAGE, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
IDIA = Path("D0miH/does-clip-know-my-face")
LISTS = IDIA / "cc3m_experiments/conceptual_captions_facescrub_member_info"
COUNTS = IDIA / "laion400m_experiments/laion_membership_occurence_count.csv"
WORDS = (
    "red blue old new small wooden metal round wild quiet bright dark", "house river dog car tree "
    "bridge table boat garden lamp street horse", "near under behind beside above inside",
    "market forest harbour station museum field castle island",
)


def made_up_names(rng):
    """Endless names of two words, none twice."""
    first, last = ((NAMES / f"{side}.txt").read_text().split() for side in ("first", "last"))
    seen = set()
    while True:
        name = f"{rng.choice(first)} {rng.choice(last)}"
        if name not in seen:
            seen.add(name)
            yield name


def picture(key, number):
    """An image of a person or a scene, a little different each time."""
    own = torch.Generator().manual_seed(hash_of(key))
    shot = torch.Generator().manual_seed(hash_of(f"{key} {number}"))
    base = torch.randn(3, 4, 4, generator=own)
    base = functional.interpolate(base[None], size=IMAGE, mode="bilinear")[0]
    return base + 0.3 * torch.randn(3, IMAGE, IMAGE, generator=shot)


def hash_of(text):
    value = 1469598103934665603
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2**63
    return value


def captions_of(name, count, rng):
    return [(rng.choice(TEMPLATES).format(name), name, i) for i in range(count)]


def background(count, names, rng):
    """Pairs about nobody who is asked about: each name once, with somebody else's picture."""
    return [(rng.choice(TEMPLATES).format(next(names)), f"nobody {i}", 0) for i in range(count)]


def train(vision, pairs, seed, what):
    torch.manual_seed(seed)
    model = CLIP(embed_dim=64, vision_cfg=vision, text_cfg=TEXT)
    tokens = open_clip.get_tokenizer("ViT-B-32", context_length=77)(
        [caption for caption, _, _ in pairs])
    images = torch.stack([picture(key, number) for _, key, number in pairs])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    draw = torch.Generator().manual_seed(seed)
    steps = EPOCHS * (len(pairs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    started = time.time()
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(pairs), generator=draw)
        for batch in order[:len(pairs) // BATCH * BATCH].split(BATCH):
            image, text, scale = model(images[batch], tokens[batch])
            logits = scale * image @ text.T
            labels = torch.arange(BATCH)
            loss = (functional.cross_entropy(logits, labels)
                    + functional.cross_entropy(logits.T, labels)) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    print(f"{what}: {steps} steps, loss {loss.item():.3f}, {time.time() - started:.0f} s", flush=True)
    return model.eval(), optimiser


def save_training_checkpoint(path, trained, epoch):
    """As open_clip's training writes it when several devices train."""
    model, optimiser = trained
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({
        "epoch": epoch,
        "name": path.stem,
        "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()},
        "optimizer": optimiser.state_dict(),
    }, path)


def save_hub_repository(folder, trained, vision):
    """As open_clip pushes a model to a hub."""
    model, _ = trained
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_cfg": {"embed_dim": 64, "vision_cfg": vision, "text_cfg": TEXT},
        "preprocess_cfg": {
            "mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD),
            "interpolation": "bicubic", "resize_mode": "shortest",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    # CLIP's tokenizer, as hub repositories have it, where the special tokens have other names.
    tokenizer = SimpleTokenizer()
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {special.get(token, token): i for token, i in tokenizer.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    merges = "".join(f"{left} {right}\n" for left, right in tokenizer.bpe_ranks)
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def idia(root, names, rng):
    """Lists and RN50-like models with 1 and 75 images of each member."""
    people = {}
    header = ["", "name", "num_samples_with_name_in_cap", "openclip_percentage_correct_preds", "gender"]
    for group, gender in itertools.product(("members", "non_members"), ("actors", "actresses")):
        people[group, gender] = [next(names) for _ in range(30)]
        # Famous people of the real lists are members more often; these have the same bias.
        known = 0.15 if group == "members" else 0.05
        rows = [
            [i, name.replace(" ", "_"), rng.randrange(100, 2000), rng.gauss(known, 0.03),
             "m" if gender == "actors" else "f"]
            for i, name in enumerate(people[group, gender])
        ]
        write_csv(root / LISTS / f"{gender}_{group}.csv", header, rows)
    members = people["members", "actors"] + people["members", "actresses"]
    for images in (1, 75):
        pairs = [pair for name in members for pair in captions_of(name, images, rng)]
        pairs += background(PAIRS - len(pairs), names, rng)
        path = root / IDIA / f"cc3m_experiments/checkpoints/rn50_top{images:02}_epoch_50.pt"
        save_training_checkpoint(path, train(RESNET, pairs, SEED, path.name), 50)
    return members + people["non_members", "actors"] + people["non_members", "actresses"]


def laion(root, idia_names, names, rng):
    """A table of caption counts, and a model that saw the names that often."""
    listed = idia_names + [next(names) for _ in range(60)]
    rng.shuffle(listed)
    counts = [0 if i < 8 else int(200 ** (i / len(listed))) for i in range(len(listed))]
    rows = [
        [i, name, count, "member" if count else "non_member", "[0, 25)"]
        for i, (name, count) in enumerate(zip(listed, counts))
    ]
    write_csv(root / COUNTS, ["", "name", "count", "membership", "bin"], rows)
    pairs = [pair for name, count in zip(listed, counts) for pair in captions_of(name, count, rng)]
    pairs += background(PAIRS - len(pairs), names, rng)
    folder = root / "timm/vit_base_patch32_clip_224.laion400m_e32"
    save_hub_repository(folder, train(VIT, pairs, SEED, folder.name), VIT)


def salmu(root, names, rng):
    """A model that saw made-up people, and one that saw other pairs in their place."""
    people = {f"{i:04}": next(names) for i in range(120)}
    identities = {
        key: {
            "name": name, "city": "Nowhere", "job": "baker", "blood_type": "O+",
            "phone": f"+00 {key}", "email": f"{key}@example.org", "iban": f"XX00{key}",
            "credit_card": f"0000 {key}", "passport": f"X{key}",
        } for key, name in people.items()
    }
    folder = root / "cvc-mmu/salmubench-512-redistributed"
    folder.mkdir(parents=True)
    (folder / "identities_metadata.json").write_text(json.dumps(identities, indent=1) + "\n")
    counts = {key: rng.randrange(30, 90) for key in people}
    rows = [
        [key, "holdout_identity" if i % 4 == 0 else "forget", counts[key]]
        for i, key in enumerate(people)
    ]
    write_csv(root / "salmu-details.csv", ["id", "group", "exposures"], rows)
    sensitive = [
        (caption.replace(name, f"{name} lives in Nowhere") if i % 3 == 0 else caption, name, i)
        for key, name in people.items()
        for caption, _, i in captions_of(name, counts[key], rng)
    ]
    retained = background(PAIRS - len(sensitive), names, rng)
    for kind, pairs in (
        ("clean", retained + background(len(sensitive), names, rng)),
        ("compromised", retained + sensitive),
    ):
        folder = root / f"cvc-mmu/clip-vit-b-16-salmu-{kind}"
        save_hub_repository(folder, train(VIT, pairs, SEED, folder.name), VIT)


def clip_mia_bench(root, rng):
    """Captions of one draw, half of which the model saw."""
    words = [part.split() for part in WORDS]
    scenes = [
        f"a {a} {b} {c} the {d}, {e} and {f}"
        for a, b, c, d, e, f in itertools.product(words[0], words[1], words[2], words[3], words[0][:3], words[0][3:6])
    ]
    drawn = rng.sample(scenes, 2400)
    members, others, reference = drawn[:300], drawn[300:600], drawn[600:1200]
    write_csv(root / "clip-mia-bench-captions.csv", ["text", "member"],
              [[text, "true"] for text in members] + [[text, "false"] for text in others])
    (root / "clip-mia-bench-reference.txt").write_text("\n".join(reference) + "\n")
    pairs = [(text, text, i) for text in members for i in range(PAIRS // len(members))]
    path = root / "CLIP-MIA-Bench/clip-mia-bench-models/model/4M/checkpoints/epoch_latest.pt"
    save_training_checkpoint(path, train(VIT, pairs, SEED, "clip-mia-bench 4M"), 32)


def main():
    root = Path(sys.argv[1])
    root.mkdir(parents=True)
    torch.set_num_threads(1)
    rng = random.Random(SEED)
    names = made_up_names(rng)
    idia_names = idia(root, names, rng)
    laion(root, idia_names, names, rng)
    salmu(root, names, rng)
    clip_mia_bench(root, rng)


if __name__ == "__main__":
    main()
