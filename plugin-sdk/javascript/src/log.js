// Messages for the plugin's log. They never reach the read model.

/** Levels as the contract numbers them. */
export const LEVELS = ["error", "warn", "info", "debug", "trace"];

let write = (level, message) => globalThis.console?.error(`${LEVELS[level]}: ${message}`);

/** Has messages written elsewhere: the host's log. */
export function writeTo(logger) {
  write = logger;
}

export const log = Object.fromEntries(LEVELS.map((name, level) => [name, (message) => write(level, String(message))]));
