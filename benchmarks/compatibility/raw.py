"""The raw files that both sides start from: a base model, text, and labelled rows, all of made-up words."""

from pathlib import Path

from tests.helpers import pico

LABELS = ("bad", "fair", "good")
RELATIONS = ("entailment", "neutral", "contradiction")


def write(folder: Path) -> None:
    """Write `models/` and `texts/` below a folder, as experiments/xlmr.yaml names them."""
    pico.xlmr(folder / "models/xlmr")
    texts = folder / "texts"
    for seed, lang in enumerate(("src", "one")):
        pico.text(texts / f"{lang}.txt", 120, seed)
    pico.rows(texts / "more.csv", 30, 3, LABELS)
    for seed, name in enumerate(("train", "valid", "one"), 10):
        pico.rows(texts / f"reviews-{name}.csv", 24, seed, LABELS)
    copies = (texts / "reviews-one.csv").read_text().splitlines()[1:6]  # what drop_near_copies is to find
    rows = [line.split(",")[1:] for line in copies]
    rows += [[text, LABELS[n % 3]] for n, text in enumerate(pico.sentences(24, 20))]
    (texts / "reviews-more.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in [("sentence", "class"), *rows]))
    for seed, name in enumerate(("train", "valid", "one"), 30):
        write_pairs(texts / f"pairs-{name}.csv", seed)
    held_out = (texts / "pairs-valid.csv").read_text().splitlines(keepends=True)[1:4]
    with (texts / "pairs-train.csv").open("a") as file:
        file.writelines(held_out)  # what drop_held_out is to find


def write_pairs(path: Path, seed: int) -> None:
    """Write premises and hypotheses as CSV."""
    both = zip(pico.sentences(24, seed), pico.sentences(24, seed + 100), strict=True)
    lines = [f"{premise},{hypothesis},{RELATIONS[n % 3]}" for n, (premise, hypothesis) in enumerate(both)]
    path.write_text("\n".join(["premise,hypothesis,label", *lines]) + "\n")
