// An account: it takes money, and gives away what it has.
import { Asked, Decision, Event, Json, JsonObject, Manifest } from "@lantern/sdk-assemblyscript";

export function manifest(): Manifest {
  return new Manifest("{{name}}").version("0.1.0").topic("{{name}}-events");
}

/** The state is what has to be known to decide: `{"cents": …}`, and `{}` before the first event. */
export function decide(account: Json, command: Asked, decision: Decision): void {
  const isDeposit = command.name == "Deposit";
  if (!isDeposit && command.name != "Withdraw") return command.unknown();

  const has = account.intOr("cents", 0);
  const cents = command.json().int("cents");
  if (cents <= 0) return decision.reject("no-amount", `${cents} cents are no amount`);
  if (!isDeposit && cents > has) return decision.reject("overdrawn", `${cents} cents are more than the ${has} that there are`);
  decision.happens(isDeposit ? "Deposited" : "Withdrawn", new JsonObject().int("cents", cents));
}

export function evolve(account: Json, event: Event): JsonObject {
  const cents = event.json().int("cents");
  let has = account.intOr("cents", 0);
  if (event.is("Deposited")) has += cents;
  else if (event.is("Withdrawn")) has -= cents;
  else event.badInput("there is no such event");
  return new JsonObject().int("cents", has);
}
