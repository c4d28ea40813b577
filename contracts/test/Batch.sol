// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Demands} from "../src/Demands.sol";
import {Disputes} from "../src/Disputes.sol";
import {Leaf, Lines, Stated} from "../src/Lines.sol";
import {Line, Mandate, Order, Post, Reading, Statement, Trade} from "../src/Records.sol";
import {Members} from "../src/Members.sol";
import {Base} from "./Base.sol";
import {Tree} from "./Tree.sol";

/// One slot of four members with real trees and signatures. A test changes what it wants between the steps: `agree`
/// (consents into trades), `book` (trades into lines, statements and changes), `seal` (roots, commitment and post).
/// Whoever changes lines or statements behind that says `total` where the statements follow from the lines, and `restate`
/// where another post takes the place of the one that stands.
abstract contract Batch is Base, Tree {
    uint64 internal constant END = SLOT + SLOT_SECONDS;
    uint256 internal constant COMMITTED = 3;
    address internal constant PROVER = address(0xBEEF);

    Disputes internal disputes;
    Demands internal demands;
    Order[] internal orders;
    Mandate[] internal mandates;
    /// Of each member; no meter = none came.
    Reading[] internal readings;
    Trade[] internal trades;
    /// Energy of each trade that settles [Wh].
    uint64[] internal settled;
    /// Of each member; an order of zero = the place is empty.
    Line[][] internal lines;
    /// Of each member; a salt of zero = the place is empty.
    Statement[] internal statements;
    int32[] internal changes;
    bytes internal deltas;
    bytes32 internal tradesRoot;
    bytes32 internal ordersRoot;
    Post internal p;
    /// The revisions that are final, with their deltas, and what they moved for each member.
    Post[] internal finals;
    bytes[] internal finalDeltas;
    int64[4] internal moved;
    /// How many of the trades are committed before delivery.
    uint256 internal committed = COMMITTED;
    /// Levels of other leaves around orders and trades, and around statements: trees as deep as those of many members.
    uint256 internal more;
    uint256 internal moreMembers;
    /// Levels of empty places around the lines of each member.
    uint256 internal deeper;

    function judges() internal view override returns (address, address) {
        return nextTwo();
    }

    function bond() internal pure override returns (uint64) {
        return 501;
    }

    /// Whether the members share by registers.
    function byRegisters() internal pure virtual returns (bool) {
        return false;
    }

    function memberKey(uint256 member) internal pure returns (uint256) {
        return 0x5000 + member;
    }

    function agentKey(uint256 member) internal pure returns (uint256) {
        return 0x6000 + member;
    }

    function meterKey(uint256 member) internal pure returns (uint256) {
        return 0x7000 + member;
    }

    function setUp() public virtual override {
        super.setUp();
        disputes = new Disputes(settlement, byRegisters());
        demands = new Demands(settlement);
        address[] memory accounts = new address[](4);
        address[] memory meters = new address[](4);
        Members.Role[] memory roles = new Members.Role[](4);
        for (uint64 i = 0; i < 4; ++i) {
            (accounts[i], meters[i]) = (vm.addr(memberKey(i)), vm.addr(meterKey(i)));
            roles[i] = Members.Role.Prosumer;
            bool buys = i < 2;
            orders.push(Order(accounts[i], "", buys ? 0 : 1, 2000, buys ? 250_000 : 100_000, SLOT, SLOT, i));
            mandates.push(
                Mandate(accounts[i], vm.addr(agentKey(i)), "words", 300_000, 50_000, 5000, 5000, 0, SLOT + 1 days, 1)
            );
            readings.push(Reading(meters[i], SLOT, buys ? 3000 : 0, buys ? 0 : 3000, 7));
        }
        vm.prank(operator);
        community.register(accounts, meters, roles);
        placeBonds(10);
        trades.push(Trade(SLOT, 0, 0, 0, 2, 1000, 200_000, 0, 0));
        trades.push(Trade(SLOT, 0, 1, 0, 3, 500, 210_000, 0, 0));
        trades.push(Trade(SLOT, 0, 2, 1, 3, 300, 205_000, 0, 0));
        trades.push(Trade(SLOT, 0, 3, 0, 2, 250, 150_001, 0, 0));
        for (uint256 i = 0; i < 4; ++i) {
            settled.push(trades[i].wh);
        }
        agree();
        book();
    }

    // The steps

    function agree() internal {
        for (uint256 i = 0; i < trades.length; ++i) {
            Trade storage trade = trades[i];
            bool ordered = i < committed;
            trade.buyOrder = ordered ? hashOf(orders[trade.buyer]) : hashOf(mandates[trade.buyer]);
            trade.sellOrder = ordered ? hashOf(orders[trade.seller]) : hashOf(mandates[trade.seller]);
        }
    }

    function book() internal {
        delete lines;
        delete statements;
        delete changes;
        for (uint32 member = 0; member < 4; ++member) {
            lines.push();
            uint256[] memory own = sortedOf(member);
            Line memory line;
            for (uint256 i = 0; i < own.length; ++i) {
                Trade memory trade = trades[own[i]];
                (uint64 wh, bool buys) = (settled[own[i]], trade.buyer == member);
                int64 worth = int64(wh * trade.price / 1000);
                (line.trade, line.order) = (hashOf(trade), consentOf(own[i], member));
                if (buys) (line.bought, line.money) = (line.bought + wh, line.money - worth);
                else (line.sold, line.money) = (line.sold + wh, line.money + worth);
                lines[member].push(line);
            }
            bytes32 reading = readings[member].meter == address(0) ? bytes32(0) : hashOf(readings[member]);
            statements.push(Statement(0, 0, 0, reading, 0, keccak256(abi.encode("salt", member))));
            total(member);
            changes.push(int32(statements[member].money - moved[member]));
        }
    }

    /// Makes a statement say what its lines are and the last of them sums up to.
    function total(uint32 member) internal {
        Statement storage its = statements[member];
        uint256 count = lines[member].length;
        Line memory last;
        if (count != 0) last = lines[member][count - 1];
        (its.bought, its.sold, its.money) = (last.bought, last.sold, last.money);
        its.lines = rootOf(lineHashes(member));
    }

    function seal() internal {
        (ordersRoot, tradesRoot) = (_above(rootOf(orderHashes()), more), _above(rootOf(tradeHashes()), more));
        bytes32[] memory first = new bytes32[](1);
        bytes32[] memory second = new bytes32[](1);
        (first[0], second[0]) = (ordersRoot, tradesRoot);
        vm.warp(SLOT - 1);
        commit(SLOT, first, second);
        vm.warp(END);
        state();
    }

    /// Posts statements and changes as they are now, after the revisions that are final.
    function state() internal {
        deltas = pack(changes);
        bytes32 root = _above(rootOf(statementHashes()), moreMembers);
        p = Post(SLOT, uint32(finals.length), ordersRoot, root, keccak256(deltas), 0, 0);
        publish();
    }

    /// The same in place of the post that stands, if one does.
    function restate() internal {
        if (standing()) {
            vm.prank(address(disputes));
            settlement.strike(p, address(this));
            placeBonds(1);
        }
        state();
    }

    function publish() internal {
        bytes[] memory signatures = quorum(digestOf(p));
        vm.prank(operator);
        settlement.post(p, tradesRoot, deltas, signatures);
    }

    /// Makes the post final; members have paid in enough.
    function finalise() internal {
        uint32[] memory members = new uint32[](4);
        uint64[] memory lanes = new uint64[](4);
        for (uint32 i = 0; i < 4; ++i) {
            (members[i], lanes[i]) = (i, 10_000_000);
            moved[i] += changes[i];
        }
        mint(address(this), 40_000_000 * LANE_UNIT);
        token.approve(address(settlement), type(uint256).max);
        settlement.depositFor(members, lanes);
        vm.warp(block.timestamp + WINDOW);
        settlement.finalise(p, deltas, 0);
        finals.push(p);
        finalDeltas.push(deltas);
    }

    /// The trades of a member in the order of its lines.
    function sortedOf(uint32 member) internal view returns (uint256[] memory own) {
        uint256 count = 0;
        own = new uint256[](trades.length);
        for (uint256 i = 0; i < trades.length; ++i) {
            if (trades[i].buyer != member && trades[i].seller != member) continue;
            uint256 place = count++;
            for (; place > 0 && _behind(own[place - 1], i, member); --place) {
                own[place] = own[place - 1];
            }
            own[place] = i;
        }
        assembly {
            mstore(own, count)
        }
    }

    function _behind(uint256 front, uint256 back, uint32 member) private view returns (bool) {
        (bytes32 a, bytes32 b) = (consentOf(front, member), consentOf(back, member));
        return a != b ? a > b : trades[front].seller == member && trades[back].seller != member;
    }

    /// Under which a member has its line of a trade.
    function consentOf(uint256 trade, uint32 member) internal view returns (bytes32) {
        return trades[trade].buyer == member ? trades[trade].buyOrder : trades[trade].sellOrder;
    }

    // Trees

    function orderHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](orders.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = hashOf(orders[i]);
        }
    }

    function tradeHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](committed);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = hashOf(trades[i]);
        }
    }

    /// One more than there are: behind the last member is an empty place.
    function statementHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](statements.length + 1);
        for (uint256 i = 0; i < statements.length; ++i) {
            if (statements[i].salt != 0) hashes[i] = hashOf(statements[i]);
        }
    }

    function lineHashes(uint32 member) internal view returns (bytes32[] memory hashes) {
        Line[] storage own = lines[member];
        hashes = new bytes32[](deeper == 0 ? own.length : 1 << (depthOf(own.length) + deeper));
        for (uint256 i = 0; i < own.length; ++i) {
            if (own[i].order != 0) hashes[i] = hashOf(own[i]);
        }
    }

    function orderSiblings(uint256 position) internal view returns (bytes32[] memory) {
        return _beside(siblingsOf(orderHashes(), position), more);
    }

    function tradeSiblings(uint256 position) internal view virtual returns (bytes32[] memory) {
        return _beside(siblingsOf(tradeHashes(), position), more);
    }

    /// Of a member's place among the statements; of the last place where the tree ends before it.
    function statementSiblings(uint32 member) internal view returns (bytes32[] memory) {
        bytes32[] memory hashes = statementHashes();
        uint256 last = (1 << depthOf(hashes.length)) - 1;
        return _beside(siblingsOf(hashes, member < last ? member : last), moreMembers);
    }

    function _stranger(uint256 level) private pure returns (bytes32) {
        return keccak256(abi.encode("stranger", level));
    }

    function _above(bytes32 root, uint256 levels) private pure returns (bytes32) {
        for (uint256 i = 0; i < levels; ++i) {
            root = keccak256(abi.encodePacked(root, _stranger(i)));
        }
        return root;
    }

    function _beside(bytes32[] memory own, uint256 levels) private pure returns (bytes32[] memory siblings) {
        siblings = new bytes32[](own.length + levels);
        for (uint256 i = 0; i < siblings.length; ++i) {
            siblings[i] = i < own.length ? own[i] : _stranger(i - own.length);
        }
    }

    // What is shown

    function statedOf(uint32 member) internal view returns (Stated memory) {
        return Stated(member, statements[member], statementSiblings(member));
    }

    function leafAt(uint32 member, uint256 position) internal view returns (Leaf memory) {
        return Leaf(lines[member][position], position, siblingsOf(lineHashes(member), position));
    }

    /// The lines of a member from a first to a last one.
    function leaves(uint32 member, uint256 first, uint256 last) internal view returns (Leaf[] memory list) {
        list = new Leaf[](last + 1 - first);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = leafAt(member, first + i);
        }
    }

    /// Where a member has its line of a trade.
    function placeOf(uint32 member, uint256 trade) internal view returns (uint256 position) {
        bytes32 wanted = hashOf(trades[trade]);
        while (lines[member][position].trade != wanted) ++position;
    }

    /// [The line before and] the line at a position.
    function stepAt(uint32 member, uint256 position) internal view returns (Leaf[] memory) {
        return leaves(member, position == 0 ? 0 : position - 1, position);
    }

    /// The same for a trade.
    function stepOf(uint32 member, uint256 trade) internal view returns (Leaf[] memory) {
        return stepAt(member, placeOf(member, trade));
    }

    /// [The line before the first,] a first and a last line.
    function spanOf(uint32 member, uint256 first, uint256 last) internal view returns (Leaf[] memory list) {
        uint256 before = first == 0 ? 0 : 1;
        list = new Leaf[](before + 2);
        if (before == 1) list[0] = leafAt(member, first - 1);
        (list[before], list[before + 1]) = (leafAt(member, first), leafAt(member, last));
    }

    /// The last line of a member; none where it has none.
    function lastOf(uint32 member) internal view returns (Leaf[] memory) {
        uint256 count = lines[member].length;
        return count == 0 ? new Leaf[](0) : leaves(member, count - 1, count - 1);
    }

    /// Siblings of the place behind the last line of a member; none where the tree ends with it.
    function behindOf(uint32 member) internal view returns (bytes32[] memory) {
        return holeAt(member, lines[member].length);
    }

    /// Siblings of a place; none where the tree ends before it.
    function holeAt(uint32 member, uint256 place) internal view returns (bytes32[] memory) {
        bytes32[] memory hashes = lineHashes(member);
        return place < 1 << depthOf(hashes.length) ? siblingsOf(hashes, place) : new bytes32[](0);
    }

    /// Whether the post is there.
    function standing() internal view returns (bool) {
        (bytes32 digest,,,,) = settlement.posted(p.slot, p.revision);
        return digest != 0;
    }

    /// The post is gone, and half of its bond is the prover's.
    function assertStruck() internal view {
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
    }

    function expectNoFault(uint32 member) internal {
        vm.expectRevert(abi.encodeWithSelector(Lines.NoFault.selector, p.slot, p.revision, member));
    }

    function signed(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        return signature(key, digestOf(structHash, block.chainid, address(settlement)));
    }
}
