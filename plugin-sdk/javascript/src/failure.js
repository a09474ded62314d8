// What was thrown, as people are told of it.

import { LanternError } from "./errors.js";

/** Whatever was thrown, as an error of the SDK, with the stack of what is none. */
export function failureOf(error) {
  if (error instanceof LanternError) return error;
  const failure = new LanternError(explain(error));
  failure.cause = error;
  return failure;
}

/** What people are told of it: where in the plugin it arose, too, unless the event is at fault, which says where it is. */
export function told(error) {
  const failure = failureOf(error);
  const isPlaced = failure !== error || failure.fault === "bad-input";
  return isPlaced ? failure.message : placed(failure.message, failure);
}

/** What was thrown, whatever it is, with its stack. */
function explain(error) {
  if (!(error instanceof Error)) {
    const said = typeof error === "object" && error !== null ? JSON.stringify(error) : String(error);
    return `thrown: ${said}`;
  }
  const cause = error.cause === undefined ? "" : `\n  caused by ${explain(error.cause)}`;
  return placed(`${error.name}: ${error.message}`, error) + cause;
}

/** Words, and behind them the stack of an error. */
function placed(words, error) {
  // Engines differ in whether the stack begins with the message.
  const stack = inSources(String(error.stack ?? "").replace(`${error.name}: ${error.message}`, "")).trim();
  return stack ? `${words}\n    ${stack}` : words;
}

/** A stack in lines of the plugin's own sources, where the build has left word of them; what is the SDK's is left out. */
function inSources(stack) {
  const known = globalThis.__lanternLines;
  if (known === undefined) return stack;
  const lines = stack.split("\n").flatMap((line) => {
    const [place, number] = line.match(/[^\s()]*plugin\.js:(\d+)(?::\d+)?/) ?? [];
    const found = known.lines[number - 1];
    if (!found) return [line];
    const source = known.sources[found[0]];
    return source === "@lantern/sdk" ? [] : [line.replace(place, `${source}:${found[1]}`)];
  });
  return lines.filter((line) => !line.includes("(native)")).join("\n");
}
