"""``Row``: operations on one row."""

from dataclasses import dataclass

from lantern import Db, Event, Table

ROWS = Table("rows", key="id", columns=["n", "note"])
READS = Table("reads", key=["partition", "position", "step"], columns=["found", "n", "note"])


@dataclass
class Row:
    id: str
    ops: str


def row(event: Event[Row], db: Db) -> None:
    """Does the operations in order."""
    id = event.data.id
    for step, op in enumerate(event.data.ops.split(";")):
        word, _, argument = op.partition(" ")
        match word:
            case "put":
                db.put(ROWS, id, n=_integer(event, argument), note="put")
            case "add":
                db.upsert(ROWS, id).add(n=_integer(event, argument))
            case "max":
                db.upsert(ROWS, id).max(n=_integer(event, argument))
            case "min":
                db.upsert(ROWS, id).min(n=_integer(event, argument))
            case "set":
                db.upsert(ROWS, id).set(n=_integer(event, argument))
            case "null":
                db.upsert(ROWS, id).set(n=None)
            case "note":
                db.upsert(ROWS, id).set(note=argument)
            case "touch":
                db.upsert(ROWS, id)
            case "uset":
                db.update(ROWS, id).set(n=_integer(event, argument))
            case "uadd":
                db.update(ROWS, id).add(n=_integer(event, argument))
            case "delete":
                db.delete(ROWS, id)
            case "get":
                found = db.get(ROWS, id)
                key = (event.partition, event.offset, step)
                if found is None:
                    db.put(READS, key, found=0, n=None, note=None)
                else:
                    db.put(READS, key, found=1, **found)
            case _:
                raise event.bad_input(f"{op!r} is no operation")


def _integer(event: Event[Row], text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise event.bad_input(error) from None
