"""The quickstart over several seeds: does a language vector help, beyond one lucky family of languages?

    python benchmarks/quickstart_seeds.py 12 13 14 15 16

Each seed makes another family of languages, another base model, and other trainings: a whole quickstart under
results/quickstart-seed{n}, which resumes if it was stopped. Prints as Markdown: macro-F1 by method and target, the mean
gain of every method over the task vector alone with its 95 % t-interval over the seeds, and the signature of all.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import t

from deftx.evaluation.signature import pooled

PROJECT = Path(__file__).parent.parent


def run(seed: int) -> pd.DataFrame:
    """Run the experiment of one seed and return its scores."""
    experiment = yaml.safe_load((PROJECT / "config/quickstart.yaml").read_text())
    experiment["name"] = f"quickstart-seed{seed}"
    experiment["testbed"]["seed"] = seed
    experiment["base"]["pretrain"]["seed"] = seed
    experiment["seeds"] = {"language": [seed], "task": [seed]}
    folder = PROJECT / "results" / experiment["name"]
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(experiment, sort_keys=False))
    command = ["snakemake", "--cores", "all", "--quiet", "all", "--configfile", str(config)]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=sys.stderr)
    return pd.read_csv(folder / "tables/scores.csv").assign(seed=seed)


def report(scores: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    names = list(dict.fromkeys(scores["name"]))
    titles = list(dict.fromkeys(scores["title"]))
    means = scores.pivot_table(index="title", columns="name", values="score")
    lines = [f"| method | {' | '.join(names)} |", f"|:--|{'--:|' * len(names)}"]
    lines += [f"| {title} | {' | '.join(f'{means.loc[title, name]:.1f}' for name in names)} |" for title in titles]
    targets = scores[scores["language"] == "mean"].pivot_table(index="seed", columns="method", values="score")
    lines += [
        "",
        f"| gain over the task vector alone | {' | '.join(f'seed {s}' for s in targets.index)} | mean, 95 % |",
    ]
    lines += [f"|:--|{'--:|' * (len(targets) + 1)}"]
    for method, title in dict(zip(scores["method"], scores["title"], strict=True)).items():
        if method == "task-sft":
            continue
        gains = (targets[method] - targets["task-sft"]).to_numpy()
        cells = " | ".join(f"{gain:+.1f}" for gain in gains)
        lines.append(f"| {title} | {cells} | {_mean_with_interval(gains)} |")
    between = (targets["deft-x"] - targets["lt-sft"]).to_numpy()
    lines.append(f"\nDeFT-X minus LT-SFT: {_mean_with_interval(between)}.")
    lines.append(f"\nSignature: `{pooled(scores.loc[scores['language'] == 'mean', 'signature'])}`")
    return "\n".join(lines)


def _mean_with_interval(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():+.1f}"
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.1f} [{values.mean() - half:+.1f}, {values.mean() + half:+.1f}]"


if __name__ == "__main__":
    print(report(pd.concat([run(int(seed)) for seed in sys.argv[1:]])))
