"""Back to a checkpoint after repeated spikes, and on without the rows that were read since.

PaLM (Chowdhery et al. 2022, section 5.1) restarted from a checkpoint of about 100 steps before a spike and skipped 200
to 500 batches, those before and during the spike among them; the spikes did not come again, though the same batches did
no harm elsewhere: it takes both, those rows and that state.

The rows passed over are a jump of `shards.reading`, kept in every later checkpoint, so that a resumed run and
`gristmill shards step` know them. The order of rows goes on as it is: with weights, each bucket passes over its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrain import checkpoint
from pretrain.data import Loader
from pretrain.metrics import Metrics, Record
from pretrain.update import DivergedError

if TYPE_CHECKING:
    from pretrain.train import Training


def recent_spikes(run: Training) -> list[Record]:
    """Records of the spikes that count: in the last `window` steps, since the latest rollback; [] without rollbacks."""
    if run.config.spikes.rollback_after is None:
        return []
    jumps = run.loader.reading.jumps
    since = max(run.step - run.config.spikes.window, jumps[-1][0] - 1 if jumps else 0)
    return [record for record in run.spiked if record["step"] > since]


def roll_back(run: Training) -> bool:
    """Take the run back where it has just had too many spikes and a checkpoint from before; whether it did.

    Every process must call it after every update. Raises DivergedError where there were enough rollbacks already, or no
    rows are left to go on with, CheckpointError where the checkpoint is damaged.
    """
    asked, spikes = run.config.spikes, recent_spikes(run)
    if not spikes or len(spikes) < (asked.rollback_after or 0) or spikes[-1]["step"] != run.step:
        return False
    run.checkpoints.finish()
    step = run.checkpoints.before(spikes[0]["step"])
    if step is None:
        return False
    what = f"step {run.step}: {len(spikes)} spikes in the last {asked.window} steps"
    if run.rollbacks == asked.rollbacks:
        raise DivergedError(
            f"{what} after {run.rollbacks} rollbacks: try a lower optimizer.lr, or look at the documents"
        )
    before, after = run.loader.reading, run.step
    rows = sum(before.at(after)) - sum(before.at(step))
    reading = before.after(step, rows)
    try:
        reading.check(run.inputs.train, run.steps)
    except ValueError as error:
        raise DivergedError(f"{what}, and no rows to go on with: {error}") from None
    _restore(run, step, Loader(run.inputs.train, reading))
    run.record("rollback", after=after, rows=rows, rollbacks=run.rollbacks, spikes=spikes)
    return True


def _restore(run: Training, step: int, loader: Loader) -> None:
    """The state of the checkpoint of `step`, in place; metrics and window forget what came after it."""
    path = run.checkpoints.back_to(step)
    checkpoint.read_state(path)
    checkpoint.load(path, run.model, run.optimizers)
    run.batches.close()
    run.metrics.close()
    run.metrics = Metrics(run.diary, step, run.world.leads, run.config.tensorboard)
    run.world.barrier()
    run.step, run.rollbacks = step, run.rollbacks + 1
    run.read_on(loader)
    run.watch_spikes()
