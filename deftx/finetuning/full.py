"""Full fine-tuning: all weights move, from theta_start to theta_1, and delta = theta_1 - theta_start is left.

Its largest entries, as they are (LT-SFT: Ansell et al. 2022, section 3.1) or denoised (DeFT-X: Simon & Jyothi 2025,
section 3.2), become the mask of `deftx.finetuning.sparse`.
"""

from deftx.finetuning import common
from deftx.finetuning.common import Arrays, Job, arrays
from deftx.modules import vectors
from deftx.training.loop import Record
from deftx.training.trainable import all_entries, l1_strength


def train(job: Job) -> Record:
    """Train all weights but the layer normalisation, and leave the delta.

    Raises:
        VectorError: the start does not fit the base model.
        And what `deftx.finetuning.common` raises.
    """
    model, objective = common.begin(job)
    l1 = l1_strength(model, job.data.recipe)
    # Nothing else may hold the model's parameters: of word embeddings only some rows may be left.
    entries = all_entries(model, common.at_start(job, model), objective.token_ids())
    shapes = {name: job.base.shapes[name] for name in entries.base}
    metadata = vectors.Metadata(kind="delta", shapes=shapes, **common.origin(job))

    def save(task_head: Arrays) -> None:
        delta = arrays(entries.difference())
        vectors.save(vectors.Vector(metadata, dense=delta, head=task_head, rows=arrays(entries.rows)), job.out)

    code = {"code": common.code(job, "deftx.finetuning.full")}
    return common.train(job, model, objective, entries, metadata, code, save, l1)
