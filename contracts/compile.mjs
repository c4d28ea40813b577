// Compiles the contracts into the artifacts that the Python client deploys.
//
//   node contracts/compile.mjs           write src/commonwatt/ledger/artifacts/*.json
//   node contracts/compile.mjs --check   fail when they differ from a fresh compile
//   node contracts/compile.mjs Stake     only those named
//
// The same sources give the same bytes on every machine: the compiler and OpenZeppelin are pinned by the lock file,
// sources are named by their place in the project, never by a path of the machine, and the bytecode carries no hash of
// its metadata, so that a comment cannot change it.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const HERE = dirname(fileURLToPath(import.meta.url));
const ARTIFACTS = join(HERE, "..", "src", "commonwatt", "ledger", "artifacts");
// How often the optimizer expects code to run: what settles every slot is made cheap to run; what is seldom called, or
// has many functions, is made small, since a contract's code is bounded (EIP-170).
const RUNS = {
  Community: 200,
  CommunityToken: 10_000,
  Demands: 1_000,
  Disputes: 1_000,
  Offers: 10_000,
  Settlement: 10_000,
  Stake: 10_000,
};

const settings = (contract) => ({
  evmVersion: "cancun",
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  optimizer: { enabled: true, runs: RUNS[contract] },
  viaIR: false,
});

const OUTPUTS = [
  "abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences", "storageLayout",
];

const TOO_LARGE = "5574"; // the compiler's warning of EIP-170

/** The text of a source by its name: ours are "src/...", the others are packages. */
function read(name) {
  const path = name.startsWith("src/") ? join(HERE, name) : join(HERE, "node_modules", name);
  return readFileSync(path, "utf8");
}

/** A contract's artifact; compiled alone, so that it depends on no source but those that it imports. */
function compile(contract) {
  const sources = new Map([[`src/${contract}.sol`, read(`src/${contract}.sol`)]]);
  const input = {
    language: "Solidity",
    sources: Object.fromEntries([...sources].map(([name, content]) => [name, { content }])),
    settings: { ...settings(contract), outputSelection: { "*": { "*": OUTPUTS, "": ["ast"] } } },
  };
  const load = (name) => {
    try {
      sources.set(name, read(name));
      return { contents: sources.get(name) };
    } catch (error) {
      return { error: error.message };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
  // A contract that this one only speaks to may be too large here: it is compiled with settings of its own.
  const own = (error) => error.errorCode !== TOO_LARGE || error.sourceLocation.file === `src/${contract}.sol`;
  const errors = (output.errors ?? []).filter(own);
  if (errors.length) fail(errors.map((error) => error.formattedMessage).join("\n"));

  const { abi, evm, storageLayout } = output.contracts[`src/${contract}.sol`][contract];
  return {
    contractName: contract,
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
    // What is fixed at creation stands in the code: whoever compares codes leaves it out, and reads it there.
    immutables: immutables(output.sources, evm.deployedBytecode.immutableReferences),
    // Where the variables are: a client reads a thousand balances from storage, not by a thousand calls.
    storage: Object.fromEntries(storageLayout.storage.map(({ label, slot }) => [label, Number(slot)])),
    compiler: { version: solc.version(), settings: settings(contract) },
    sourceHash: hash(sources),
  };
}

/** By an immutable's name: how many bytes its type has, and where the code holds its word of 32. */
function immutables(sources, references) {
  const found = {};
  const walk = (node) => {
    if (node === null || typeof node !== "object") return;
    Object.values(node).forEach(walk);
    if (!(node.nodeType === "VariableDeclaration" && node.id in references)) return;
    const type = node.typeDescriptions.typeString;
    const [, bits, address] = /^(?:uint(\d+)|(address|contract ).*|bool|bytes32|ShortString)$/.exec(type);
    if (node.name in found) fail(`Two immutables have the name ${node.name}.`);
    const at = references[node.id].map(({ start }) => start).sort((one, other) => one - other);
    found[node.name] = { at, bytes: bits ? bits / 8 : address ? 20 : type === "bool" ? 1 : 32 };
  };
  walk(Object.values(sources).map(({ ast }) => ast));
  return found;
}

/** SHA-256 over the sources, imported ones included, sorted by name: name, zero byte, text, zero byte. */
function hash(sources) {
  const digest = createHash("sha256");
  for (const name of [...sources.keys()].sort()) digest.update(`${name}\0${sources.get(name)}\0`);
  return `0x${digest.digest("hex")}`;
}

/** JSON with sorted keys; the order within lists means something and stays. */
function format(artifact) {
  const sorted = (_, value) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, value[key]]))
      : value;
  return `${JSON.stringify(artifact, sorted, 2)}\n`;
}

function current(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

const named = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const chosen = named.length ? named : Object.keys(RUNS);
const artifacts = new Map(chosen.map((contract) => [join(ARTIFACTS, `${contract}.json`), format(compile(contract))]));
if (process.argv.includes("--check")) {
  const stale = [...artifacts].filter(([file, text]) => current(file) !== text).map(([file]) => file.split(/[\\/]/).at(-1));
  if (stale.length) fail(`The contracts changed, but ${stale.join(", ")} did not: run node contracts/compile.mjs.`);
} else {
  mkdirSync(ARTIFACTS, { recursive: true });
  for (const [file, text] of artifacts) writeFileSync(file, text);
}
