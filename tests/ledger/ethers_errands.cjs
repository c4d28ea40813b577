// Errands of a member, done with ethers; prints what came of them as JSON.
const { createRequire } = require("node:module");
const { ethers } = createRequire(`${process.env.CONTRACTS}/package.json`)("ethers");

const compiled = (name) => require(`${process.env.ARTIFACTS}/${name}.json`);
const artifacts = { Community: compiled("Community"), Settlement: compiled("Settlement") };
const http = new ethers.JsonRpcProvider(process.env.URL, undefined, { pollingInterval: 50 });
const socket = new ethers.WebSocketProvider(process.env.URL.replace("http", "ws"));
const signer = new ethers.NonceManager(new ethers.Wallet(process.env.KEY, http));
const other = new ethers.Wallet(process.env.OTHER, http);
const carl = "0x" + "ca".repeat(20);

async function deploy(name, ...values) {
  const factory = new ethers.ContractFactory(artifacts[name].abi, artifacts[name].bytecode, signer);
  return (await factory.deploy(...values)).waitForDeployment();
}

async function code(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return error.revert?.name ?? error.code;
  }
}

async function main() {
  const found = {};
  found.chainId = String((await http.getNetwork()).chainId);
  const alice = await signer.getAddress();
  const community = await deploy("Community", [alice], 1, ethers.ZeroHash);
  const both = [alice, other.address];
  await (await community.register(both, both.map(() => ethers.ZeroAddress), [1, 1])).wait();
  found.members = String(await community.memberCount());
  const settlement = await deploy("Settlement", await community.getAddress(), ethers.ZeroAddress, [10n ** 12n, 900, 0, 600, 86400, 600, 86400, 0, ethers.ZeroAddress, ethers.ZeroAddress]);

  const heads = new Promise((done) => socket.once("block", done));
  const pending = new Promise((done) => socket.once("pending", done));
  const listening = new ethers.Contract(await settlement.getAddress(), artifacts.Settlement.abi, socket);
  const deposited = new Promise((done) => listening.once("Deposited", (member, _, lanes) => done([String(member), String(lanes)])));
  await new Promise((done) => setTimeout(done, 300)); // until the subscriptions stand
  const paid = await (await settlement.connect(other).deposit(5, { value: 5n * 10n ** 12n })).wait();
  found.deposited = [await deposited];
  found.heads = (await heads) === paid.blockNumber;
  found.pending = (await pending) === paid.hash;
  const events = await settlement.queryFilter(settlement.filters.Deposited(1), 0, "latest");
  found.queried = events.map((event) => [String(event.args.member), String(event.args.lanes)]);
  found.balance = String(await settlement.balanceOf(1));
  found.refused = await code(settlement.connect(other).commit.staticCall(900, [ethers.ZeroHash], [ethers.ZeroHash], []));

  const receipts = [];
  for (const fee of [
    { type: 0, gasPrice: 10 },
    { type: 1, gasPrice: 10, accessList: [{ address: carl, storageKeys: [] }] },
    { type: 2, maxFeePerGas: 100, maxPriorityFeePerGas: 2 },
  ]) receipts.push(await (await signer.sendTransaction({ to: carl, value: 7, ...fee })).wait());
  found.types = receipts.map((receipt) => receipt.type);
  found.statuses = receipts.map((receipt) => receipt.status);
  found.received = String(await http.getBalance(carl));
  found.funds = await code(other.sendTransaction({ to: carl, value: 10n ** 30n, gasLimit: 21000 }));
  found.nonce = await code(other.sendTransaction({ to: carl, nonce: 0, gasLimit: 21000 }));
  const proof = await http.send("eth_getProof", [carl, [], "latest"]);
  const block = await http.send("eth_getBlockByNumber", ["latest", false]);
  found.proved = ethers.keccak256(proof.accountProof[0]) === block.stateRoot;
  console.log(JSON.stringify(found));
  await socket.destroy();
  http.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
