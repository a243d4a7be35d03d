// An OAuth client in Node: main.mjs METHOD ISSUER CLIENT_ID RESOURCE TASK FOLDER [TOOL]
//
// METHOD is `certificate` or `assertion`; FOLDER has svid.pem, key.pem, bundle.pem, svid.token. It prints one JSON object.

import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import * as oauth from "oauth4webapi";

const [method, issuer, clientId, resource, mission, folder, tool] = process.argv.slice(2);
const file = (name) => fs.readFileSync(path.join(folder, name));
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const JWT_SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

// Node's own fetch takes no client certificate.
const tls = { ca: file("bundle.pem"), ...(method === "certificate" && { cert: file("svid.pem"), key: file("key.pem") }) };
const fetch = (url, { method: verb, headers, body }) =>
  new Promise((resolve, reject) => {
    const request = https.request(url, { ...tls, method: verb, headers: { ...headers } }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      const said = () => Buffer.concat(parts);
      answer.on("end", () => resolve(new Response(said(), { status: answer.statusCode, headers: answer.headers })));
    });
    request.on("error", reject);
    request.end(body instanceof URLSearchParams ? body.toString() : (body ?? undefined));
  });

const options = { [oauth.customFetch]: fetch };
const client = { client_id: clientId };
const byAssertion = (_as, _client, body) => {
  body.set("client_assertion_type", JWT_SPIFFE);
  body.set("client_assertion", file("svid.token").toString().trim());
};
const auth = method === "certificate" ? oauth.TlsClientAuth() : byAssertion;
const emit = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

const as = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...options }),
);

async function introspect(token) {
  return oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, options));
}

/** A token, less of it by exchange, what it is used for, its end. */
async function life(DPoP) {
  const bound = { ...options, DPoP };
  const first = await oauth.processClientCredentialsResponse(
    as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, { resource, mission }, bound),
  );
  const params = { subject_token: first.access_token, subject_token_type: ACCESS_TOKEN, resource, requested_ttl: "60" };
  const second = await oauth.processGenericTokenEndpointResponse(
    as, client, await oauth.genericTokenEndpointRequest(as, client, auth, EXCHANGE, params, bound),
  );
  const active = await introspect(second.access_token);
  const called = tool && (await call(second.access_token, DPoP));
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, second.access_token, options));
  const after = await introspect(second.access_token);
  const { cnf } = claims(second.access_token);
  emit({ type: second.token_type, lives: second.expires_in, cnf, active, after, called });
}

/** A call of the tool, as whoever holds the key. */
async function call(token, DPoP) {
  const url = new URL(`${tool}/crm.read`);
  const answer = await oauth.protectedResourceRequest(token, "POST", url, new Headers(), null, { ...options, DPoP });
  return { status: answer.status, said: await answer.json() };
}

try {
  await life();
} catch (error) {
  // A JWT-SVID says who asks, and no key: its tokens are for a DPoP key alone.
  emit({ refused: error.error ?? error.cause?.code ?? error.message });
}
await life(oauth.DPoP(client, await oauth.generateKeyPair("ES256")));
