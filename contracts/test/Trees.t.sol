// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Demands} from "../src/Demands.sol";
import {Disputes} from "../src/Disputes.sol";
import {Judge} from "../src/Judge.sol";
import {Leaf, Lines, Stated} from "../src/Lines.sol";
import {Members} from "../src/Members.sol";
import {Proofs} from "../src/Proofs.sol";
import {Line} from "../src/Records.sol";
import {AnswersBatch} from "./AnswersBatch.sol";

/// What stands at which place of a tree, or does not: totals, holes, members without a statement, and trees of a quorum
/// that no honest one builds.
contract TreesTest is AnswersBatch {
    function assertGone(bool gone) private view {
        vm.assertTrue(standing() != gone);
    }

    function joined(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(left, right));
    }

    // Totals

    function tryTotal(uint32 member, bool fault) private {
        if (!fault) expectNoFault(member);
        disputes.challengeTotal(p, statedOf(member), lastOf(member), behindOf(member));
        assertGone(fault);
    }

    /// Of one line, of two (a tree that ends with it), and of three.
    function test_a_statement_says_what_its_last_line_sums_up_to(uint32 bought, uint32 sold, uint32 money) public {
        seal();
        for (uint32 member = 0; member < 3; ++member) {
            tryTotal(member, false);
            statements[member].bought += bought;
            statements[member].sold += sold;
            statements[member].money += int64(uint64(money));
            restate();
            tryTotal(member, bought != 0 || sold != 0 || money != 0);
            total(member);
            restate();
        }
    }

    function test_a_statement_without_a_line_says_nothing() public {
        lines[1].pop();
        total(1);
        seal();
        tryTotal(1, false);
        for (uint256 i = 0; i < 3; ++i) {
            if (i == 0) statements[1].bought = 1;
            if (i == 1) (statements[1].bought, statements[1].sold) = (0, 1);
            if (i == 2) (statements[1].sold, statements[1].money) = (0, 1);
            restate();
            tryTotal(1, true);
        }
    }

    function test_only_the_last_line_sums_up() public {
        seal();
        (Leaf[] memory early, bytes32[] memory none) = (leaves(0, 1, 1), new bytes32[](0));
        bytes32[] memory behind = holeAt(0, 2);
        bytes32 given = rootFrom(0, 2, behind);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, statements[0].lines, given, 2));
        disputes.challengeTotal(p, statedOf(0), early, behind);
        vm.expectRevert(abi.encodeWithSelector(Lines.NotAdjacent.selector, 1, 2));
        disputes.challengeTotal(p, statedOf(0), early, none);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 2, 1));
        disputes.challengeTotal(p, statedOf(0), leaves(0, 1, 2), behind);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, statements[0].lines, bytes32(0), 0));
        disputes.challengeTotal(p, statedOf(0), new Leaf[](0), none);
        // Behind the end there is no place.
        bytes32[] memory beyond = new bytes32[](1);
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, 2, 1));
        disputes.challengeTotal(p, statedOf(2), lastOf(2), beyond);
    }

    // Holes

    function test_a_line_behind_an_empty_place() public {
        lines[0][1].order = 0;
        total(0);
        seal();
        vm.prank(PROVER);
        disputes.challengeHole(p, statedOf(0), holeAt(0, 1), leafAt(0, 2));
        assertStruck();
    }

    function test_lines_without_a_hole() public {
        seal();
        for (uint256 place = 1; place < 3; ++place) {
            bytes32[] memory hole = holeAt(0, place - 1);
            bytes32 given = rootFrom(0, place - 1, hole);
            vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, statements[0].lines, given, place - 1));
            disputes.challengeHole(p, statedOf(0), hole, leafAt(0, place));
        }
        // Behind the empty place stands nothing.
        Leaf memory beyond = leafAt(0, 2);
        (beyond.position, beyond.siblings) = (4, holeAt(0, 3));
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, 4, 2));
        disputes.challengeHole(p, statedOf(0), holeAt(0, 3), beyond);
        expectNoFault(0);
        disputes.challengeHole(p, statedOf(0), holeAt(0, 3), leafAt(0, 0));
        vm.expectRevert(abi.encodeWithSelector(Lines.NotAdjacent.selector, 0, 1));
        disputes.challengeHole(p, statedOf(0), new bytes32[](1), leafAt(0, 1));
    }

    // Members without a statement

    function tryUnstated(uint32 member, bool fault) private {
        if (!fault) expectNoFault(member);
        disputes.challengeUnstated(p, member, statementSiblings(member), deltas);
        assertGone(fault);
    }

    function test_a_member_passed_over() public {
        statements[1].salt = 0;
        seal();
        tryUnstated(1, true);
    }

    /// Five members: the last has the place that is always empty, of nine the last is beyond the tree.
    function test_the_last_member_passed_over() public {
        for (uint32 last = 4; last < 9; last += 4) {
            vm.warp(SLOT - 10);
            addMembers(last + 1 - community.memberCount());
            vm.warp(END);
            if (last == 4) seal();
            else restate();
            tryUnstated(last, true);
        }
    }

    function test_who_joined_in_mid_slot_may_have_no_statement() public {
        vm.warp(SLOT);
        addMembers(5);
        seal();
        tryUnstated(4, false);
        tryUnstated(8, false);
        // But then nothing moves for it.
        changes.push(0);
        changes.push(-1);
        changes[0] += 1;
        restate();
        tryUnstated(4, false);
        tryUnstated(5, true);
    }

    function test_who_has_a_statement_is_not_passed_over() public {
        seal();
        for (uint32 member = 0; member < 4; ++member) {
            bytes32[] memory siblings = statementSiblings(member);
            bytes32 given = rootFrom(0, member, siblings);
            vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, given, member));
            disputes.challengeUnstated(p, member, siblings, deltas);
        }
        bytes32[] memory last = statementSiblings(7);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMember.selector, 7));
        disputes.challengeUnstated(p, 7, last, deltas);
    }

    // Nodes, leaves and places

    function test_a_node_is_no_leaf_and_a_leaf_has_one_place() public {
        seal();
        Leaf memory leaf = leafAt(0, 1);
        Leaf[3] memory wrong = [leafAt(0, 1), leafAt(0, 1), leafAt(0, 1)];
        wrong[0].position = 0;
        (wrong[1].position, wrong[1].siblings) = (0, new bytes32[](1));
        wrong[1].siblings[0] = leaf.siblings[1];
        wrong[2].siblings[0] = joined(leaf.siblings[0], leaf.siblings[1]);
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 place, bytes32 root) = (wrong[i].position, statements[0].lines);
            bytes32 given = rootFrom(hashOf(leaf.line), place, wrong[i].siblings);
            vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, root, given, place));
            disputes.challengeTrade(p, statedOf(0), wrong[i], trades[1]);
        }
        leaf.position = 4;
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, 4, 2));
        disputes.challengeTrade(p, statedOf(0), leaf, trades[1]);
    }

    function test_a_statement_of_another_member_or_post() public {
        statements[1].money = 1;
        statements[1].reading = 0;
        seal();
        Stated memory s = statedOf(1);
        s.member = 2;
        bytes32 given = rootFrom(hashOf(s.statement), 2, s.siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, given, 2));
        disputes.challengeUnread(p, s);
        s.member = 8;
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, 8, 3));
        disputes.challengeUnread(p, s);
        // The very statement of the post that stood before.
        s = statedOf(1);
        (statements[1].money, statements[1].reading) = (0, hashOf(readings[1]));
        total(1);
        restate();
        given = rootFrom(hashOf(s.statement), 1, s.siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, given, 1));
        disputes.challengeUnread(p, s);
    }

    /// Lines of unlike depth: the second part of the answer begins with a line that stands at the position where the first
    /// part ended, but not behind its lines, and hides the one that does.
    function test_parts_of_an_answer_out_of_two_depths() public {
        Line memory hidden = Line(9000, 0, -5_000_000, keccak256("a trade nobody knows"), hashOf(mandates[0]));
        bytes32[] memory deep = new bytes32[](4);
        bytes32[] memory flat = new bytes32[](2);
        (deep[0], deep[1], deep[2]) = (hashOf(lines[0][0]), hashOf(lines[0][1]), hashOf(hidden));
        flat[0] = hashOf(lines[0][2]);
        statements[0].lines = joined(joined(rootOf(deep), rootOf(flat)), "other");
        seal();
        vm.prank(vm.addr(memberKey(0)));
        demands.demand(p, 0);
        Answer memory a = partFor(0, 0, 2, false);
        (a.depth, a.border) = (4, new bytes32[](3));
        (a.border[0], a.border[1], a.border[2]) = (siblingsOf(deep, 0)[1], rootOf(flat), "other");
        demands.answer(p, 0, a);
        a = partFor(0, 2, 3, true);
        (a.depth, a.border) = (3, new bytes32[](2));
        (a.border[0], a.border[1]) = (rootOf(deep), "other");
        Leaf memory leaf = Leaf(lines[0][2], 2, new bytes32[](3));
        (leaf.siblings[1], leaf.siblings[2]) = (a.border[0], a.border[1]);
        expectNoFault(0);
        disputes.challengeTrade(p, statedOf(0), leaf, trades[3]);
        vm.expectRevert(abi.encodeWithSelector(Demands.Incomplete.selector, 0));
        demands.answer(p, 0, a);
    }

    /// Positions of deeper trees are more than what is kept of an answer in parts.
    function test_a_part_of_an_answer_out_of_a_tree_too_deep() public {
        for (uint256 depth = 39; depth < 41; ++depth) {
            statements[0].lines = lifted(rootOf(lineHashes(0)), depth - 2);
            if (depth == 39) seal();
            else restate();
            vm.prank(vm.addr(memberKey(0)));
            demands.demand(p, 0);
            Answer memory a = partFor(0, 0, 3, false);
            (a.depth, a.border) = (depth, new bytes32[](depth - 1));
            if (depth == 40) vm.expectRevert(abi.encodeWithSelector(Demands.Incomplete.selector, 0));
            demands.answer(p, 0, a);
        }
    }

    function lifted(bytes32 node, uint256 levels) private pure returns (bytes32) {
        for (uint256 i = 0; i < levels; ++i) {
            node = joined(node, 0);
        }
        return node;
    }

    // Deltas of all revisions

    function tryDelta(uint32 member, bool fault) private {
        if (!fault) expectNoFault(member);
        disputes.challengeDelta(p, statedOf(member), deltas, finals, finalDeltas);
        assertGone(fault);
    }

    function test_a_first_post_moves_what_its_statements_say() public {
        seal();
        for (uint32 member = 0; member < 4; ++member) {
            tryDelta(member, false);
            (changes[member], changes[(member + 1) % 4]) = (changes[member] + 1, changes[(member + 1) % 4] - 1);
            restate();
            tryDelta(member, true);
            (changes[member], changes[(member + 1) % 4]) = (changes[member] - 1, changes[(member + 1) % 4] + 1);
            restate();
        }
    }

    /// What is final is corrected twice; the deltas of all three together are the last statement.
    function test_revisions_move_the_differences() public {
        seal();
        finalise();
        for (uint32 revision = 1; revision < 3; ++revision) {
            settled[3] = 250 - 100 * revision;
            book();
            state();
            for (uint32 member = 0; member < 4; ++member) {
                tryDelta(member, false);
            }
            vm.assertTrue(changes[0] != 0 && changes[1] == 0);
            if (revision == 1) finalise();
        }
        (changes[1], changes[2]) = (changes[1] + 1, changes[2] - 1);
        restate();
        tryDelta(1, true);
        restate();
        tryDelta(2, true);
    }

    function test_all_revisions_are_shown_and_final() public {
        seal();
        finals.push(p);
        finalDeltas.push(deltas);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 1, 0));
        disputes.challengeDelta(p, statedOf(0), deltas, finals, finalDeltas);
        finals.pop();
        finalDeltas.pop();
        finalise();
        book();
        state();
        Stated memory s = statedOf(0);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 0, 1));
        disputes.challengeDelta(p, s, deltas, finals, new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, finals[0].deltas, keccak256(deltas)));
        disputes.challengeDelta(p, s, deltas, finals, same(deltas));
        bytes[] memory first = same(finalDeltas[0]);
        // Other posts than those before.
        finals[0].slot += SLOT_SECONDS;
        vm.expectRevert(abi.encodeWithSelector(Disputes.ForeignPost.selector, SLOT + SLOT_SECONDS, 0));
        disputes.challengeDelta(p, s, deltas, finals, first);
        finals[0] = p;
        vm.expectRevert(abi.encodeWithSelector(Disputes.ForeignPost.selector, SLOT, 1));
        disputes.challengeDelta(p, s, deltas, finals, first);
        finals[0].revision = 0;
        (bytes32 posted,,,,) = settlement.posted(SLOT, 0);
        vm.expectRevert(abi.encodeWithSelector(Judge.NotPending.selector, SLOT, 0, posted, digestOf(finals[0])));
        disputes.challengeDelta(p, s, deltas, finals, first);
    }

    function same(bytes memory value) private pure returns (bytes[] memory list) {
        list = new bytes[](1);
        list[0] = value;
    }
}
