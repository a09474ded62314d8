// What a command handler decides, and what an upcaster makes of an event.
import { ROWS, Writer } from "./frame";
import { Json, JsonObject, Where } from "./json";
import { Blob, Buffer, Fault, fail } from "./memory";
import { write } from "./value";

/** Rows of `type` and `payload`. */
export class TypedRows {
  private rows: Writer = new Writer();

  begin(): void {
    this.rows.clear();
    this.rows.text("type");
    this.rows.text("payload");
  }

  get count(): u32 {
    return this.rows.count;
  }

  push(type: string, payload: Blob | null): void {
    const start = this.rows.arena.len;
    write<string>(this.rows.arena, type);
    write<Blob | null>(this.rows.arena, payload);
    this.rows.row(start, 2);
  }

  finish(out: Buffer): void {
    this.rows.finish(ROWS, out);
  }
}

export function blobOf(object: JsonObject): Blob {
  const bytes = String.UTF8.encode(object.toString());
  return new Blob(changetype<usize>(bytes), bytes.byteLength, bytes);
}

/** A command, and what it is decided in. */
export class Asked implements Where {
  constructor(
    readonly name: string,
    readonly aggregate: string,
    readonly id: string,
    /** How many events the aggregate has had. */
    readonly version: i64,
    /** The time of the decision in Unix milliseconds. What depends on it belongs into the events. */
    readonly timeMs: i64,
    readonly correlation: string | null,
    private readonly payload: Blob,
  ) {}

  /** Its data. */
  json(): Json {
    return Json.object(this.payload.ptr, this.payload.ptr + this.payload.len, this);
  }

  /** Fails: there is no such command. */
  unknown(): void {
    fail(Fault.BadInput, this.toString() + ": there is no such command");
  }

  toString(): string {
    return `${this.aggregate} ${this.id}: the command ${this.name}`;
  }
}

/** What becomes of a command: events, none of them, or a rejection. */
export class Decision {
  readonly events: TypedRows = new TypedRows();
  rejected: bool = false;
  code: string = "";
  message: string = "";
  detail: string | null = null;

  /** An event happens. */
  happens(type: string, data: JsonObject = new JsonObject()): void {
    this.events.push(type, blobOf(data));
  }

  /** The domain says no: a code for programs, a sentence for people, and more for programs. That is an answer. */
  reject(code: string, message: string, detail: JsonObject | null = null): void {
    this.rejected = true;
    this.code = code;
    this.message = message;
    this.detail = detail === null ? null : detail.toString();
  }
}

/** What an event is today. */
export class Upcasts {
  readonly events: TypedRows = new TypedRows();

  becomes(type: string, data: JsonObject): void {
    this.events.push(type, blobOf(data));
  }

  /** The same, with the payload as it is; null: a tombstone. */
  becomesBytes(type: string, payload: Blob | null): void {
    this.events.push(type, payload);
  }
}
