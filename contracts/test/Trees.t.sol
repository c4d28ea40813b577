// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Demands} from "../src/Demands.sol";
import {Disputes} from "../src/Disputes.sol";
import {Judge, Leaf} from "../src/Judge.sol";
import {
    Mandate,
    Post,
    RECEIPT_TYPEHASH,
    RECOVERY_TYPEHASH,
    Receipt,
    Recovery,
    Statement,
    Trade
} from "../src/Records.sol";
import {Settlement, Terms} from "../src/Settlement.sol";
import {Batch} from "./Batch.sol";

/// Attacks of a quorum with trees, revisions, times and old keys, and what stops each.
contract TreesTest is Batch {
    address private constant PROVER = address(0xBEEF);

    // What the attacks need

    function member(uint256 i) private pure returns (address) {
        return vm.addr(memberKey(i));
    }

    function endow() private {
        for (uint256 i = 0; i < 4; ++i) {
            mint(member(i), 10_000_000 * LANE_UNIT);
            vm.prank(member(i));
            token.approve(address(settlement), type(uint256).max);
            vm.prank(member(i));
            settlement.deposit(10_000_000);
        }
    }

    function assertGone() private view {
        (bytes32 digest,,,,) = settlement.posted(p.slot, p.revision);
        vm.assertEq(digest, bytes32(0));
    }

    function joined(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(left, right));
    }

    function lifted(bytes32 node, uint256 times) private pure returns (bytes32) {
        for (uint256 i = 0; i < times; ++i) {
            node = joined(node, 0);
        }
        return node;
    }

    /// Siblings, so many zeros, and the other half of the tree.
    function above(bytes32[] memory siblings, uint256 times, bytes32 other)
        private
        pure
        returns (bytes32[] memory all)
    {
        all = new bytes32[](siblings.length + times + 1);
        for (uint256 i = 0; i < siblings.length; ++i) {
            all[i] = siblings[i];
        }
        all[all.length - 1] = other;
    }

    function pairOf(Leaf memory a, Leaf memory b) private pure returns (Leaf[] memory list) {
        list = new Leaf[](2);
        (list[0], list[1]) = (a, b);
    }

    function sealWith(bytes32 statements) private {
        deltas = pack(changes);
        ordersRoot = rootOf(_orderHashes());
        tradesRoot = rootOf(_tradeHashes());
        p = Post(SLOT, 0, ordersRoot, rootOf(_readingHashes()), statements, keccak256(deltas), 0, 0);
        bytes32[] memory first = new bytes32[](1);
        bytes32[] memory second = new bytes32[](1);
        (first[0], second[0]) = (ordersRoot, tradesRoot);
        vm.warp(SLOT - 1);
        commit(SLOT, first, second);
        vm.warp(END);
        publish();
    }

    // Answers

    /// Two halves of unlike depth: the second part of the answer begins with a line that was never shown, at the position
    /// where the first part ended.
    function rob(uint256 liftHonest, uint256 liftHidden, uint256 place) private {
        endow();
        bytes32[] memory hashes = new bytes32[](32);
        Statement memory bad = lines[3];
        (bad.index, bad.wh, bad.money, bad.trade) = (1, 300, -5_000_000, keccak256("a trade nobody knows"));
        (hashes[place], hashes[place + 1]) = (hashOf(bad), hashOf(lines[4]));
        bytes32 honest = lifted(rootOf(_lineHashes()), liftHonest);
        bytes32 hidden = lifted(rootOf(hashes), liftHidden);
        (changes[3], changes[1]) = (changes[3] + changes[1] + 5_000_000, -5_000_000);
        sealWith(joined(hidden, honest));
        vm.prank(member(1));
        demands.demand(p, 1);

        Answer memory a = answerFor(1);
        a.depth = 5 + liftHonest;
        a.position = (1 << (a.depth - 1)) + 2;
        a.statements = new Statement[](2);
        (a.statements[0], a.statements[1]) = (lines[2], lines[3]);
        a.border = above(borderOf(_lineHashes(), 2, 3), liftHonest, hidden);
        (bool done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 1, a)));
        vm.assertTrue(done == (a.depth < 40));
        Answer memory b;
        b.tradesRoot = tradesRoot;
        b.depth = 6 + liftHidden;
        b.position = place;
        b.statements = new Statement[](2);
        (b.statements[0], b.statements[1]) = (bad, lines[4]);
        b.border = above(borderOf(hashes, place, place + 1), liftHidden, honest);
        vm.expectRevert(abi.encodeWithSelector(Demands.IncompleteLines.selector, 1));
        demands.answer(p, 1, b);
    }

    function test_parts_of_an_answer_out_of_two_depths() public {
        rob(0, 0, 19);
    }

    function test_positions_beyond_what_is_kept() public {
        rob(36, 35, 3);
    }

    /// A part that somebody brings just before does not make the whole answer fail.
    function test_a_whole_answer_behind_a_part() public {
        seal();
        vm.prank(member(0));
        demands.demand(p, 0);
        Answer memory whole = answerFor(0);
        Answer memory a = answerFor(0);
        a.statements = new Statement[](2);
        (a.trades, a.committed) = (new Trade[](2), new bytes32[][](2));
        for (uint256 i = 0; i < 2; ++i) {
            (a.statements[i], a.trades[i], a.committed[i]) = (whole.statements[i], whole.trades[i], whole.committed[i]);
        }
        assembly {
            mstore(mload(add(a, 0xe0)), 1)
        }
        a.border = borderOf(_lineHashes(), 0, 1);
        demands.answer(p, 0, a);
        demands.answer(p, 0, whole);
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapse(p, 0);
    }

    // Revisions

    /// The post before has a second last line of the member, which nobody was shown until it was final: the delta of the
    /// revision follows from that one.
    function test_another_line_in_the_revision_before() public {
        endow();
        Statement[3] memory hidden = [lines[2], lines[3], lines[4]];
        hidden[1].money = 4_000_000;
        bytes32[] memory hashes = new bytes32[](4);
        for (uint256 i = 0; i < 3; ++i) {
            hashes[i] = hashOf(hidden[i]);
        }
        sealWith(joined(rootOf(_lineHashes()), rootOf(hashes)));
        Post[] memory earlier = new Post[](1);
        bytes[] memory earlierDeltas = new bytes[](1);
        (earlier[0], earlierDeltas[0]) = (p, deltas);
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);

        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i].revision = 1;
        }
        int32 true_ = changes[1];
        delete changes;
        for (uint256 i = 0; i < 4; ++i) {
            changes.push(0);
        }
        (changes[1], changes[3]) = (true_ - 4_000_000, 4_000_000 - true_);
        deltas = pack(changes);
        (p.revision, p.statements, p.deltas) = (1, rootOf(_lineHashes()), keccak256(deltas));
        publish();
        Leaf[] memory ends = endsOf(1);
        vm.prank(PROVER);
        disputes.challengeMoves(p, ends, deltas, earlier, earlierDeltas);
        assertGone();
    }

    function test_all_revisions_are_shown_and_final() public {
        seal();
        Leaf[] memory ends = endsOf(0);
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, 0));
        disputes.challengeMoves(p, ends, deltas, new Post[](0), new bytes[](0));
        Post[] memory earlier = new Post[](1);
        earlier[0] = p;
        vm.expectRevert(abi.encodeWithSelector(Judge.WrongLines.selector, 1, 0));
        disputes.challengeMoves(p, ends, deltas, earlier, new bytes[](1));
    }

    /// A home through whose meter nothing flowed buys at its dearest and sells at its cheapest.
    function test_a_home_that_buys_and_sells_at_once() public {
        committed = 0;
        delete trades;
        delete settled;
        trades.push(Trade(SLOT, 0, 0, 0, 2, 5000, 300_000, 0, 0));
        trades.push(Trade(SLOT, 0, 1, 2, 0, 5000, 50_000, 0, 0));
        settled.push(5000);
        settled.push(5000);
        (readings[0].whIn, readings[0].whOut) = (0, 0);
        agree();
        book();
        seal();
        Leaf[] memory step = stepOf(0, 0);
        vm.prank(PROVER);
        disputes.challengeDirection(p, step, readings[0]);
        assertGone();
    }

    function test_a_home_that_buys_what_its_meter_drew() public {
        seal();
        Leaf[] memory step = stepOf(0, 1);
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, 0));
        disputes.challengeDirection(p, step, readings[0]);
    }

    // Times

    /// Lines are kept back of a post that ends before the answer is due: its bond stays bound until then.
    function test_a_post_that_ends_before_the_answer_is_due() public {
        seal();
        vm.warp(END + WINDOW + GRACE + 1);
        settlement.expire(p);
        uint64 end = uint64(block.timestamp) + WINDOW;
        p.until = end;
        publish();
        vm.warp(end - 1);
        vm.prank(member(0));
        demands.demand(p, 0);
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotExpired.selector, SLOT, 0));
        settlement.expire(p);
        vm.warp(end - 1 + ANSWER_TIME + 1);
        demands.lapse(p, 0);
        (uint64 reward,) = settlement.bonds(member(0));
        vm.assertEq(reward, 250);
    }

    /// An operator has its own post struck and posts it again in the same block: what was asked of the first does not
    /// stand for the second.
    function test_what_was_asked_of_a_post_that_was_struck() public {
        (address first, address second) = nextTwo();
        settlement = new Settlement(
            community,
            token,
            Terms(LANE_UNIT, SLOT_SECONDS, 0, WINDOW, GRACE, WINDOW, CORRECTIONS, bond(), first, second)
        );
        disputes = new Disputes(settlement);
        demands = new Demands(settlement);
        placeBonds(10);
        Receipt memory receipt = Receipt(keccak256("accepted, but left out"), SLOT, 2);
        bytes32 body = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes[] memory signatures = quorum(digestOf(body, block.chainid, address(settlement)));
        bytes32[] memory hashes = new bytes32[](1);
        Statement memory flaw = Statement(SLOT, 0, 3, 0, 0, 1, 0, 0, 0);
        hashes[0] = hashOf(flaw);
        bytes32[] memory way = new bytes32[](1);
        way[0] = rootOf(_lineHashes());
        sealWith(joined(way[0], rootOf(hashes)));
        demands.demandOrder(p, receipt, signatures);
        vm.prank(operator);
        disputes.challengeEmptyLine(p, Leaf(flaw, 1, way));
        publish();
        vm.warp(END + 1);
        vm.prank(PROVER);
        demands.demandOrder(p, receipt, signatures);
        vm.warp(END + 1 + WINDOW + 1);
        demands.lapseOrder(p, receipt);
        assertGone();
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
    }

    // Accounts

    /// A key that was lost gives a mandate for slots long after it was replaced.
    function test_a_lost_key_no_longer_trades() public {
        lost(SLOT - 3 days);
        vm.prank(PROVER);
        disputes.challengeMandate(p, leafAt(lineOf(0, 3)), trades[3], mandates[0]);
        assertGone();
    }

    /// What was agreed shortly before counts.
    function test_a_key_that_was_replaced_after_the_gate() public {
        lost(SLOT - 1 days);
        Leaf memory leaf = leafAt(lineOf(0, 3));
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, 0));
        disputes.challengeMandate(p, leaf, trades[3], mandates[0]);
    }

    function lost(uint256 replaced) private {
        vm.warp(replaced - 7 days);
        Recovery memory request = Recovery(0, address(0x77), 0);
        bytes32 body = keccak256(abi.encode(RECOVERY_TYPEHASH, request));
        community.startRecovery(request, quorum(digestOf(body, block.chainid, address(community))));
        vm.warp(replaced);
        community.recover(0);
        seal();
    }
}
