/**
 * Write Lantern plugins in JavaScript and TypeScript. A module's default export is the plugin: a {@link projection}, an
 * {@link aggregate} or an {@link upcaster}.
 */

// ---------------------------------------------------------------------------------------------------------------- JSON

/** What JSON may look like, and the type of what is read. */
export interface Type<T> {
  readonly read: (value: unknown) => T;
}

/** The fields of an object. Fields that are not named are passed over. */
export type Fields = { readonly [name: string]: Type<any> | Fields };

/** The type of what is read by fields or a type. */
export type Infer<F> = F extends Type<infer T> ? T : F extends Fields ? { -readonly [K in keyof F]: Infer<F[K]> } : never;

/** A text. */
export declare const text: Type<string>;
/** An integer that a number holds exactly. One beyond 2^53 is refused: {@link bigint} reads it. */
export declare const integer: Type<number>;
/** An integer of 64 bits. */
export declare const bigint: Type<bigint>;
/** A number, whole or not. */
export declare const number: Type<number>;
/** True or false. */
export declare const boolean: Type<boolean>;
/** Whatever it is. Integers beyond 2^53 are bigints. */
export declare const json: Type<any>;
/** An event's payload as it is, null for a tombstone: it is not read as JSON. */
export declare const bytes: Type<Uint8Array | null>;
/** Something that may be missing or null; it is null then. */
export declare function optional<F extends Type<any> | Fields>(of: F): Type<Infer<F> | null>;
/** Something that may be null, but must be there. */
export declare function nullable<F extends Type<any> | Fields>(of: F): Type<Infer<F> | null>;
/** A list. */
export declare function list<F extends Type<any> | Fields>(of: F): Type<Infer<F>[]>;
/** An object with any fields of one type. */
export declare function record<F extends Type<any> | Fields>(of: F): Type<Record<string, Infer<F>>>;
/** One of these. */
export declare function oneOf<const V extends readonly (string | number | boolean | null)[]>(...values: V): Type<V[number]>;
/** An object with these fields. */
export declare function object<F extends Fields>(fields: F): Type<Infer<F>>;

// -------------------------------------------------------------------------------------------------------------- Events

/** One event of a batch, there until that ends. Nothing of it is decoded before it is asked for. */
export interface Event<T = unknown> {
  /** The event's JSON, as `events` declares it. Throws {@link BadInput} when it is something else. */
  readonly data: T;
  /** The event's type, as its envelope has it. */
  readonly type: string;
  /** The topic that it was read from. */
  readonly topic: string;
  /** The partition of that topic. */
  readonly partition: number;
  /** Its offset in that partition; a bigint beyond 2^53. */
  readonly offset: number;
  /** The record's time in Unix milliseconds; -1 when it has none. This is the only clock there is. */
  readonly timestampMs: number;
  /** The event's place in its batch, counted from 0. */
  readonly index: number;
  /** The record's key. */
  readonly key: Uint8Array | null;
  /** The record's key as text. Throws {@link BadInput} when there is none, or it is not UTF-8. */
  readonly keyText: string;
  /** The event's data as bytes; null is a tombstone. */
  readonly payload: Uint8Array | null;
  /** The event's data as text. Throws {@link BadInput} when it has none, or it is not UTF-8. */
  readonly text: string;
  /** All headers that the plugin asked for, in their order. */
  readonly headers: [name: string, value: Uint8Array | null][];
  /** The first header of this name; null when there is none, or it has no value. Only headers that the plugin asked for are there. */
  header(name: string): Uint8Array | null;
  /** The event's data as JSON, whatever its type. */
  json(): any;
  /** The event's data as another type than it is declared with. Declared once, by `object`, it is read quicker than one that is made at each call. */
  decode<F extends Type<any> | Fields>(type: F): Infer<F>;
  /** What to throw when the event cannot be understood: it names the event's coordinates. */
  badInput(reason: unknown): BadInput;
  /** The event's coordinates: `topic/partition@offset (type)`. */
  toString(): string;
}

/** What is declared by type of event, or by name of command. */
export type Declared = { readonly [type: string]: Type<any> | Fields };

/** Any of the declared events, with its data: `{ type: "Deposited", data: { cents: 5 } }`. */
export type EventOf<E extends Declared> = { [K in keyof E]: { readonly type: K; readonly data: Infer<E[K]> } }[keyof E];

// -------------------------------------------------------------------------------------------------------------- Plugins

/** Where an event's type stands in its record. */
export declare const envelope: {
  /** CloudEvents, in Kafka's binary or structured content mode: where nothing else is said. */
  cloudEvents(): Envelope;
  /** In a header of the record. */
  header(name: string): Envelope;
  /** In a field of the JSON payload; dots lead into objects. */
  jsonField(field: string): Envelope;
  /** Every event of a topic is of one type: this one, or the topic's name. */
  topic(type?: string): Envelope;
};
export interface Envelope {
  readonly kind: string;
}

interface Described {
  /** Names the plugin, and what it keeps: lower-case letters, digits, `-` and `_`. */
  name: string;
  /** The plugin's own version, for people. */
  version?: string;
  /** What it does, in a sentence, for people. */
  description?: string;
  /** To be raised when the same events now give something else. 1 at first. */
  stateVersion?: number;
}

interface Reading {
  /** The topics that are read. */
  topics: string[];
  /** The headers that are read; none, unless named. Fewer are faster. */
  headers?: string[] | "all";
  /** Where an event's type stands, if it is not a CloudEvent. */
  envelope?: Envelope;
}

export interface ProjectionDefinition<E extends Declared> extends Described, Reading {
  /** Statements that run in order on an empty database: tables, indexes, views. */
  schema?: string[];
  /** Queries that are offered by name; their parameters are named `:name`. */
  queries?: Record<string, string | { sql: string; description?: string }>;
  /** The aggregates that commands are sent to: it is then a process manager. */
  sends?: string[];
  /** The types of event that it knows, and their data. */
  events: E;
  /** What it does with each type of event; others are passed over in the host. `"*"` takes all types that have no handler. None is `async`. */
  on: { [K in keyof E]?: (event: Event<Infer<E[K]>>, db: Db) => void } & { "*"?: (event: Event<any>, db: Db) => void };
}

export interface Projection {
  readonly kind: "projection";
  readonly manifest: object;
}

/**
 * A read model as a fold of events.
 *
 * A handler must depend on nothing but the event and the tables. Whatever is kept in variables is gone at any time: what must
 * last belongs into the tables. Whatever is thrown takes the whole batch back; the host then applies what came before this
 * event, and deals with the event by the projection's policy.
 */
export declare function projection<const E extends Declared>(definition: ProjectionDefinition<E>): Projection;

/** What a command is decided in, beside the state. */
export interface Context {
  /** The aggregate's type. */
  readonly aggregate: string;
  /** Which of them. */
  readonly id: string;
  /** How many events it has had: 0 means that it is not there yet. */
  readonly version: number;
  /** The time of the decision in Unix milliseconds. What depends on it belongs into the events. */
  readonly timeMs: number;
  /** The correlation id: what belongs together carries the same. */
  readonly correlation: string | null;
}

export interface AggregateDefinition<S extends Fields, C extends Declared, E extends Declared> extends Described {
  /** The one topic that its events are appended to. */
  topic: string;
  /** What the next decision needs to know. The host keeps it as JSON. */
  state: S;
  /** The state before the first event. */
  initial: NoInfer<Infer<S>>;
  /** What can be asked of it. */
  commands: C;
  /** What can happen to it. What was once appended is read for ever, so types and fields are only added. */
  events: E;
  /** Decides a command: which events happen. None means that nothing has to. Throws a {@link Rejection} to say no. */
  decide: { [K in keyof C]: (state: NoInfer<Infer<S>>, command: Infer<C[K]>, context: Context) => EventOf<NoInfer<E>>[] | void };
  /** Remembers an event: changes the state, or returns a new one. It must not fail: the event has happened. */
  evolve: { [K in keyof E]: (state: NoInfer<Infer<S>>, event: Infer<E[K]>) => NoInfer<Infer<S>> | void };
}

export interface Aggregate<S = any, C extends Declared = any, E extends Declared = any> {
  readonly kind: "aggregate";
  readonly manifest: object;
  /** Only for types: nothing is there. */
  readonly of?: { state: S; command: C; event: E };
}

/** One thing of which there are many, each with its own history of events: an account, an order. */
export declare function aggregate<const S extends Fields, const C extends Declared, const E extends Declared>(
  definition: AggregateDefinition<S, C, E>,
): Aggregate<Infer<S>, C, E>;

/** What an old event becomes: a type and its data; or, with `payload`, bytes as they are, and null for a tombstone. */
export type Upcasted = { type: string; data: unknown } | { type: string; payload: Uint8Array | string | null };

export interface UpcasterDefinition<E extends Declared> extends Described, Reading {
  /** The types that it upgrades, and their data. */
  events: E;
  /** What each becomes. Everything else of the event stays as it is. */
  upcast: { [K in keyof E]: (event: Event<Infer<E[K]>>) => Upcasted };
}

export interface Upcaster {
  readonly kind: "upcaster";
  readonly manifest: object;
}

/** Turns old events of some topics into events of today, between the log and whoever reads it. */
export declare function upcaster<const E extends Declared>(definition: UpcasterDefinition<E>): Upcaster;

// ---------------------------------------------------------------------------------------------------------------- Rows

/** A value of SQLite: whole numbers and bigints are integers (booleans 0 and 1), other numbers are reals; see {@link real}. */
export type Value = null | string | number | bigint | boolean | Uint8Array | Real;

/** A number that is stored as a real. */
export interface Real {
  readonly value: number;
}

/** Has a number stored as a real, also when it is whole: `real(1)` is 1.0 where `1` is an integer. */
export declare function real(value: number): Real;
export declare function real(value: number | null | undefined): Real | null;

/** A part of a key: reals and null have no place in one. */
export type KeyPart = string | number | bigint | boolean | Uint8Array;
export type Key = KeyPart | readonly KeyPart[];

/** A row by its columns. Integers beyond 2^53 are bigints. */
export type Stored = Record<string, any>;

/** A table that is written row by row. */
export interface Table<C extends string = string> {
  readonly name: string;
  readonly columns: readonly C[];
}

/**
 * Declares a table, once: its key columns, and those of its other columns that are written.
 *
 * The table itself is made by the plugin's schema. Of the rows that a batch writes, each reaches SQLite once, in the order in
 * which they were first written, table by table. That is the same as writing at once as long as rows do not depend on each
 * other; where they do, by a trigger, a foreign key or a second unique constraint, use `db.execute`. What it needs of the table:
 *
 * - the key columns are its primary key or a unique index, and compare byte by byte (no `COLLATE NOCASE`);
 * - the values written to a column are of the column's type;
 * - a column that is added to, or is a maximum or minimum, has no `DEFAULT`, or, if added to, 0.
 */
export declare function table<const C extends string = never>(
  name: string,
  definition: { key: string | readonly string[]; columns?: readonly C[] },
): Table<C>;

/** A row that is being written. */
export interface Row<C extends string> {
  /** Sets a column, or several. */
  set(column: C, value: Value): Row<C>;
  set(columns: { [K in C]?: Value }): Row<C>;
  /** Adds to a column of integers; NULL counts as 0. */
  add(column: C, n: number | bigint): Row<C>;
  /** Raises a column of integers to `n`, if it is less or NULL. */
  max(column: C, n: number | bigint): Row<C>;
  /** Lowers a column of integers to `n`, if it is more or NULL. */
  min(column: C, n: number | bigint): Row<C>;
}

/** A command to an aggregate, with its data. With `dueMs` it waits until then, in Unix milliseconds. */
export interface Command {
  aggregate: string;
  id: string;
  command: string;
  data?: unknown;
  dueMs?: number;
}

/**
 * The read model, within the transaction of a batch. Rows of a {@link Table} and SQL may be mixed. What is written to one row
 * many times in a batch reaches SQLite once, which is the fastest way to write.
 *
 * Writes are handed over when the batch ends, so an error of SQLite is only known then; it names the event that caused it all
 * the same. Reading hands over what was written so far and then waits for it, so a projection that never reads is faster.
 */
export interface Db {
  /** Runs a statement that writes, with its parameters in order, when the batch ends or before a query. */
  execute(sql: string, params?: readonly Value[]): void;
  /** Runs a statement that reads, on everything written so far; answers at most 100,000 rows. */
  query(sql: string, params?: readonly Value[]): Stored[];
  /** The first column of a query's first row; null when it has no row. */
  queryValue(sql: string, params?: readonly Value[]): any;
  /** Writes a whole row: all columns that the table declares. */
  put<C extends string>(table: Table<C>, key: Key, columns: { [K in C]: Value }): void;
  /** Writes some columns of a row, which is made if there is none: the others then have their default. */
  upsert<C extends string>(table: Table<C>, key: Key): Row<C>;
  /** Writes some columns of a row, if there is one. */
  update<C extends string>(table: Table<C>, key: Key): Row<C>;
  /** Deletes a row, if there is one. */
  delete(table: Table<string>, key: Key): void;
  /** The declared columns of a row: as it was written in this batch, or else as the database has it. */
  get<C extends string>(table: Table<C>, key: Key): { [K in C]: any } | null;
  /**
   * Sends a command because of this event, once it is applied. The projection names the aggregate in `sends`.
   *
   * `key` says which command of the process it is: `transfer-7/debit`. It is the command's idempotency key, so that it has its
   * effect once, whatever is killed and however often the events are replayed. So it must follow from the events, and each
   * command of a process needs its own. Sending under a key that was not sent yet replaces the command.
   *
   * The answer comes as an event: of the aggregate's topic when it is accepted, of the topic with `.decisions` behind its name
   * when it is {@link rejected}.
   */
  send(event: Event<any>, key: string, command: Command): void;
  /** Takes a command back that was not sent yet, such as a timeout that did not come to pass. */
  cancel(key: string): void;
}

/** The event that says that an aggregate refused a command, to be spread into `events`: `{ ...rejected }`. */
export declare const rejected: {
  readonly "lantern.rejected": Type<{
    command: string;
    key: string | null;
    code: string | null;
    message: string | null;
    detail: any;
  }>;
};

/** The key under which the process manager of this name sent the command that was rejected; null if it did not. */
export declare function sentBy(plugin: string, rejected: { key: string | null }): string | null;

// -------------------------------------------------------------------------------------------------------------- Errors

/** Whose fault an error is. */
export type Fault = "bad-input" | "sql" | "conflict" | "unsupported" | "other";

/** What the SDK throws. Anything else that is thrown fails an event too, with its stack. */
export declare class LanternError extends Error {
  constructor(message: string, options?: { fault?: Fault; index?: number });
  readonly fault: Fault;
  readonly index?: number;
}

/** The event cannot be understood: it is at fault, not the plugin. */
export declare class BadInput extends LanternError {
  constructor(message: string, index?: number);
}

/** SQLite refused a statement, or what it would have done conflicts with what is stored. */
export declare class SqlError extends LanternError {}

/** The domain says no. That is an answer, which the caller gets and which is not tried again. */
export declare class Rejection extends Error {
  /**
   * @param code For programs.
   * @param message For people, in a sentence.
   * @param detail More for programs: whatever has JSON.
   */
  constructor(code: string, message: string, detail?: unknown);
  readonly code: string;
  readonly detail?: unknown;
}

/** Messages for the plugin's log. They never reach the read model. */
export declare const log: Record<"error" | "warn" | "info" | "debug" | "trace", (message: unknown) => void>;
