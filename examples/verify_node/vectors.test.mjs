// The examples of draft-ietf-oauth-status-list: node --test

import assert from "node:assert/strict";
import test from "node:test";
import { decoded, statusAt } from "./issuer.mjs";

const LONG =
  "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAA" +
  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAA" +
  "AJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb";
const REVOKED = [0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345];

const statuses = ({ bytes, bits }) =>
  Array.from({ length: (bytes.length * 8) / bits }, (_, idx) => statusAt(bytes, bits, idx));

test("one bit each (section 4.1)", () => {
  const list = decoded({ bits: 1, lst: "eNrbuRgAAhcBXQ" });
  assert.equal(list.bytes.toString("hex"), "b9a3");
  assert.deepEqual(statuses(list), [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
});

test("two bits each (section 4.1)", () => {
  const list = decoded({ bits: 2, lst: "eNo76fITAAPfAgc" });
  assert.equal(list.bytes.toString("hex"), "c944f9");
  assert.deepEqual(statuses(list), [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
});

test("a million entries", () => {
  const found = statuses(decoded({ bits: 1, lst: LONG }));
  assert.equal(found.length, 2 ** 20);
  assert.deepEqual(found.flatMap((status, idx) => (status ? [idx] : [])), REVOKED);
});

test("nothing is known of what is not on the list, nor by a list that is broken", () => {
  const { bytes } = decoded({ bits: 1, lst: "eNrbuRgAAhcBXQ" });
  for (const idx of [-1, 16, 2 ** 40, 0.5, "0", null, undefined]) assert.throws(() => statusAt(bytes, 1, idx));
  for (const lst of ["", "eNrbuRgAAhcB", "eNrbuRgAAhcBXg", "b9a3", null]) assert.throws(() => decoded({ bits: 1, lst }));
  for (const bits of [0, 3, 16, "1", null]) assert.throws(() => decoded({ bits, lst: "eNrbuRgAAhcBXQ" }));
  assert.throws(() => decoded());
});
