// What ended, as the issuer pushes it: server-sent events at its /status/events, for tools that show an X.509-SVID.
//
// Each `update` says what came after the one before, or all there is (`snapshot`), and that it is the whole truth `at`
// that second of the issuer's clock. Whoever has heard nothing for too long knows nothing, and asks for the list.

import https from "node:https";
import { now } from "./jose.mjs";

/** Seconds that an update may be under way, and those that a revocation is kept when the token is over. */
const [GRACE, KEPT] = [2, 300];
const PAUSE = 500;
const SILENCE = 10_000;

export class Pushed {
  #revoked = new Map();
  #withdrawn = new Set();
  #coming = undefined;
  #held = { incarnation: "", position: 0, knownAt: -Infinity, interval: 0, staleness: {} };

  /** Of that issuer (a URL); `identity()` is certificate, key and trust bundle (PEM) of this tool. */
  constructor(issuer, identity) {
    Object.assign(this, { issuer, identity });
  }

  /** `revoked`, `valid`, or `unknown` for an action of that class, about which older knowledge will not do. */
  standing({ jti, client_id: id }, actionClass) {
    const { knownAt, interval, staleness } = this.#held;
    if (this.#revoked.has(jti) || this.#withdrawn.has(id) || this.#coming?.has(id)) return "revoked";
    const allowed = Object.hasOwn(staleness, actionClass) ? staleness[actionClass] : 0;
    return now() - knownAt <= allowed + interval + GRACE ? "valid" : "unknown";
  }

  /** Follows the stream for ever, from where it broke off. */
  async follow() {
    for (;;) {
      await this.#stream().catch((error) => console.error(`status stream lost: ${error.message}`));
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  async #stream() {
    const { incarnation, position } = this.#held;
    const from = incarnation && position ? { "last-event-id": `${incarnation}:${position}` } : {};
    const answer = await this.#request("GET", "/status/events", { accept: "text/event-stream", ...from });
    let name, said;
    for await (const { event, data } of events(answer)) {
      if (event === "stream") name = JSON.parse(data).stream;
      if (event !== "update" || !this.#take(JSON.parse(data)) || said === this.#held.position) continue;
      // Only now do verdicts obey it.
      said = this.#held.position;
      (await this.#request("POST", "/status/held", {}, JSON.stringify({ stream: name, position: said }))).resume();
    }
  }

  /** Whether everything until its position is held now. */
  #take(update) {
    const held = this.#held;
    if (update.snapshot) {
      // What is held counts on until all of the new is there; until then there is nothing to go on from.
      if (update.incarnation !== held.incarnation) held.knownAt = -Infinity;
      Object.assign(held, { incarnation: update.incarnation, position: 0 });
      this.#coming = new Set();
    } else if (update.incarnation !== held.incarnation) {
      Object.assign(held, { incarnation: "", position: 0, knownAt: -Infinity });
      throw new Error("it goes on with another store");
    }
    for (const one of update.revoked) this.#revoked.set(one.jti, one.expires_at);
    const identities = this.#coming ?? this.#withdrawn;
    for (const one of update.identities) identities[one.withdrawn ? "add" : "delete"](one.spiffe_id);
    if (update.snapshot || Object.keys(update.staleness).length) held.staleness = update.staleness;
    if (update.more || (!this.#coming && update.position < held.position)) return false;
    [this.#withdrawn, this.#coming] = [this.#coming ?? this.#withdrawn, undefined];
    const knownAt = Math.max(held.knownAt, Math.min(update.at, now()));
    Object.assign(held, { position: update.position, interval: update.interval, knownAt });
    for (const [jti, end] of this.#revoked) if (end + KEPT < now()) this.#revoked.delete(jti);
    return true;
  }

  #request(method, path, headers, body) {
    return new Promise((resolve, reject) => {
      const options = { method, headers, timeout: SILENCE, agent: false, ...this.identity() };
      const request = https.request(this.issuer + path, options, (answer) =>
        answer.statusCode < 300 ? resolve(answer) : request.destroy(new Error(`${path}: ${answer.statusCode}`)),
      );
      request.on("timeout", () => request.destroy(new Error("nothing is heard")));
      request.on("error", reject);
      request.end(body);
    });
  }
}

/** The events of a stream: lines of `field: value`, an empty one after each event. */
async function* events(stream) {
  let [rest, event] = ["", {}];
  for await (const part of stream.setEncoding("utf8")) {
    const lines = (rest + part).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (line && field) event[field] = value;
      if (line) continue;
      if (event.data) yield event;
      event = {};
    }
  }
}
