"""An account that is never overdrawn."""

from dataclasses import dataclass

from lantern import Aggregate, Context, Rejection


@dataclass
class Account:
    """What the next decision needs to know."""

    cents: int = 0


@dataclass
class Deposit:
    cents: int


@dataclass
class Withdraw:
    cents: int


@dataclass
class Deposited:
    cents: int


@dataclass
class Withdrawn:
    cents: int


account = Aggregate("{{name}}", topic="{{name}}-events", state=Account)


@account.decide(Deposit)
def deposit(state: Account, command: Deposit, context: Context) -> list[Deposited]:
    check_amount(command.cents)
    return [Deposited(command.cents)]


@account.decide(Withdraw)
def withdraw(state: Account, command: Withdraw, context: Context) -> list[Withdrawn]:
    check_amount(command.cents)
    if command.cents > state.cents:
        missing = command.cents - state.cents
        raise Rejection("overdrawn", f"the account has {state.cents} cents", {"missing": missing})
    return [Withdrawn(command.cents)]


@account.evolve(Deposited)
def deposited(state: Account, event: Deposited) -> None:
    state.cents += event.cents


@account.evolve(Withdrawn)
def withdrawn(state: Account, event: Withdrawn) -> None:
    state.cents -= event.cents


def check_amount(cents: int) -> None:
    if cents <= 0:
        raise Rejection("no-amount", "an amount is at least one cent")
