// Messages for the plugin's log. They never reach the read model.

const LEVELS = ["error", "warn", "info", "debug", "trace"];

let write = (level, message) => globalThis.console?.error(`${LEVELS[level]}: ${message}`);

/** Has messages written elsewhere: the host's log. */
export function writeTo(logger) {
  write = logger;
}

export const log = {
  error: (message) => write(0, String(message)),
  warn: (message) => write(1, String(message)),
  info: (message) => write(2, String(message)),
  debug: (message) => write(3, String(message)),
  trace: (message) => write(4, String(message)),
};
