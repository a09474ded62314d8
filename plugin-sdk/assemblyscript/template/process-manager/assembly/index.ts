// Welcomes who signs up with some money, and reminds them a day later unless they are verified by then.
import { Command, Db, Event, JsonObject, Manifest, Table, tuple } from "@lantern/sdk-assemblyscript";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const SIGNUPS = new Table("signups", ["account"], ["state"]);

export function manifest(): Manifest {
  return new Manifest("{{name}}")
    .version("0.1.0")
    .topic("signups")
    .types(["SignedUp", "Verified"])
    .sends(["account"])
    .schema("CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)");
}

export function apply(event: Event, db: Db): void {
  const account = event.json().text("account").toString();
  if (event.is("SignedUp")) {
    const welcome = new JsonObject().int("cents", 500);
    db.send(event, `welcome/${account}`, new Command("account", account, "Deposit", welcome));
    db.send(event, `remind/${account}`, new Command("account", account, "Remind").dueMs(event.timestampMs + DAY_MS));
    db.put(SIGNUPS, account, tuple("waiting"));
  } else {
    db.cancel(`remind/${account}`);
    db.put(SIGNUPS, account, tuple("verified"));
  }
}
