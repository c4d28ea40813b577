// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Community} from "../src/Community.sol";
import {CommunityToken} from "../src/CommunityToken.sol";
import {Members} from "../src/Members.sol";
import {ANCHOR_TYPEHASH, Anchor, GATE_TYPEHASH, MINT_TYPEHASH, Mint, POST_TYPEHASH, Post} from "../src/Records.sol";
import {Settlement, Terms} from "../src/Settlement.sol";

/// What the last call cost; only `total` matters here.
struct Gas {
    uint64 limit;
    uint64 total;
    uint64 memoryUsed;
    int64 refunded;
    uint64 remaining;
}

/// The cheat codes of forge that these tests use.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertTrue(bool condition) external pure;
    function chainId(uint256 id) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function deal(address account, uint256 amount) external;
    function expectEmit(address emitter) external;
    function expectRevert(bytes calldata reason) external;
    function getNonce(address account) external view returns (uint64);
    function lastCallGas() external view returns (Gas memory);
    function prank(address sender) external;
    function revertToState(uint256 snapshot) external returns (bool);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotState() external returns (uint256);
    function warp(uint256 time) external;
}

/// A community of three operators, two of whom must sign, and its settlement in a token.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant LANE_UNIT = 10;
    uint64 internal constant SLOT_SECONDS = 900;
    uint32 internal constant WINDOW = 3600;
    uint32 internal constant GRACE = 7200;
    uint32 internal constant ANSWER_TIME = 1800;
    uint32 internal constant CORRECTIONS = 7 days;
    /// Longest time between a request to withdraw and its end.
    uint256 internal constant CLAIM_TIME = 2 * WINDOW + ANSWER_TIME + GRACE;
    /// The slot that most tests settle.
    uint64 internal constant SLOT = 1_800_000_000;
    bytes32 internal constant ORDERS = keccak256("orders");
    bytes32 internal constant TRADES = keccak256("trades");

    /// Keys of the operators, ascending by address.
    uint256[3] internal operatorKeys;
    address internal operator;
    Community internal community;
    CommunityToken internal token;
    Settlement internal settlement;

    function setUp() public virtual {
        vm.warp(SLOT - 10 * SLOT_SECONDS);
        operatorKeys = [uint256(0xA1), 0xA2, 0xA3];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (vm.addr(operatorKeys[i]) > vm.addr(operatorKeys[j])) {
                    (operatorKeys[i], operatorKeys[j]) = (operatorKeys[j], operatorKeys[i]);
                }
            }
        }
        address[] memory operators = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            operators[i] = vm.addr(operatorKeys[i]);
        }
        operator = operators[0];
        community = new Community(operators, 2, keccak256("config"));
        token = new CommunityToken(community, "Village euro", "VEUR");
        settlement = _settle(IERC20(address(token)), LANE_UNIT);
    }

    /// The contracts that judge faults and answers; such as nobody can call unless a test has others.
    function judges() internal virtual returns (address, address) {
        return (address(0xD15), address(0xDE3));
    }

    /// The next two contracts that the test creates after the settlement.
    function nextTwo() internal view returns (address, address) {
        uint256 nonce = vm.getNonce(address(this));
        return (vm.computeCreateAddress(address(this), nonce + 1), vm.computeCreateAddress(address(this), nonce + 2));
    }

    /// Lane units for each open post.
    function bond() internal pure virtual returns (uint64) {
        return 0;
    }

    function _settle(IERC20 asset, uint256 laneUnit) internal returns (Settlement) {
        (address first, address second) = judges();
        Terms memory terms =
            Terms(laneUnit, SLOT_SECONDS, 0, WINDOW, GRACE, ANSWER_TIME, CORRECTIONS, bond(), first, second);
        return new Settlement(community, asset, terms);
    }

    /// Lets the operator stake on so many posts.
    function placeBonds(uint64 posts) internal {
        mint(operator, posts * bond() * LANE_UNIT);
        vm.prank(operator);
        token.approve(address(settlement), type(uint256).max);
        vm.prank(operator);
        settlement.placeBond(posts * bond());
    }

    // Members

    function account(uint256 member) internal pure returns (address) {
        return address(uint160(0x1000 + member));
    }

    /// Registers `count` more members without meters.
    function addMembers(uint256 count) internal {
        address[] memory accounts = new address[](count);
        Members.Role[] memory roles = new Members.Role[](count);
        uint256 first = community.memberCount();
        for (uint256 i = 0; i < count; ++i) {
            accounts[i] = account(first + i);
            roles[i] = Members.Role.Prosumer;
        }
        vm.prank(operator);
        community.register(accounts, new address[](count), roles);
    }

    /// Lets a member pay in.
    function fund(uint256 member, uint64 lanes) internal {
        mint(account(member), lanes * LANE_UNIT);
        vm.prank(account(member));
        token.approve(address(settlement), type(uint256).max);
        vm.prank(account(member));
        settlement.deposit(lanes);
    }

    /// Lets two operators issue tokens.
    function mint(address to, uint256 amount) internal {
        Mint memory issue = Mint(to, amount, token.mints());
        token.mint(issue, quorum(digestOf(issue)));
    }

    function digestOf(Mint memory issue) internal view returns (bytes32) {
        bytes32 body = keccak256(abi.encode(MINT_TYPEHASH, issue.to, issue.amount, issue.nonce));
        return digestOf(body, block.chainid, address(token));
    }

    // Posts

    function pack(int32[] memory values) internal pure returns (bytes memory deltas) {
        deltas = new bytes(values.length * 4);
        for (uint256 i = 0; i < values.length; ++i) {
            bytes4 value = bytes4(uint32(values[i]));
            for (uint256 j = 0; j < 4; ++j) {
                deltas[4 * i + j] = value[j];
            }
        }
    }

    function deltasOf(int32 a, int32 b) internal pure returns (bytes memory) {
        return abi.encodePacked(a, b);
    }

    function postOf(uint64 slot, uint32 revision, bytes memory deltas) internal pure returns (Post memory) {
        return Post(slot, revision, ORDERS, keccak256("statements"), keccak256(deltas), 0, 0);
    }

    /// The digest that wallets compute, spelled out independently of the contract.
    function digestOf(Post memory p) internal view returns (bytes32) {
        return digestOf(p, block.chainid, address(settlement));
    }

    function digestOf(Anchor memory period) internal view returns (bytes32) {
        bytes32 body = keccak256(abi.encode(ANCHOR_TYPEHASH, period.start, period.until, period.bills));
        return digestOf(body, block.chainid, address(settlement));
    }

    function digestOf(Post memory p, uint256 chainId, address verifier) internal pure returns (bytes32) {
        bytes memory roots = abi.encode(POST_TYPEHASH, p.slot, p.revision, p.orders, p.statements);
        bytes32 body = keccak256(bytes.concat(roots, abi.encode(p.deltas, p.lock, p.until)));
        return digestOf(body, chainId, verifier);
    }

    function digestOf(bytes32 body, uint256 chainId, address verifier) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Commonwatt"),
                keccak256("1"),
                chainId,
                verifier
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, body));
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// Signatures of the first two operators.
    function quorum(bytes32 digest) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](2);
        signatures[0] = signature(operatorKeys[0], digest);
        signatures[1] = signature(operatorKeys[1], digest);
    }

    function commit(uint64 slot) internal {
        bytes32[] memory orders = new bytes32[](1);
        bytes32[] memory trades = new bytes32[](1);
        (orders[0], trades[0]) = (ORDERS, TRADES);
        commit(slot, orders, trades);
    }

    function commit(uint64 slot, bytes32[] memory orders, bytes32[] memory trades) internal {
        bytes[] memory signatures = quorum(gateDigest(slot, orders, trades));
        vm.prank(operator);
        settlement.commit(slot, orders, trades, signatures);
    }

    function gateDigest(uint64 slot, bytes32[] memory orders, bytes32[] memory trades) internal view returns (bytes32) {
        bytes32 roots = keccak256(abi.encodePacked(orders));
        bytes32 body = keccak256(abi.encode(GATE_TYPEHASH, slot, roots, keccak256(abi.encodePacked(trades))));
        return digestOf(body, block.chainid, address(settlement));
    }

    function post(Post memory p, bytes memory deltas) internal {
        bytes[] memory signatures = quorum(digestOf(p));
        vm.prank(operator);
        settlement.post(p, TRADES, deltas, signatures);
    }

    function expectPostRevert(Post memory p, bytes memory deltas, bytes memory reason) internal {
        bytes[] memory signatures = quorum(digestOf(p));
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.post(p, TRADES, deltas, signatures);
    }

    function expectFinaliseRevert(Post memory p, bytes memory deltas, bytes memory reason) internal {
        vm.expectRevert(reason);
        settlement.finalise(p, deltas, 0);
    }
}
