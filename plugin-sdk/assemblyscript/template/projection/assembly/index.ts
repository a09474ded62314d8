// The balance of every account.
import { Db, Event, Manifest, Table } from "@lantern/sdk-assemblyscript";

const BALANCES = new Table("balances", ["account"], ["cents"]);

export function manifest(): Manifest {
  return new Manifest("{{name}}")
    .version("0.1.0")
    .topic("accounts")
    .types(["Deposited", "Withdrawn"])
    .schema("CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)");
}

export function apply(event: Event, db: Db): void {
  const data = event.json();
  const cents = data.int("cents");
  db.upsert(BALANCES, data.text("account")).add("cents", event.is("Deposited") ? cents : -cents);
}
