// A workload in Node, with grpc-js and Node's own crypto and tls: it does one thing and prints lines of JSON.

import crypto from "node:crypto";
import tls from "node:tls";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [command, proto, address, ...rest] = process.argv.slice(2);
const Api = grpc.loadPackageDefinition(loader.loadSync(proto)).SpiffeWorkloadAPI;
const api = new Api(address, grpc.credentials.createInsecure());
const header = new grpc.Metadata();
header.set("workload.spiffe.io", "true");

const emit = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const emitError = (error) => emit({ code: grpc.status[error.code], details: error.details ?? error.stack });

/** The first certificates of DER that stands one after another. */
function certificates(der) {
  const found = [];
  for (let at = 0; at < der.length; ) {
    const long = der[at + 1] & 0x80 ? der[at + 1] & 0x7f : 0;
    const length = long ? der.readUIntBE(at + 2, long) : der[at + 1];
    const end = at + 2 + long + length;
    found.push(new crypto.X509Certificate(der.subarray(at, end)));
    at = end;
  }
  return found;
}

/** Whether each certificate is signed by the next, and the last by one of the authorities. */
function verified(chain, authorities) {
  return chain.every((one, index) =>
    (index + 1 < chain.length ? [chain[index + 1]] : authorities).some(
      (issuer) => one.checkIssued(issuer) && one.verify(issuer.publicKey),
    ),
  );
}

function read(svid) {
  const chain = certificates(svid.x509Svid);
  const key = crypto.createPrivateKey({ key: svid.x509SvidKey, format: "der", type: "pkcs8" });
  return { id: svid.spiffeId, chain, key, authorities: certificates(svid.bundle) };
}

function watch() {
  const stream = api.FetchX509SVID({}, header);
  stream.on("error", emitError);
  stream.on("data", ({ svids }) => {
    for (const { id, chain, key, authorities } of svids.map(read)) {
      const [leaf] = chain;
      emit({
        id,
        serial: BigInt(`0x${leaf.serialNumber}`).toString(),
        notAfter: Date.parse(leaf.validTo) / 1000,
        san: leaf.subjectAltName,
        verified: verified(chain, authorities),
        own: leaf.checkPrivateKey(key),
      });
    }
  });
}

/** Is a server to itself as a client: both know each other by SPIFFE ID, with the SVID of each moment. */
function mtls([id]) {
  let server;
  api.FetchX509SVID({}, header).on("error", emitError).on("data", ({ svids }) => {
    const { chain, key, authorities } = read(svids[0]);
    const pem = (all) => all.map((one) => one.toString()).join("");
    const own = { cert: pem(chain), key: key.export({ format: "pem", type: "pkcs8" }), ca: pem(authorities) };
    const peer = (socket) => socket.getPeerCertificate().subjectaltname;
    server?.close();
    server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: true }, (socket) => {
      socket.end(peer(socket) === `URI:${id}` ? "welcome" : "stranger");
    });
    server.listen(0, "127.0.0.1", () => {
      const checkServerIdentity = (_host, { subjectaltname }) =>
        subjectaltname === `URI:${id}` ? undefined : new Error(`it is ${subjectaltname}`);
      const client = tls.connect({ ...own, host: "127.0.0.1", port: server.address().port, checkServerIdentity });
      const serial = BigInt(`0x${chain[0].serialNumber}`).toString();
      client.on("data", (said) => emit({ said: said.toString(), serial }));
      client.on("error", (error) => emit({ said: error.message, serial }));
    });
  });
}

const call = (method, request) =>
  new Promise((resolve, reject) => {
    api[method](request, header, (error, answer) => (error ? reject(error) : resolve(answer)));
  });

const first = (stream) => new Promise((resolve, reject) => stream.on("error", reject).on("data", resolve));

/** Whether the token's signature is by a key of its trust domain's JWT bundle. */
async function signed(token, domain) {
  const stream = api.FetchJWTBundles({}, header);
  const { bundles } = await first(stream);
  stream.on("error", () => {});
  stream.cancel();
  const [head, body, signature] = token.split(".");
  const { kid } = JSON.parse(Buffer.from(head, "base64url"));
  const jwk = JSON.parse(bundles[`spiffe://${domain}`]).keys.find((one) => one.kid === kid);
  const key = { key: crypto.createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" };
  return crypto.verify("sha256", Buffer.from(`${head}.${body}`), key, Buffer.from(signature, "base64url"));
}

async function jwt([domain, ...audience]) {
  const { svids } = await call("FetchJWTSVID", { audience });
  const { svid, spiffeId: id } = svids[0];
  const claims = JSON.parse(Buffer.from(svid.split(".")[1], "base64url"));
  const validated = await call("ValidateJWTSVID", { audience: audience[0], svid });
  const refused = await call("ValidateJWTSVID", { audience: "other", svid }).catch((error) => grpc.status[error.code]);
  emit({ id, aud: claims.aud, signed: await signed(svid, domain), validated: validated.spiffeId, refused });
}

/** Every method without the header that the standard demands. */
async function bare() {
  for (const method of ["FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"]) {
    await first(api[method]({})).then(() => emit({ answered: method }), emitError);
  }
  for (const method of ["FetchJWTSVID", "ValidateJWTSVID"]) {
    await new Promise((resolve) =>
      api[method]({}, (error) => {
        error ? emitError(error) : emit({ answered: method });
        resolve();
      }),
    );
  }
}

try {
  await { watch, mtls, jwt, bare }[command](rest);
} catch (error) {
  emitError(error);
}
