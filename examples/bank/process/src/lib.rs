//! Moves the money of transfers: debits one account, credits the other, and gives the money back when that cannot be.
//!
//! No transaction spans two accounts. Each step is a command to one of them, and what becomes of it is an event that leads to the
//! next one. Every event carries what the next step needs, so that nothing has to be looked up, in whatever order the
//! events of several topics come.

use bank_events::{AccountCommand, AccountEvent, NotCredited, TransferCommand, TransferEvent};
use lantern_sdk::{Command, Db, Event, Manifest, Projection, Rejected, Result, Table};

const NAME: &str = "bank-process";
static STEPS: Table = Table::new("steps", &["transfer", "step"], &["at_ms"]);

/// The process manager.
#[derive(Default)]
pub struct Process;

impl Projection for Process {
    fn manifest() -> Manifest {
        Manifest::new(NAME)
            .version(env!("CARGO_PKG_VERSION"))
            .description("Moves the money of transfers")
            .topic("transfers")
            .topic("accounts")
            .topic("accounts.decisions")
            .types(["Requested", "Confirmed", "Debited", "Credited", Rejected::KIND])
            .sends(["account", "transfer"])
            .schema(
                "CREATE TABLE steps (transfer TEXT NOT NULL, step TEXT NOT NULL, at_ms INTEGER NOT NULL,
                                     PRIMARY KEY (transfer, step))",
            )
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.topic() {
            "transfers" => on_transfer(event, db, event.decode()?),
            "accounts" => on_account(event, db, event.decode()?),
            _ => refused(event, db, &event.json()?),
        }
    }
}

fn on_transfer(event: &Event<'_>, db: &mut Db, happened: TransferEvent) -> Result<()> {
    let transfer = event.key_str()?;
    match happened {
        TransferEvent::Requested { confirm_by_ms: Some(confirm_by_ms), .. } => {
            let expire = Command::of("transfer", transfer, &TransferCommand::Expire)?;
            db.send(event, &format!("{transfer}/expire"), expire.due_ms(confirm_by_ms));
            note(event, db, transfer, "waiting");
            Ok(())
        }
        TransferEvent::Requested { from, to, cents, confirm_by_ms: None } => {
            debit(event, db, &from, to, cents)
        }
        TransferEvent::Confirmed { from, to, cents } => {
            db.cancel(&format!("{transfer}/expire"));
            debit(event, db, &from, to, cents)
        }
        _ => Ok(()),
    }
}

fn on_account(event: &Event<'_>, db: &mut Db, happened: AccountEvent) -> Result<()> {
    match happened {
        AccountEvent::Debited { transfer, to, cents } => {
            let from = event.key_str()?.to_owned();
            let credit = AccountCommand::Credit { transfer: transfer.clone(), from, cents };
            db.send(event, &format!("{transfer}/credit"), Command::of("account", to, &credit)?);
            note(event, db, &transfer, "debited");
            Ok(())
        }
        AccountEvent::Credited { transfer, .. } => {
            end(event, db, &transfer, &TransferCommand::Complete)?;
            note(event, db, &transfer, "credited");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The first step: the money leaves its account.
fn debit(event: &Event<'_>, db: &mut Db, from: &str, to: String, cents: i64) -> Result<()> {
    let transfer = event.key_str()?;
    let debit = AccountCommand::Debit { transfer: transfer.to_owned(), to, cents };
    db.send(event, &format!("{transfer}/debit"), Command::of("account", from, &debit)?);
    note(event, db, transfer, "requested");
    Ok(())
}

/// An account said no to one of these commands, whose key says which.
fn refused(event: &Event<'_>, db: &mut Db, rejected: &Rejected) -> Result<()> {
    let Some((transfer, step)) = rejected.sent_by(NAME).and_then(|key| key.rsplit_once('/')) else {
        return Ok(());
    };
    if step == "credit" {
        let NotCredited { transfer, from, cents } = rejected.detail()?;
        let refund = AccountCommand::Refund { transfer: transfer.clone(), cents };
        db.send(event, &format!("{transfer}/refund"), Command::of("account", from, &refund)?);
    }
    end(event, db, transfer, &TransferCommand::Fail { reason: rejected.code.clone() })?;
    note(event, db, transfer, "failed");
    Ok(())
}

/// The last step: the transfer is told.
fn end(event: &Event<'_>, db: &mut Db, transfer: &str, command: &TransferCommand) -> Result<()> {
    db.send(event, &format!("{transfer}/end"), Command::of("transfer", transfer, command)?);
    Ok(())
}

/// What it did and when, for people.
fn note(event: &Event<'_>, db: &mut Db, transfer: &str, step: &str) {
    db.put(&STEPS, (transfer, step), event.timestamp_ms());
}

lantern_sdk::projection!(Process);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_one_that_a_host_takes() {
        let manifest = Process::manifest().check().unwrap();
        assert_eq!(manifest.sends, ["account", "transfer"]);
    }
}
