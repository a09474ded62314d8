// Polls: what is asked, who has voted for what, and how it stands. A vote can be changed until the poll is closed.

import { integer, list, log, projection, table, text } from "@lantern/sdk";

const polls = table("polls", { key: "poll", columns: ["question", "closes_ms", "votes", "state"] });
const options = table("options", { key: ["poll", "option"], columns: ["place", "votes"] });
const votes = table("votes", { key: ["poll", "voter"], columns: ["option", "changed"] });

export default projection({
  name: "polls",
  description: "Polls and how they stand",
  topics: ["polls"],
  schema: [
    "CREATE TABLE polls (poll TEXT PRIMARY KEY, question TEXT NOT NULL, closes_ms INTEGER NOT NULL, votes INTEGER NOT NULL, state TEXT NOT NULL)",
    "CREATE TABLE options (poll TEXT, option TEXT, place INTEGER NOT NULL, votes INTEGER NOT NULL, PRIMARY KEY (poll, option))",
    "CREATE TABLE votes (poll TEXT, voter TEXT, option TEXT NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (poll, voter))",
  ],
  queries: {
    standing: {
      sql: "SELECT option, votes FROM options WHERE poll = :poll ORDER BY votes DESC, place",
      description: "A poll's options, the leading one first",
    },
  },
  events: {
    PollOpened: { poll: text, question: text, options: list(text), closesMs: integer },
    Voted: { poll: text, voter: text, option: text },
    VoteWithdrawn: { poll: text, voter: text },
    PollClosed: { poll: text },
  },
  on: {
    PollOpened(event, db) {
      const { poll, question, options: names, closesMs } = event.data;
      if (names.length < 2) throw event.badInput("a poll has at least two options");
      db.put(polls, poll, { question, closes_ms: closesMs, votes: 0, state: "open" });
      for (const [place, option] of names.entries()) db.put(options, [poll, option], { place, votes: 0 });
    },

    Voted(event, db) {
      const { poll, voter, option } = event.data;
      if (!isOpen(event, poll, db)) return;
      if (!db.get(options, [poll, option])) {
        log.warn(`${event}: the poll ${poll} has no option ${option}`);
        return;
      }
      const before = db.get(votes, [poll, voter]);
      if (before?.option === option) return;
      if (before) db.update(options, [poll, before.option]).add("votes", -1);
      else db.update(polls, poll).add("votes", 1);
      db.update(options, [poll, option]).add("votes", 1);
      db.put(votes, [poll, voter], { option, changed: before ? before.changed + 1 : 0 });
    },

    VoteWithdrawn(event, db) {
      const { poll, voter } = event.data;
      const before = db.get(votes, [poll, voter]);
      if (!before || !isOpen(event, poll, db)) return;
      db.update(options, [poll, before.option]).add("votes", -1);
      db.update(polls, poll).add("votes", -1);
      db.delete(votes, [poll, voter]);
    },

    PollClosed({ data }, db) {
      db.update(polls, data.poll).set("state", "closed");
    },
  },
});

/** Whether a poll takes votes: by the event's time, since there is no other. */
function isOpen(event, poll, db) {
  const found = db.get(polls, poll);
  return found !== null && found.state === "open" && event.timestampMs < found.closes_ms;
}
