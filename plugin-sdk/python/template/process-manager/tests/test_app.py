from app import DAY_MS, SignedUp, Verified, welcome
from lantern.testing import ReadModel, event


def test_who_signs_up_gets_a_bonus_and_a_reminder_a_day_later() -> None:
    model = ReadModel(welcome).apply(event(SignedUp("ada"), timestamp_ms=1000))
    remind, bonus = model.sent
    assert (bonus.key, bonus.id, bonus.command, bonus.data) == ("welcome/ada", "ada", "Deposit", {"cents": 500})
    assert (remind.key, remind.command, remind.due_ms) == ("remind/ada", "Remind", 1000 + DAY_MS)


def test_who_verifies_the_account_is_not_reminded() -> None:
    model = ReadModel(welcome).apply(SignedUp("ada"), Verified("ada"))
    assert [sent.key for sent in model.sent] == ["welcome/ada"]
    assert model.rows("signups") == [{"account": "ada", "state": "verified"}]
