// The upcaster of tests/conformance/README.md, which says what each event becomes.
import { Event, JsonObject, Manifest, Upcasts } from "@lantern/sdk-assemblyscript";

export function manifest(): Manifest {
  return new Manifest("upcaster-assemblyscript").topic("conformance-old").types(["CountV1", "RecordV1", "GoneV1", "BadV1"]);
}

export function upcast(event: Event, today: Upcasts): void {
  if (event.is("CountV1")) {
    const old = event.json();
    today.becomes("Count", new JsonObject().text("account", old.text("account").toString()).int("n", old.int("amount")));
  } else if (event.is("RecordV1")) {
    today.becomesBytes("Record", event.payload);
  } else if (event.is("GoneV1")) {
    today.becomesBytes("Record", null);
  } else {
    event.badInput("refused by the domain");
  }
}
