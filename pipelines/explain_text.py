"""What `gristmill explain` prints of a document."""

from __future__ import annotations

from typing import Any

from pipelines.explain_duplicates import SHOWN
from pipelines.explain_lines import as_lines
from pipelines.lookup import Row, excerpt


def as_text(facts: Row) -> str:
    """One document's facts (of `explain`) as lines for a terminal."""
    lines = [f"{facts['doc_id']}  {_outcome(facts)}"]
    if original := facts.get("duplicate_of"):
        lines += [f"  {_duplicate(original)}"] if facts["reason"] != "duplicate" else []
        lines += _original_lines(original)
    lines += [f"  source        {facts['source']}", f"  uri           {facts['uri']}"]
    sizes = [name for name in ("split", "characters", "bytes") if facts.get(name) is not None]
    lines += [f"  {name:<12}  {_number(facts[name])}" for name in sizes]
    lines += [f"  {error['level']} error  {error['reason']}: {error['detail']}" for error in facts.get("errors", [])]
    lines += _cluster_lines(facts)
    lines += _rule_lines(facts)
    for family, signals in facts.get("signals", {}).items():
        lines.append(f"  {family}")
        lines += [f"    {name:<22}  {_number(value)}" for name, value in signals.items()]
    lines += [f"  edit  {e['kind']} {e['start']}-{e['end']}: {e['reason']}" for e in facts.get("edits", [])]
    lines += [f"  meta  {name}: {value}" for name, value in facts.get("meta", {}).items()]
    shown = "\n".join(line.replace("\n", " ") for line in lines)
    return "\n".join([excerpt(shown, len(shown)), *as_lines(facts.get("lines", []))])


def _outcome(facts: Row) -> str:
    """What became of a document, and why, in a few words."""
    if facts["status"] == "kept":
        others = facts.get("stands_for", {}).get("count", 0)
        return "kept" + (f", and stands for {others:,} other{'' if others == 1 else 's'}" if others else "")
    if facts["status"] != "dropped":
        return facts["status"] + (f": {facts['reason']}" if facts.get("reason") else "")
    if facts["reason"] == "removed":
        return _removed(facts["removed"])
    if facts["reason"] == "duplicate":
        return f"dropped: {_duplicate(facts['duplicate_of'])}"
    if facts["reason"] == "split_leak":
        return f"dropped: split_leak, its cluster has a document on another side of the split than {facts['split']}"
    return f"dropped: failed {', '.join(facts['failed_rules'])}"


def _removed(facts: Row | None) -> str:
    """When and why a document was taken out."""
    if facts is None:
        return "removed, but no tombstone says so any more"
    if facts["by"]:
        return f"removed: {facts['by']} names it"
    return f"removed on {facts['date']} (removal {facts['removal']}): {facts['reason'] or 'no reason was given'}"


def _duplicate(original: Row) -> str:
    """Of what it is a duplicate."""
    holder = f", which the earlier run '{original['index']}' holds" if original["index"] else ""
    if original["kind"] == "linked":
        count = len(original["path"])
        chain = f", by a chain of {count:,} similar pairs" if count else ""
        return f"duplicate of {original['doc_id']}{chain}{holder}"
    if original["kind"] == "exact":
        return f"exact duplicate of {original['doc_id']}{holder}"
    kind = "near duplicate" if original["kind"] == "near" else "duplicate"
    return f"{kind} of {original['doc_id']} (similarity {original['similarity']:.4g}){holder}"


def _original_lines(original: Row) -> list[str]:
    lines = []
    if original["missing"]:
        lines.append(f"    nothing more is known of it: {original['missing']}")
    else:
        lines.append(f"    {original['source']}  {original['uri']}")
        lines += [f"    | {line}" for line in (original["text"] or "").split("\n") if line.strip()]
    if original["no_path"]:
        lines.append(f"    the path is not known: {original['no_path']}")
    if original["kind"] == "linked":
        links = original["path"]
        lines += [_named(link) for link in links[:SHOWN]]
        lines += [f"    ... and {len(links) - SHOWN:,} more"] if len(links) > SHOWN else []
    return lines


def _cluster_lines(facts: Row) -> list[str]:
    lines = []
    for entry, title in (("stands_for", "stands for"), ("pairs", "similar to")):
        listed = facts.get(entry, {"count": 0, "documents": []})
        if listed["count"]:
            lines.append(f"  {title:<12}  {_documents(listed['count'])}")
            lines += [_named(row) for row in listed["documents"]]
            lines += _more(listed["count"], listed["documents"])
    cluster = facts.get("cluster", {"size": 0})
    if cluster["size"] > 1:
        sources = ", ".join(f"{count:,} of {source}" for source, count in cluster["sources"].items())
        head = f"{_documents(cluster['size'])}, {cluster['kept']:,} kept: {sources}"
        lines.append(f"  cluster       {cluster['cluster']}  {head}")
        lines += [_named(row) for row in cluster["documents"]] + _more(cluster["size"], cluster["documents"])
    return lines


def _rule_lines(facts: Row) -> list[str]:
    rules = facts.get("rules", [])
    asked = {rule["name"] for rule in rules}
    lines = [f"  FAILED  {name}" for name in facts.get("failed_rules", []) if name not in asked]
    for rule in sorted(rules, key=lambda rule: not rule["failed"]):
        word, predicate = "FAILED" if rule["failed"] else "passed", rule["predicate"] or "switched off"
        lines.append(f"  {word}  {rule['name']}: {predicate}")
        values = ", ".join(f"{name} = {_number(value)}" for name, value in rule["values"].items())
        lines += [f"            {values}"] if values else []
    return lines


def _named(row: Row) -> str:
    """A document of a list: what is known of it, in columns."""
    known = [f"{row['similarity']:.3f}"] if row.get("similarity") is not None else []
    known += [row[name] for name in ("kind", "status", "source", "uri") if row.get(name) is not None]
    known += [f"of the earlier run '{row['index']}'"] if row.get("index") is not None else []
    return "    " + "  ".join([row["doc_id"], *known])


def _documents(count: int) -> str:
    return f"{count:,} document{'' if count == 1 else 's'}"


def _more(count: int, listed: list[Row]) -> list[str]:
    return [f"    and {count - len(listed):,} more"] if count > len(listed) else []


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
