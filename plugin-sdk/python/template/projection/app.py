"""Keeps the balance of every account."""

from dataclasses import dataclass

from lantern import Db, Event, Projection, Table


@dataclass
class Deposited:
    account: str
    cents: int


@dataclass
class Withdrawn:
    account: str
    cents: int


BALANCES = Table("balances", key="account", columns=["cents"])

balances = Projection(
    "{{name}}",
    topics=["accounts"],
    schema=["CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)"],
)


@balances.on(Deposited)
def deposited(event: Event[Deposited], db: Db) -> None:
    db.upsert(BALANCES, event.data.account).add(cents=event.data.cents)


@balances.on(Withdrawn)
def withdrawn(event: Event[Withdrawn], db: Db) -> None:
    db.upsert(BALANCES, event.data.account).add(cents=-event.data.cents)
