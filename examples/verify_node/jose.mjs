// Compact JWS by the key that is meant for it: RFC 7515, RFC 7517, RFC 7638.

import crypto from "node:crypto";

/** A refusal: `reason` for programs, `message` for people, `status` for HTTP. */
export class Refused extends Error {
  constructor(reason, message, status = 401) {
    super(message);
    Object.assign(this, { reason, status });
  }
}

export const unlearnt = (message) => new Refused("status_unknown", message, 503);
export const now = () => Date.now() / 1000;
/** How many seconds two clocks may differ. It makes nothing live longer: what ends, ends by the clock here. */
export const SKEW = 60;

// One algorithm for each kind of key: what a header says of its own algorithm only ever has to agree.
const ALGORITHMS = { "P-256": ["ES256", "sha256"], "P-384": ["ES384", "sha384"], RSA: ["RS256", "sha256"] };

/** Header and payload, which are nobody's word until `signed` says so. */
export function split(jws) {
  const parts = /^([\w-]+)\.([\w-]+)\.[\w-]+$/.exec(jws);
  const [header, payload] = parts ? parts.slice(1).map(object) : [];
  if (!header || !payload || "crit" in header) throw new Refused("malformed", "it is no compact JWS of a JSON object");
  return { header, payload };
}

function object(part) {
  try {
    const value = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Whether the holder of this public key (JWK) signed that. */
export function signed(jws, { alg }, jwk) {
  const [algorithm, hash] = ALGORITHMS[jwk.crv ?? jwk.kty] ?? [];
  if (!algorithm || alg !== algorithm) return false;
  const end = jws.lastIndexOf(".");
  try {
    const key = { key: crypto.createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" };
    return crypto.verify(hash, Buffer.from(jws.slice(0, end)), key, Buffer.from(jws.slice(end + 1), "base64url"));
  } catch {
    return false;
  }
}

export const digest = (data) => crypto.createHash("sha256").update(data).digest("base64url");

/** RFC 7638: the members that make the key, in this order. */
export function thumbprint({ kty, crv, x, y, e, n }) {
  return digest(JSON.stringify(kty === "RSA" ? { e, kty, n } : { crv, kty, x, y }));
}
