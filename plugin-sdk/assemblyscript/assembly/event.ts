// What a plugin is given.
import { Layout, NONE } from "./frame";
import { Json, Where } from "./json";
import { Blob, Fault, Text, fail, isUtf8, sameText } from "./memory";

/** One event of a batch, until the next. Nothing of it is decoded before it is asked for. */
export class Event implements Where {
  private row: usize = 0;
  private at: u32 = 0;
  private data: Json | null = null;
  private isRead: bool = false;

  constructor(private readonly layout: Layout) {}

  /** Goes on to an event of the batch: one object serves all of them, since each is a new one's price. */
  move(index: u32): Event {
    this.row = this.layout.item(index);
    this.at = index;
    this.isRead = false;
    return this;
  }

  /** Its place in the batch, counted from 0. */
  get index(): u32 {
    return this.at;
  }

  /** Whether it is of this type. */
  is(type: string): bool {
    const id = load<u32>(this.row, 24);
    return sameText(this.layout.textAt(id), this.layout.textLen(id), type);
  }

  get type(): string {
    return this.layout.text(load<u32>(this.row, 24));
  }

  get topic(): string {
    return this.layout.text(load<u32>(this.row, 16));
  }

  get partition(): i32 {
    return load<i32>(this.row, 20);
  }

  get offset(): i64 {
    return load<i64>(this.row);
  }

  /** Unix milliseconds; -1 when it has none. This is the only clock there is. */
  get timestampMs(): i64 {
    return load<i64>(this.row, 8);
  }

  get key(): Blob | null {
    return this.bytes(this.row + 28);
  }

  /** The key as text. */
  keyText(): Text {
    const key = this.key;
    if (key === null) {
      this.badInput("it has no key");
      return new Text(0, 0);
    }
    if (!isUtf8(key.ptr, key.len)) this.badInput("its key is not text");
    return new Text(key.ptr, key.len);
  }

  /** Its data; null is a tombstone. */
  get payload(): Blob | null {
    return this.bytes(this.row + 36);
  }

  /** Its data as a JSON object. */
  json(): Json {
    const len = load<u32>(this.row, 40);
    if (len == NONE) {
      this.badInput("it has no data: it is a tombstone");
      return new Json(0, 0, this);
    }
    const start = this.layout.arena + load<u32>(this.row, 36);
    const read = this.data;
    if (read === null) {
      this.isRead = true;
      return (this.data = Json.object(start, start + len, this));
    }
    if (!this.isRead) read.reopen(start, start + len);
    this.isRead = true;
    return read;
  }

  /** The value of the first header of this name; null where there is none, or it has no value. */
  header(name: string): Blob | null {
    let entry = this.layout.arena + load<u32>(this.row, 44);
    for (let left = load<u32>(this.row, 48); left > 0; left--, entry += 12) {
      const id = load<u32>(entry);
      if (sameText(this.layout.textAt(id), this.layout.textLen(id), name)) return this.bytes(entry + 4);
    }
    return null;
  }

  /** Fails: the event cannot be understood. */
  badInput(reason: string): void {
    fail(Fault.BadInput, this.toString() + ": " + reason);
  }

  /** The event's coordinates: `topic/partition@offset (type)`. */
  toString(): string {
    return `${this.topic}/${this.partition}@${this.offset} (${this.type})`;
  }

  private bytes(at: usize): Blob | null {
    const len = load<u32>(at, 4);
    return len == NONE ? null : new Blob(this.layout.arena + load<u32>(at), len);
  }
}
