// Why something could not be done, and whose fault it is.

/** Faults as the contract numbers them. */
export const FAULTS = ["bad-input", "sql", "conflict", "unsupported", "other"];

/** What the SDK throws. Anything else that is thrown fails an event too. */
export class LanternError extends Error {
  constructor(message, { fault = "other", index } = {}) {
    super(message);
    this.name = new.target.name;
    this.fault = fault;
    this.index = index;
  }
}

/** The event cannot be understood: it is at fault, not the plugin. */
export class BadInput extends LanternError {
  constructor(message, index) {
    super(message, { fault: "bad-input", index });
  }
}

/** SQLite refused a statement, or what it would have done conflicts with what is stored. */
export class SqlError extends LanternError {
  constructor(message, { fault = "sql", index } = {}) {
    super(message, { fault, index });
  }
}

/** The domain says no. That is an answer, which the caller gets and which is not tried again. */
export class Rejection extends Error {
  constructor(code, message, detail) {
    super(message);
    this.name = "Rejection";
    this.code = code;
    this.detail = detail;
  }
}

/** A value that is not of the expected form, with the path to what is wrong. */
export class Invalid extends Error {}

/** The error of a fault. */
export function errorOf(fault, message, index) {
  if (fault === "bad-input") return new BadInput(message, index);
  const SomeError = fault === "sql" || fault === "conflict" ? SqlError : LanternError;
  return new SomeError(message, { fault, index });
}
