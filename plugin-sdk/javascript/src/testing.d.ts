/** Runs plugins in memory, by the code that runs them in the host, so that unit tests need no WebAssembly. */

import type { Aggregate, Declared, EventOf, Infer, Projection, Stored, Upcaster } from "./index.js";

/** An event to be applied. */
export interface NewEvent {
  type: string;
  /** Its data; `{}` where nothing is said. */
  data?: unknown;
  /** Its payload as it is, instead of data; null for a tombstone. */
  payload?: Uint8Array | string | null;
  /** The first of the projection's topics, where nothing is said. */
  topic?: string;
  partition?: number;
  /** Counted up, where nothing is said. */
  offset?: number;
  timestampMs?: number;
  key?: Uint8Array | string | null;
  headers?: Record<string, Uint8Array | string | null>;
}

/** A command that a process manager wants sent. */
export interface Sent {
  key: string;
  aggregate: string;
  id: string;
  command: string;
  data: any;
  dueMs: number | null;
  correlation: string | null;
  causation: string | null;
}

/**
 * A projection and its tables, in memory. It knows rows of tables, and of columns what was written to them: neither defaults nor
 * SQL, which `lantern test` runs on the real SQLite.
 */
export declare class ReadModel {
  constructor(projection: Projection);
  /** Applies a batch of events. When it throws, nothing of the batch is left behind. */
  apply(...events: NewEvent[]): this;
  /** The rows of a table, in the order of their keys. */
  rows(table: string): Stored[];
  /** The commands that wait to be sent, by their keys. */
  readonly sent: Sent[];
}

/** An aggregate to which something has happened. */
export interface Given<S, C extends Declared, E extends Declared> {
  /** The state that the events have led to. */
  readonly state: S;
  readonly version: number;
  /** The events that a command leads to; throws a `Rejection` when the domain says no. */
  when(
    command: { [K in keyof C]: { type: K; data?: Infer<C[K]> } }[keyof C],
    context?: { id?: string; timeMs?: number; correlation?: string | null },
  ): EventOf<E>[];
}

/** An aggregate to which these events have happened. State and events go through JSON, as they do in the host. */
export declare function given<S, C extends Declared, E extends Declared>(
  aggregate: Aggregate<S, C, E>,
  ...events: EventOf<E>[]
): Given<S, C, E>;

/** What an old event becomes. A tombstone's data is null. */
export declare function upcast(upcaster: Upcaster, event: NewEvent): { type: string; data: any };
