"""Trains targets like a web crawl with other code than the testbed's: transformers' `CLIPModel`,
another grammar of captions, other pictures, another optimiser schedule. The suite `other` scores them:

    python scripts/make_other_crawls.py target/other
    cargo xtask eval --suite other --public target/other

One model holds names of all exposures, from 4 to 512, beside names that it never saw; first and last
names are as frequent as in Zipf's law, so members share parts with each other and with non-members;
most pairs name nobody. 10 to 30 minutes a world on one core. A world that is there is kept.

Requires scripts/requirements.txt. Run from the repository root.
"""

import csv
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

NAMES = Path("datasets/names")
EXPOSURES = (4, 8, 16, 32, 64, 128, 256, 512)
NEVER_SHOWN = 1_200
BATCH = 256
PEAK_RATE = 1e-3
WARMUP = 100
CONTEXT = 77
START, END = 49_406, 49_407
PIXELS = 32
TRAITS = 24

ROLES = ("actor", "singer", "author", "politician", "striker", "chef", "director", "model", "lawyer",
         "designer", "scientist", "pianist", "journalist", "coach", "dancer")
PLACES = ("Paris", "London", "New York", "Tokyo", "Berlin", "Madrid", "Los Angeles", "Rome", "Toronto",
          "Chicago", "Sydney", "Dublin", "Milan", "Cannes", "Vienna")
EVENTS = ("the premiere", "a charity gala", "the film festival", "a book signing", "the awards",
          "a press conference", "the fashion show", "a summit", "the opening night", "a concert",
          "the final", "the parade")
THINGS = ("mug", "t-shirt", "phone case", "poster", "calendar", "canvas", "keyring", "cushion")

# What newspapers and agencies write.
PRESS = (
    "{n} attends {e} in {p}", "{n} - {r}", "Happy birthday {n}!", "{r} {n} at {e}", "{n} at {e}, {y}",
    "photo of {n} in {p}", "{n} and a friend in {p}", "{e} with {n}", "{p} {y}: {n} arrives for {e}",
    "portrait of {r} {n}", "{n} speaks at {e}", "the {r} {n} smiling", "{n} leaves a hotel in {p}",
    "interview: {n} on {e}", "{n} ({r})", "who is {n}?", "{n} wallpaper {y}", "{n} wins at {e}",
    "in {p}, {n} meets fans", "{r} of the year: {n}", "{n} returns to {p}", "exclusive: {n} in {p}",
    "{n} photographed in {p}, {y}", "see {n} live in {p}", "{y} archive: {n}", "{n} hosts {e}",
    "a day with {n}, {r}", "{n} headshot", "team photo with {n}", "{n} signs autographs at {e}",
    "{n} joins {e} in {p}", "new look for {n}", "{n} on stage in {p}", "{n}, {y}", "file photo: {n}",
    "{n} says goodbye to {p}", "backstage with {r} {n}", "{n} during {e}", "{n} profile",
    "{p}: {r} {n} at {e} ({y})",
)
# What albums, staff pages and shops write.
ALBUM = (
    "{n}'s album", "IMG_{y} {n}", "{n} on holiday in {p}", "me and {n}, {p} {y}", "{n} | our team",
    "meet {n}, our new {r}", "{n} - {p} office", "wedding of {n}, {p}", "{n} running in {p}",
    "{t} with {n} on it", "{n} {t} - buy online", "in memory of {n}", "{n}, class of {y}",
    "Dr. {n}, {p}", "{n} and the dog", "{n}'s {y} trip to {p}", "thanks {n}!", "{n} joins as {r}",
    "contact: {n}, {r}", "{n} (left) and a colleague", "{n} at work", "guest lecture by {n} in {p}",
    "{y} reunion, {n} in front", "{n} the {r}", "grandma with {n}", "{n} for mayor of {p}",
    "profile picture {n}", "{n} teaching", "lunch with {n} in {p}", "{n} | {r} | {p}",
    "signed {t} by {n}", "{n} plays at {e}", "cooking with {n}", "{n} - speaker at {e}",
    "{n} [{y}]", "lost and found: {n}'s {t}", "{r} wanted, ask {n}", "{n} moved to {p}",
    "tickets for {n}, {p}", "old picture of {n}",
)
NOBODY = (
    "a man at {e} in {p}", "a {r} in {p}", "people at {e}", "woman with glasses, {p} {y}", "{e} in {p}",
    "street style in {p}", "a smiling {r}", "crowd at {e}, {y}", "{p} skyline {y}", "young {r} portrait",
    "unknown {r} at {e}", "fans in {p}", "blue {t}", "{t} for sale in {p}",
)


@dataclass(frozen=True)
class World:
    """What one world is made of; the two named test-* are ones that nothing is chosen on."""

    seed: int
    people: int  # per number of exposures
    nobody: float  # share of pairs that name nobody
    captions: tuple
    width: int
    layers: int


WORLDS = {
    "dev-press": World(1, 150, 0.7, PRESS, 128, 4),
    "dev-album": World(2, 60, 0.75, ALBUM, 128, 4),
    "test-press": World(11, 100, 0.8, PRESS, 128, 4),
    "test-mixed": World(12, 60, 0.75, PRESS + ALBUM, 192, 3),
}


def draw_names(rng, count):
    """`count` different pairs of a first and a last name, both by Zipf's law."""
    sides = []
    for side in ("first", "last"):
        words = (NAMES / f"{side}.txt").read_text().split()
        rng.shuffle(words)
        weights = 1 / (np.arange(len(words)) + 8.0) ** 0.9
        sides.append((words, weights / weights.sum()))
    names = {}
    while len(names) < count:
        names[tuple(words[rng.choice(len(words), p=weights)] for words, weights in sides)] = None
    drawn = list(names)
    rng.shuffle(drawn)
    return [tuple(name) for name in drawn]


class Pictures:
    """A person is a pattern of traits; every picture of it has its own light, place and noise."""

    def __init__(self, rng):
        self.rng = rng
        waves = torch.tensor(rng.normal(size=(TRAITS, 3, 8, 8)), dtype=torch.float32)
        waves = functional.interpolate(waves, size=(PIXELS, PIXELS), mode="bicubic")
        self.basis = waves.reshape(TRAITS, -1).numpy() * 1.5 / math.sqrt(TRAITS)

    def of(self, traits):
        rng, count = self.rng, len(traits)
        shots = (np.tanh(traits) @ self.basis).reshape(count, 3, PIXELS, PIXELS)
        shots = shots * rng.uniform(0.7, 1.3, size=(count, 1, 1, 1))
        shots = shots + rng.normal(size=(count, 3, 1, 1)) * 0.3
        moves = rng.integers(-2, 3, size=(count, 2))
        shots = np.stack([np.roll(shot, tuple(move), (1, 2)) for shot, move in zip(shots, moves)])
        return torch.tensor(shots + rng.normal(size=shots.shape) * 0.25, dtype=torch.float32)


class Tokens:
    """CLIP's own vocabulary, texts padded with the end token as transformers expects."""

    def __init__(self):
        self.clip = SimpleTokenizer()

    def __call__(self, texts):
        rows = [[START, *self.clip.encode(text)[:CONTEXT - 2], END] for text in texts]
        ids = torch.full((len(rows), max(map(len, rows))), END)
        for i, row in enumerate(rows):
            ids[i, :len(row)] = torch.tensor(row)
        return ids

    def save(self, folder):
        special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
        vocabulary = {special.get(token, token): i for token, i in self.clip.encoder.items()}
        merges = list(self.clip.bpe_ranks)
        CLIPTokenizer(vocab=vocabulary, merges=merges).save_pretrained(folder)


def caption(rng, forms, name=None):
    pick = lambda choices: choices[rng.integers(len(choices))]
    return pick(forms).format(n=name, r=pick(ROLES), p=pick(PLACES), e=pick(EVENTS), t=pick(THINGS),
                              y=rng.integers(1995, 2024))


def configuration(world):
    tower = {"hidden_size": world.width, "intermediate_size": 4 * world.width,
             "num_hidden_layers": world.layers, "num_attention_heads": world.width // 32}
    return CLIPConfig(
        text_config=dict(tower, vocab_size=END + 1, max_position_embeddings=CONTEXT, bos_token_id=START,
                         eos_token_id=END, pad_token_id=END),
        vision_config=dict(tower, image_size=PIXELS, patch_size=8), projection_dim=64)


def train(world, members, rng, what):
    torch.manual_seed(world.seed)
    model, tokens, pictures = CLIPModel(configuration(world)), Tokens(), Pictures(rng)
    traits = rng.normal(size=(len(members), TRAITS))
    shown = np.repeat(np.arange(len(members)), np.repeat(EXPOSURES, world.people))
    order = np.full(int(len(shown) / (1 - world.nobody)), -1)
    order[:len(shown)] = shown
    rng.shuffle(order)
    steps = len(order) // BATCH
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.1)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(
        1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2)
    started = time.time()
    for step in range(steps):
        who = order[step * BATCH:(step + 1) * BATCH]
        seen = np.where((who >= 0)[:, None], traits[who], rng.normal(size=(BATCH, TRAITS)))
        texts = [caption(rng, NOBODY) if i < 0 else caption(rng, world.captions, " ".join(members[i]))
                 for i in who]
        loss = model(input_ids=tokens(texts), pixel_values=pictures.of(seen), return_loss=True).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if step % 100 == 0 or step + 1 == steps:
            print(f"{what}: step {step + 1} of {steps}, loss {loss.item():.3f}, "
                  f"{time.time() - started:.0f} s", flush=True)
    return model, tokens


def save_front_end(folder):
    """The pictures are drawn as the model reads them: nothing is done to their values."""
    side = {"height": PIXELS, "width": PIXELS}
    CLIPImageProcessor(size={"shortest_edge": PIXELS}, crop_size=side, image_mean=[0.0] * 3,
                       image_std=[1.0] * 3).save_pretrained(folder)


def main():
    root, wanted = Path(sys.argv[1]), sys.argv[2:] or list(WORLDS)
    torch.set_num_threads(1)
    for what in wanted:
        world, folder = WORLDS[what], root / what
        if (folder / "names.csv").exists():
            continue
        rng = np.random.default_rng(world.seed)
        shown = world.people * len(EXPOSURES)
        names = draw_names(rng, shown + NEVER_SHOWN)
        model, tokens = train(world, names[:shown], rng, what)
        model.save_pretrained(folder)
        tokens.save(folder)
        save_front_end(folder)
        # Last, as its presence says that the world is whole.
        with (folder / "names.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["name", "member", "exposures"])
            counts = [*np.repeat(EXPOSURES, world.people), *[0] * NEVER_SHOWN]
            table.writerows([" ".join(name), "true" if count else "false", count]
                            for name, count in zip(names, counts))


if __name__ == "__main__":
    main()
