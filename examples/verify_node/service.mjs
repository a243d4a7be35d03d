// A tool's service that takes task tokens: node service.mjs ISSUER RESOURCE URL FOLDER [--events]
//
// FOLDER is what `assay api fetch x509 --write FOLDER` writes, again and again: certificate, key, trust bundle. With
// --events the issuer pushes what it revokes, and status lists are for when it cannot.

import crypto from "node:crypto";
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import { Pushed } from "./events.mjs";
import { Issuer } from "./issuer.mjs";
import { Refused } from "./jose.mjs";
import { Verifier } from "./token.mjs";

/** What each tool does, and how it enforces the constraints that it knows. */
const TOOLS = new Map([
  ["crm.read", { run: () => ({ ticket: 7, says: "it is broken" }), enforces: {} }],
  ["crm.refund", { run: ({ usd }) => ({ refunded: usd }), enforces: { max_usd: (limit, { usd }) => usd > 0 && usd <= limit } }],
]);
const MOST = 64 << 10;

const [name, resource, url, folder, push] = process.argv.slice(2);
const read = (file) => fs.readFileSync(path.join(folder, file));
const identity = () => ({ cert: read("svid.0.pem"), key: read("svid.0.key"), ca: read("bundle.0.pem") });
const pushed = push === "--events" ? new Pushed(name, identity) : undefined;
const verifier = new Verifier(new Issuer(name, () => read("bundle.0.pem")), resource, url, pushed);

async function answer(request) {
  const tool = TOOLS.get(request.url.slice(1));
  if (request.method !== "POST" || !tool) throw new Refused("not_found", "there is no such tool", 404);
  const [authorization, dpop] = ["authorization", "dpop"].map((header) => only(request, header));
  // A certificate counts only if the trust bundle vouches for it.
  const certificate = request.socket.authorized ? request.socket.getPeerCertificate().raw : undefined;
  const call = { authorization, dpop, method: request.method, path: request.url, certificate };
  const claims = await verifier.verify(call, request.url.slice(1), Object.keys(tool.enforces));
  const wanted = await body(request);
  for (const [constraint, limit] of Object.entries(claims.constraints)) {
    if (!tool.enforces[constraint](limit, wanted)) throw new Refused("constraint_exceeded", `${constraint} is ${limit}`, 403);
  }
  return { ...tool.run(wanted), task: claims.mission?.id, instance: claims.client_id };
}

function only(request, header) {
  const [first, ...more] = request.headersDistinct[header] ?? [];
  if (more.length) throw new Refused("malformed", `one ${header} header is taken`);
  return first;
}

async function body(request) {
  let text = "";
  for await (const part of request) if ((text += part).length > MOST) throw new Refused("malformed", "too much", 413);
  try {
    return JSON.parse(text || "{}") ?? {};
  } catch {
    throw new Refused("malformed", "the body is no JSON", 400);
  }
}

function handle(request, response) {
  const say = (status, said, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...headers });
    response.end(JSON.stringify(said));
  };
  answer(request).then(
    (said) => say(200, said),
    (error) => {
      // What is no refusal is a fault of this program, and a refusal all the same.
      const { status = 503, reason = "failed", message } = error;
      console.error(`refused ${request.url}: ${reason}: ${message}`);
      const headers = status === 401 ? { "www-authenticate": 'Bearer error="invalid_token", DPoP algs="ES256 ES384 RS256"' } : {};
      say(status, { error: reason, message: error instanceof Refused ? message : "the service failed" }, headers);
    },
  );
}

// Callers with a DPoP key may come without a certificate. No tickets: each connection shows its certificate anew.
const options = { requestCert: true, rejectUnauthorized: false, secureOptions: crypto.constants.SSL_OP_NO_TICKET };
const server = https.createServer({ ...options, ...identity() }, handle);
fs.watchFile(path.join(folder, "svid.0.pem"), { interval: 1000 }, () => server.setSecureContext({ ...options, ...identity() }));
const { hostname, port } = new URL(url);
server.listen(Number(port || 443), hostname, () => console.log(`${resource} answers at ${url}`));
pushed?.follow();
