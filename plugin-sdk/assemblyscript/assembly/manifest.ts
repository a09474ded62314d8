// What a plugin says of itself.
import { JsonObject, quoted } from "./json";

function list(names: string[]): string {
  const items: string[] = [];
  for (let i = 0; i < names.length; i++) items.push(quoted(names[i]));
  return `[${items.join(",")}]`;
}

/** What a plugin is called, what it reads, and its tables. It reads CloudEvents and no headers, unless it says otherwise. */
export class Manifest {
  private versioned: string = "";
  private described: string = "";
  private topics: string[] = [];
  private typesRead: string[] = [];
  private headersRead: string[] = [];
  private isAllHeaders: bool = false;
  private typeAt: string = '{"kind":"cloud-events"}';
  private statements: string[] = [];
  private stateVersioned: i32 = 1;
  private queries: string[] = [];
  private sendsTo: string[] = [];

  /** The name is the read model's, too: lower-case letters, digits, `-` and `_`. */
  constructor(readonly name: string) {}

  version(version: string): Manifest {
    this.versioned = version;
    return this;
  }

  description(description: string): Manifest {
    this.described = description;
    return this;
  }

  /** Reads this topic, beside those named before. */
  topic(topic: string): Manifest {
    this.topics.push(topic);
    return this;
  }

  /** Reads only events of these types. */
  types(types: string[]): Manifest {
    this.typesRead = types;
    return this;
  }

  headers(names: string[]): Manifest {
    this.headersRead = this.headersRead.concat(names);
    return this;
  }

  allHeaders(): Manifest {
    this.isAllHeaders = true;
    return this;
  }

  /** The type stands in a header of this name. */
  typeInHeader(name: string): Manifest {
    this.typeAt = new JsonObject().text("kind", "header").text("name", name).toString();
    return this;
  }

  /** The type stands in a field of the JSON; dots lead into objects. */
  typeInField(field: string): Manifest {
    this.typeAt = new JsonObject().text("kind", "json-field").text("field", field).toString();
    return this;
  }

  /** Every event is of the type of its topic's name. */
  typeIsTopic(): Manifest {
    this.typeAt = new JsonObject().text("kind", "topic").toString();
    return this;
  }

  /** One statement of the schema; they run in order on an empty database. */
  schema(sql: string): Manifest {
    this.statements.push(sql);
    return this;
  }

  /** To be raised when the same events give other rows. */
  stateVersion(version: i32): Manifest {
    this.stateVersioned = version;
    return this;
  }

  /** Offers a query by name. Its parameters are named `:name`. */
  query(name: string, sql: string, description: string): Manifest {
    this.queries.push(quoted(name) + ":" + new JsonObject().text("sql", sql).text("description", description).toString());
    return this;
  }

  /** Sends commands to aggregates of these types: it is a process manager. */
  sends(aggregates: string[]): Manifest {
    this.sendsTo = aggregates;
    // What it sends says by these what it was caused by.
    return this.headers(["ce_id", "ce_correlationid"]);
  }

  toString(): string {
    const json = new JsonObject().text("name", this.name).text("version", this.versioned);
    if (this.described.length > 0) json.text("description", this.described);
    json.raw("topics", list(this.topics)).raw("types", list(this.typesRead));
    json.raw("headers", this.isAllHeaders ? "null" : list(this.headersRead)).raw("envelope", this.typeAt);
    json.raw("schema", list(this.statements)).int("state_version", this.stateVersioned);
    json.raw("queries", `{${this.queries.join(",")}}`);
    if (this.sendsTo.length > 0) json.raw("sends", list(this.sendsTo));
    return json.toString();
  }
}
