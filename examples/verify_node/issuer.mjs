// What the issuer publishes, over HTTPS: metadata (RFC 8414), keys (RFC 7517), status lists (draft-ietf-oauth-status-list).

import https from "node:https";
import zlib from "node:zlib";
import { SKEW, now, signed, split, unlearnt } from "./jose.mjs";

const PATIENCE = 3000;
const MOST = 4 << 20;
// Keys are asked for once a minute; for a key that is not among them, once in five seconds.
const [MINUTE, SOON] = [60, 5];

/** Answers, each asked for once however many wait for it. What was kept before a failure stays kept. */
class Kept {
  #held = new Map();
  #asked = new Map();

  /** The answer of that name, if it is younger than `age(answer)` seconds, or else what `ask` finds out. */
  get(name, age, ask) {
    const held = this.#held.get(name);
    // By a clock that nobody sets, from before the question: it was the truth at some moment after that.
    if (held && performance.now() - held.at < age(held.value) * 1000) return held.value;
    if (!this.#asked.has(name)) this.#asked.set(name, this.#ask(name, ask, held?.value));
    return this.#asked.get(name);
  }

  async #ask(name, ask, before) {
    const at = performance.now();
    try {
      const value = await ask(before);
      this.#held.set(name, { at, value });
      this.#asked.delete(name);
      return value;
    } catch (error) {
      // A failure is the answer for a second, so that a flood of calls is no flood of questions.
      setTimeout(() => this.#asked.delete(name), 1000).unref();
      throw error;
    }
  }
}

export class Issuer {
  #kept = new Kept();

  /** `name` is its URL, `trusted()` the trust bundle (PEM) that its certificate is verified with. */
  constructor(name, trusted) {
    Object.assign(this, { name, trusted });
  }

  /** RFC 8414 section 3: whoever is described has to be who was asked for. */
  metadata() {
    return this.#kept.get("metadata", () => MINUTE, async () => {
      const { origin, pathname } = new URL(this.name);
      const url = `${origin}/.well-known/oauth-authorization-server${pathname === "/" ? "" : pathname}`;
      const found = JSON.parse(await this.fetch(url, "application/json"));
      if (found.issuer !== this.name) throw unlearnt(`${url} is about ${found.issuer}`);
      return found;
    });
  }

  /** The key of that ID (JWK); undefined if there is none. */
  async key(kid) {
    const { jwks_uri } = await this.metadata();
    const ask = async () => JSON.parse(await this.fetch(jwks_uri, "application/json")).keys;
    const named = (keys) => keys.find((one) => one.kid === kid);
    return named(await this.#kept.get("keys", () => MINUTE, ask)) ?? named(await this.#kept.get("keys", () => SOON, ask));
  }

  /** What the list says of the token that refers to it, `{idx, uri}`: 0 is VALID, all else is not. */
  async status({ idx, uri }) {
    // The lists of this issuer are its own: a token cannot send us elsewhere.
    if (typeof uri !== "string" || !uri.startsWith(`${this.name}/`)) throw unlearnt("the status list is elsewhere");
    // Once in `ttl` seconds, and no list after its end.
    const age = (list) => (list.exp > now() ? list.ttl : 0);
    const list = await this.#kept.get(uri, age, (before) => this.#list(uri, before));
    return statusAt(list.bytes, list.bits, idx);
  }

  async #list(uri, before) {
    const jws = await this.fetch(uri, "application/statuslist+jwt");
    const { header, payload } = token(jws);
    const key = await this.key(header.kid);
    if (header.typ !== "statuslist+jwt" || !key || !signed(jws, header, key)) throw unlearnt("the list is not by the issuer");
    const { sub, iat, exp, ttl, status_list } = payload;
    if (sub !== uri) throw unlearnt("it is another list");
    if (![iat, exp, ttl].every(Number.isFinite) || ttl <= 0) throw unlearnt("the list does not say how long it counts");
    if (exp <= now() || iat > now() + SKEW) throw unlearnt("the list is not of now");
    if (before && iat < before.iat) throw unlearnt("the list is older than the one before");
    return { iat, exp, ttl, ...decoded(status_list) };
  }

  /** The body, if it is of that type; redirects are not followed. */
  fetch(url, type) {
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(unlearnt(`${url}: ${why}`));
      const options = { ca: this.trusted(), headers: { accept: type }, timeout: PATIENCE, agent: false };
      const request = https.get(url, options, (answer) => {
        const kind = answer.headers["content-type"]?.split(";")[0].trim().toLowerCase();
        if (answer.statusCode !== 200 || kind !== type) return request.destroy(new Error(`${answer.statusCode}, ${kind}`));
        const parts = [];
        let size = 0;
        answer.on("data", (part) => (size += part.length) > MOST ? request.destroy(new Error("too large")) : parts.push(part));
        answer.on("end", () => (answer.complete ? resolve(Buffer.concat(parts).toString()) : fail("cut off")));
        answer.on("error", (error) => fail(error.message));
      });
      request.on("timeout", () => request.destroy(new Error("no answer")));
      request.on("error", (error) => fail(error.message));
    });
  }
}

function token(jws) {
  try {
    return split(jws);
  } catch {
    throw unlearnt("the list is no token");
  }
}

/** The bytes of `status_list`: base64url of a ZLIB stream, which says itself whether it is whole. */
export function decoded({ bits, lst } = {}) {
  if (![1, 2, 4, 8].includes(bits) || typeof lst !== "string") throw unlearnt("it is no status list");
  try {
    return { bits, bytes: zlib.inflateSync(Buffer.from(lst, "base64url"), { maxOutputLength: MOST }) };
  } catch (error) {
    throw unlearnt(`the list is broken: ${error.message}`);
  }
}

/** Entry `idx`: entries of `bits` bits each, from the least significant bit of each byte on. */
export function statusAt(bytes, bits, idx) {
  if (!Number.isSafeInteger(idx) || idx < 0 || idx >= (bytes.length * 8) / bits) throw unlearnt("it is not on the list");
  const at = idx * bits;
  return (bytes[Math.floor(at / 8)] >> (at % 8)) & ((1 << bits) - 1);
}
