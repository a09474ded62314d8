// The aggregate of tests/conformance/README.md, which says what each command and event does.
import { Asked, Decision, Event, Json, JsonObject, Manifest } from "@lantern/sdk-assemblyscript";

export function manifest(): Manifest {
  return new Manifest("counter-assemblyscript").topic("counter-assemblyscript");
}

export function decide(state: Json, command: Asked, decision: Decision): void {
  const data = command.json();
  if (command.name == "Add") {
    const n = data.int("n");
    const sum = state.intOr("sum", 0);
    if (n < 0) decision.reject("negative", `n is ${n}`, new JsonObject().int("n", n));
    else if (sum > i64.MAX_VALUE - n) decision.reject("overflow", `the sum is ${sum}`);
    else if (n > 0) decision.happens("Added", new JsonObject().int("n", n));
  } else if (command.name == "AddMany") {
    const items = data.array("n");
    for (let i = 0; i < items.length; i++) decision.happens("Added", new JsonObject().int("n", items[i].asInt()));
  } else if (command.name == "Note") {
    const noted = new JsonObject().text("text", data.text("text").toString());
    noted.text("aggregate", command.aggregate).text("id", command.id).int("version", command.version);
    decision.happens("Noted", noted.int("time_ms", command.timeMs).text("correlation", command.correlation));
  } else if (command.name == "Crash") {
    throw new Error("boom");
  } else {
    command.unknown();
  }
}

export function evolve(state: Json, event: Event): JsonObject {
  let sum = state.intOr("sum", 0);
  const before = state.textOrNull("note");
  let note: string | null = before === null ? null : before.toString();
  if (event.is("Added")) sum += event.json().int("n");
  else if (event.is("Noted")) note = event.json().text("text").toString();
  else if (event.is("Crashed")) throw new Error("boom");
  else event.badInput("there is no such event");
  return new JsonObject().int("count", state.intOr("count", 0) + 1).int("sum", sum).text("note", note);
}
