// A ticket of a support desk: opened by a customer, worked on by one agent at a time, answered, and closed for good after a while.

import { Rejection, aggregate, bigint, integer, list, oneOf, optional, text } from "@lantern/sdk";
import type { Infer } from "@lantern/sdk";

const priority = oneOf("low", "normal", "urgent");

/** A closed ticket can be reopened for two weeks. */
const REOPEN_MS = 14 * 24 * 60 * 60 * 1000;
/** More tags than that are a sentence. */
const TAGS_MAX = 8;

const state = {
  status: oneOf("none", "open", "assigned", "closed"),
  agent: optional(text),
  priority,
  tags: list(text),
  answers: integer,
  closedMs: optional(integer),
};
type Ticket = Infer<typeof state>;

export default aggregate({
  name: "ticket",
  topic: "tickets",
  description: "A ticket of a support desk",
  state,
  initial: { status: "none", agent: null, priority: "normal", tags: [], answers: 0, closedMs: null },

  commands: {
    // The id in the shop's own system has 64 bits, more than a number of JavaScript holds.
    Open: { customer: bigint, subject: text, priority: optional(priority) },
    Assign: { agent: text },
    Tag: { tags: list(text) },
    Answer: { agent: text, text },
    Close: { agent: text },
    Reopen: { why: text },
  },

  events: {
    Opened: { customer: bigint, subject: text, priority },
    Assigned: { agent: text },
    Tagged: { tag: text },
    Answered: { agent: text, text },
    Closed: { agent: text, atMs: integer },
    Reopened: { why: text },
  },

  decide: {
    Open({ status }, { customer, subject, priority }) {
      if (status !== "none") throw new Rejection("exists", "there is a ticket of this id");
      if (subject.trim() === "") throw new Rejection("no-subject", "a ticket says in a line what it is about");
      return [{ type: "Opened", data: { customer, subject: subject.trim(), priority: priority ?? "normal" } }];
    },

    Assign(ticket, { agent }) {
      mustBeOpen(ticket);
      // Who is asked twice says the same: nothing has to happen.
      return ticket.agent === agent ? [] : [{ type: "Assigned", data: { agent } }];
    },

    Tag(ticket, { tags }) {
      mustBeOpen(ticket);
      const fresh = [...new Set(tags.map((tag) => tag.toLowerCase()))].filter((tag) => !ticket.tags.includes(tag));
      if (ticket.tags.length + fresh.length > TAGS_MAX) {
        throw new Rejection("too-many-tags", `a ticket has at most ${TAGS_MAX} tags`, { has: ticket.tags });
      }
      return fresh.map((tag) => ({ type: "Tagged" as const, data: { tag } }));
    },

    Answer(ticket, { agent, text }) {
      mustBeWorkedOnBy(ticket, agent);
      return [{ type: "Answered", data: { agent, text } }];
    },

    Close(ticket, { agent }, { timeMs }) {
      mustBeWorkedOnBy(ticket, agent);
      if (ticket.answers === 0) throw new Rejection("unanswered", "a ticket is answered before it is closed");
      return [{ type: "Closed", data: { agent, atMs: timeMs } }];
    },

    Reopen({ status, closedMs }, { why }, { timeMs }) {
      if (status !== "closed") throw new Rejection("not-closed", "the ticket is not closed");
      if (timeMs - (closedMs ?? 0) > REOPEN_MS) throw new Rejection("too-late", "it was closed more than two weeks ago: open a new one");
      return [{ type: "Reopened", data: { why } }];
    },
  },

  evolve: {
    Opened(ticket, { priority }) {
      ticket.status = "open";
      ticket.priority = priority;
    },
    Assigned(ticket, { agent }) {
      ticket.status = "assigned";
      ticket.agent = agent;
    },
    Tagged(ticket, { tag }) {
      ticket.tags.push(tag);
    },
    Answered(ticket) {
      ticket.answers++;
    },
    Closed(ticket, { atMs }) {
      ticket.status = "closed";
      ticket.agent = null;
      ticket.closedMs = atMs;
    },
    Reopened(ticket) {
      ticket.status = "open";
      ticket.answers = 0;
      ticket.closedMs = null;
    },
  },
});

function mustBeOpen({ status }: Ticket): void {
  if (status === "none") throw new Rejection("unknown", "there is no ticket of this id");
  if (status === "closed") throw new Rejection("closed", "the ticket is closed: reopen it first");
}

function mustBeWorkedOnBy(ticket: Ticket, agent: string): void {
  mustBeOpen(ticket);
  if (ticket.agent !== agent) {
    throw new Rejection("not-yours", ticket.agent === null ? "nobody works on it: assign it first" : `${ticket.agent} works on it`);
  }
}
