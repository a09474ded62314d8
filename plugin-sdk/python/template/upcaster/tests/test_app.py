from app import DepositedV1, upcaster
from lantern.testing import upcast


def test_whole_units_become_cents() -> None:
    assert upcast(upcaster, DepositedV1("ada", 5)) == ("Deposited", {"account": "ada", "cents": 500})
