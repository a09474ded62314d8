"""Welcomes whoever signs up with a bonus, and reminds those who do not verify their account within a day."""

from dataclasses import dataclass

from lantern import Command, Db, Event, Projection, Table

DAY_MS = 24 * 60 * 60 * 1000


@dataclass
class SignedUp:
    account: str


@dataclass
class Verified:
    account: str


@dataclass
class Deposit:
    cents: int


@dataclass
class Remind:
    pass


SIGNUPS = Table("signups", key="account", columns=["state"])

welcome = Projection(
    "{{name}}",
    topics=["signups"],
    schema=["CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)"],
    sends=["account"],
)


@welcome.on(SignedUp)
def signed_up(event: Event[SignedUp], db: Db) -> None:
    account = event.data.account
    db.put(SIGNUPS, account, state="signed-up")
    # The key says which command it is, so that it has its effect once, whatever happens.
    db.send(event, f"welcome/{account}", Command("account", account, Deposit(cents=500)))
    tomorrow = event.timestamp_ms + DAY_MS
    db.send(event, f"remind/{account}", Command("account", account, Remind(), due_ms=tomorrow))


@welcome.on(Verified)
def verified(event: Event[Verified], db: Db) -> None:
    db.put(SIGNUPS, event.data.account, state="verified")
    db.cancel(f"remind/{event.data.account}")
