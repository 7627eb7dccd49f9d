"""What a run's numbers come from, by which a run, a checkpoint or a forecast is known to belong to another."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class MismatchError(ValueError):
    """A run directory that belongs to other shards, another tokenizer, model or training config."""


class Origin(BaseModel):
    """What a run's numbers come from; a checkpoint continues only under an equal one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_digest: str
    packing_config: str  # as the order digest covers row numbers, not contents
    tokenizer_sha256: str
    vocabulary: int
    context: int
    trajectory: dict[str, Any]
    shards_version: int = 0  # of the manifest; 0: not known
    shards_digest: str = ""

    def refuse(self, other: Origin, what: str) -> None:
        """Raise MismatchError, naming every differing key, unless `other` (of `what`) equals this one.

        Shards of a later version are the same, without documents that were removed: a run goes on with them.
        """
        ours, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        if self.shards_version < other.shards_version:
            ours |= {key: theirs[key] for key in ("shards_version", "shards_digest")}
        differing = [
            f"{key.removeprefix('trajectory.')} is {ours.get(key)}, not {theirs.get(key)}"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        if differing:
            raise MismatchError(f"{what} belongs to another run ({'; '.join(differing)}): choose another name")

    def so_far(self, step: int) -> Origin:
        """What the first `step` steps come from: a run may go on under other changes to come."""
        return self.model_copy(update={"trajectory": _so_far(self.trajectory, step)})


def _so_far(trajectory: dict[str, Any], step: int) -> dict[str, Any]:
    """The part of a config's `trajectory` that has had an effect after `step` steps: without the changes to come.

    A change is entered under its step, so that one that differs can be named.
    """

    def past(section: dict[str, Any], key: str) -> dict[str, Any]:
        changes = section.get(key, ())
        return {**section, key: {f"step {change['step']}": change for change in changes if change["step"] <= step}}

    return past({**trajectory, "data": past(trajectory.get("data", {}), "changes")}, "batch_changes")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}.{key}".lstrip(".")).items()}
