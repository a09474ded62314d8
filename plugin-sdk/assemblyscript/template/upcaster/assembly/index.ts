// Deposits were once in whole units; today they are in cents.
import { Event, JsonObject, Manifest, Upcasts } from "@lantern/sdk-assemblyscript";

export function manifest(): Manifest {
  return new Manifest("{{name}}").version("0.1.0").topic("accounts").types(["DepositedV1"]);
}

export function upcast(event: Event, today: Upcasts): void {
  const old = event.json();
  const account = old.text("account").toString();
  const amount = old.int("amount");
  if (amount > i64.MAX_VALUE / 100 || amount < i64.MIN_VALUE / 100) return event.badInput("the amount is too large");
  today.becomes("Deposited", new JsonObject().text("account", account).int("cents", amount * 100));
}
