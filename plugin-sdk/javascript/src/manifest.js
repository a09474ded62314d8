// What a plugin says of itself.

export const envelope = {
  cloudEvents: () => ({ kind: "cloud-events" }),
  header: (name) => ({ kind: "header", name }),
  jsonField: (field) => ({ kind: "json-field", field }),
  topic: (type) => (type === undefined ? { kind: "topic" } : { kind: "topic", type }),
};

/** The manifest as the host reads it. */
export function manifest(definition, more) {
  const { name, topics, headers = [], version = "", description = "", stateVersion = 1 } = { ...definition, ...more };
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(name)) {
    throw new TypeError(
      `the name ${JSON.stringify(name)}: use lower-case letters, digits, "-" and "_", starting with a letter, at most 64`,
    );
  }
  if (!Array.isArray(topics) || topics.length === 0 || new Set(topics).size < topics.length) {
    throw new TypeError("`topics` is empty or names one twice: name each topic that is read once");
  }
  const form = { name, version, topics, types: more.types ?? [], headers: headers === "all" ? null : headers };
  if (description) form.description = description;
  form.envelope = definition.envelope ?? envelope.cloudEvents();
  form.schema = definition.schema ?? [];
  form.state_version = stateVersion;
  const queries = Object.entries(definition.queries ?? {});
  form.queries = Object.fromEntries(queries.map(([each, query]) => [each, typeof query === "string" ? { sql: query } : query]));
  if (definition.sends?.length > 0) form.sends = definition.sends;
  return form;
}
