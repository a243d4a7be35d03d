// Whether a task token allows this call, here and now. What fails is refused, and so is what cannot be found out.

import { Refused, SKEW, digest, now, signed, split, thumbprint, unlearnt } from "./jose.mjs";

const [PROFILE, DETAIL] = ["assay-task-1", "mission_resource_access"];
const THUMBPRINT = "x5t#S256";

export class Verifier {
  #proofs = new Map();

  /** Of tokens by that Issuer for the resource that this service is, whose own URL is `url`; `pushed` may be left out. */
  constructor(issuer, resource, url, pushed) {
    Object.assign(this, { issuer, resource, url, pushed });
  }

  /**
   * The token's claims. `request` has `authorization`, `dpop` (headers), `method`, `path` and `certificate`, which is
   * the client's (DER) if its connection was made with one that is valid; `constraints` are those that the tool enforces.
   */
  async verify(request, action, constraints) {
    const [, scheme, token] = /^(Bearer|DPoP) ([^ ]+)$/i.exec(request.authorization ?? "") ?? [];
    if (!token) throw new Refused("no_credential", "a task token is needed");
    const claims = await this.#genuine(token);
    this.#possessed(claims, scheme.toLowerCase(), token, request);
    const detail = this.#allowed(claims, action, constraints);
    // Last: no list is fetched for a token that does not count anyway.
    await this.#live(claims, action);
    return { ...claims, constraints: detail.constraints ?? {} };
  }

  async #genuine(token) {
    const { header, payload } = split(token);
    if (header.typ !== "at+jwt") throw new Refused("not_a_task_token", "it is a token of another type");
    const key = await this.issuer.key(header.kid);
    if (!key) throw new Refused("unknown_key", "the issuer has no such key");
    if (!signed(token, header, key)) throw new Refused("bad_signature", "the issuer did not sign this");
    const { iss, aud, exp, iat, nbf = iat, profile } = payload;
    if (profile !== PROFILE) throw new Refused("not_a_task_token", `it is no ${PROFILE}`);
    if (iss !== this.issuer.name) throw new Refused("wrong_issuer", "it is somebody else's");
    if (aud !== this.resource) throw new Refused("wrong_audience", "it is for somebody else");
    if (![iat, exp, nbf].every(Number.isFinite)) throw new Refused("not_a_task_token", "its times are no numbers");
    if (exp <= now()) throw new Refused("expired", "its time is over");
    if (Math.max(iat, nbf) > now() + SKEW) throw new Refused("not_yet_valid", "its time has not come");
    const agent = payload.sub_profile === "ai_agent" || payload.act?.sub_profile === "ai_agent";
    const task = payload.mission?.issuer === this.issuer.name && payload.mission.id && payload.agent_instance_id;
    if (agent && !task) throw new Refused("not_a_task_token", "an AI agent has no token without a task");
    return payload;
  }

  /** The key in `cnf` is in the caller's hands: that of its certificate (RFC 8705) or of its proof (RFC 9449). */
  #possessed({ cnf = {} }, scheme, token, request) {
    const [kind, ...more] = Object.keys(cnf ?? {});
    if (more.length) throw new Refused("not_a_task_token", "it is bound to more than one key");
    if (kind === THUMBPRINT && scheme === "bearer") {
      const presented = request.certificate && digest(request.certificate);
      if (!presented) throw new Refused("not_bound", "it is taken over mutual TLS, from the holder of its certificate");
      if (presented !== cnf[kind]) throw new Refused("wrong_key", "it is bound to another certificate");
    } else if (kind === "jkt" && scheme === "dpop") {
      this.#proven(cnf.jkt, token, request);
    } else {
      const missing = kind === "jkt" ? "no_proof" : "not_bound";
      throw new Refused(missing, "it is taken as it is bound: Bearer with a certificate, or DPoP with a proof");
    }
  }

  #proven(jkt, token, { dpop, method, path }) {
    const bad = (why) => new Refused("bad_proof", `the DPoP proof ${why}`);
    if (!dpop) throw new Refused("no_proof", "one DPoP proof is needed");
    const { header, payload } = split(dpop);
    const { jwk = {} } = header;
    if (header.typ !== "dpop+jwt" || "d" in jwk || !signed(dpop, header, jwk)) throw bad("is not signed by its key");
    if (thumbprint(jwk) !== jkt) throw new Refused("wrong_key", "the DPoP proof is by another key");
    const { htm, htu, ath, iat, jti } = payload;
    if (htm !== method || htu !== this.url + path || ath !== digest(token)) throw bad("is for another request");
    if (!(Math.abs(now() - iat) <= SKEW) || typeof jti !== "string") throw bad("was not made just now");
    for (const [seen, until] of this.#proofs) if (until < now()) this.#proofs.delete(seen);
    if (this.#proofs.has(jti)) throw bad("was presented before");
    this.#proofs.set(jti, iat + SKEW + 1);
  }

  /** Of what the task may do at this resource, the part that allows the action, if its constraints are all enforced. */
  #allowed({ authorization_details: details }, action, constraints) {
    const ours = (one) => one?.type === DETAIL && one.resource === this.resource && one.actions?.includes(action);
    const detail = Array.isArray(details) ? details.find(ours) : undefined;
    if (!detail) throw new Refused("action_not_allowed", `the task may not ${action} here`, 403);
    const unknown = Object.keys(detail.constraints ?? {}).find((name) => !constraints.includes(name));
    if (unknown) throw new Refused("unknown_constraint", `nothing here enforces ${unknown}`, 403);
    return detail;
  }

  async #live(claims, action) {
    const standing = this.pushed?.standing(claims, claims.action_classes?.[action]) ?? "unknown";
    if (standing === "valid") return;
    const list = claims.status?.status_list;
    if (standing === "unknown" && !list) throw unlearnt("the token names no status list");
    if (standing === "revoked" || (await this.issuer.status(list)) !== 0) throw new Refused("revoked", "it was revoked");
  }
}
