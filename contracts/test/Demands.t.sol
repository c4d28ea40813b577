// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Demands} from "../src/Demands.sol";
import {Judge} from "../src/Judge.sol";
import {Operators} from "../src/Operators.sol";
import {Proofs} from "../src/Proofs.sol";
import {RECEIPT_TYPEHASH, Receipt} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {AskedBatch} from "./AskedBatch.sol";

/// Who may demand what and when, what answers it, and what happens where nothing does.
contract DemandsTest is AskedBatch {
    function test_every_member_of_an_honest_batch_is_answered() public {
        seal();
        for (uint32 i = 0; i < 4; ++i) {
            ask(i);
            demands.answer(p, i, answerFor(i));
        }
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapse(p, 0);
        // The answer can be objected to for a whole window.
        (,, uint40 heldUntil,,) = settlement.posted(SLOT, 0);
        vm.assertEq(heldUntil, END + ANSWER_TIME + WINDOW);
    }

    function test_a_member_without_trades_is_answered() public {
        trades[2].buyer = 0;
        agree();
        book();
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        vm.assertEq(a.lines.length + a.depth, 0);
        vm.assertEq(a.statement.lines, bytes32(0));
        demands.answer(p, 1, a);
        assertAnswered(1);
    }

    function test_in_trees_as_deep_as_those_of_many_members() public {
        (more, moreMembers) = (12, 12);
        seal();
        ask(2);
        demands.answer(p, 2, answerFor(2));
        assertAnswered(2);
    }

    function test_without_an_answer_the_post_falls_and_the_member_is_paid() public {
        seal();
        ask(3);
        assertLapses(3);
    }

    function test_a_demand_has_its_time_its_member_and_is_made_once() public {
        seal();
        vm.expectRevert(abi.encodeWithSelector(Demands.NotTheMember.selector, 1, address(this)));
        demands.demand(p, 1);
        Answer memory a = answerFor(1);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.NothingDemanded.selector));
        ask(1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyDemanded.selector, END + ANSWER_TIME));
        ask(1);
        vm.expectRevert(abi.encodeWithSelector(Demands.NothingDemanded.selector));
        demands.lapse(p, 2);
        vm.warp(END + ANSWER_TIME + 1);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.AnswerLate.selector, END + ANSWER_TIME));
        vm.warp(END + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Settlement.WindowOver.selector, SLOT, 0, END + WINDOW));
        ask(2);
    }

    function test_the_last_second_is_in_time_and_an_answer_is_given_once() public {
        seal();
        ask(1);
        vm.warp(END + ANSWER_TIME);
        Answer memory a = answerFor(1);
        demands.answer(p, 1, a);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
    }

    function test_a_post_that_returns_can_be_asked_again() public {
        seal();
        ask(1);
        assertLapses(1);
        vm.expectRevert(abi.encodeWithSelector(Judge.NotPending.selector, SLOT, 0, bytes32(0), digestOf(p)));
        demands.lapse(p, 1);
        publish();
        ask(1);
        demands.answer(p, 1, answerFor(1));
        assertAnswered(1);
    }

    function test_who_watches_for_a_member_asks_in_its_stead() public {
        seal();
        address watcher = address(0x4A7C);
        bytes memory reason = abi.encodeWithSelector(Demands.NotTheMember.selector, 0, watcher);
        vm.expectRevert(reason);
        vm.prank(watcher);
        demands.demand(p, 0);
        vm.prank(vm.addr(memberKey(0)));
        community.grantAccess(watcher, keccak256("readings"), type(uint40).max);
        vm.expectRevert(reason);
        vm.prank(watcher);
        demands.demand(p, 0);
        vm.prank(vm.addr(memberKey(0)));
        community.grantAccess(watcher, keccak256("watch"), type(uint40).max);
        vm.prank(watcher);
        demands.demand(p, 0);
        vm.expectRevert(abi.encodeWithSelector(Demands.NotTheMember.selector, 1, watcher));
        vm.prank(watcher);
        demands.demand(p, 1);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapse(p, 0);
        (uint64 reward,) = settlement.bonds(watcher);
        vm.assertEq(reward, 250);
    }

    /// A revision is answered with its own statement, whatever the one before said.
    function test_a_revision_is_answered_by_itself() public {
        seal();
        Answer memory before = answerFor(0);
        finalise();
        settled[3] = 100;
        book();
        state();
        vm.assertEq(p.revision, 1);
        (bytes32 digest, uint40 postedAt,,,) = settlement.posted(SLOT, 1);
        ask(0);
        (address by, uint40 until,,,,) = demands.demands(demands.keyOf(digest, postedAt, 0));
        vm.assertEq(by, vm.addr(memberKey(0)));
        vm.assertEq(until, END + WINDOW + ANSWER_TIME);
        expectRefused(0, before, Proofs.NotInTree.selector);
        demands.answer(p, 0, answerFor(0));
        assertAnswered(0);
    }

    // Who has no statement

    /// Wherever the place of its number is: among those of the tree, its last one, or behind.
    function test_who_came_after_the_slot_is_answered_without_a_statement() public {
        seal();
        addMembers(9);
        for (uint32 m = 4; m < 13; ++m) {
            vm.prank(account(m));
            demands.demand(p, m);
            demands.answer(p, m, absent(m));
            assertAnswered(m);
        }
    }

    function test_who_was_there_is_not_answered_without_a_statement() public {
        vm.warp(SLOT - 100);
        addMembers(6);
        seal();
        for (uint32 m = 4; m < 10; ++m) {
            vm.prank(account(m));
            demands.demand(p, m);
            expectIncomplete(m, absent(m));
        }
        ask(3);
        expectIncomplete(3, absent(3));
    }

    function test_who_came_after_the_slot_and_has_a_statement_is_shown_it() public {
        seal();
        addMembers(2);
        statements.push(statements[3]);
        restate();
        vm.prank(account(4));
        demands.demand(p, 4);
        expectRefused(4, absent(4), Proofs.NotInTree.selector);
        // Nor does another empty place answer, or a tree of another depth.
        Answer memory a = absent(5);
        expectRefused(4, a, Proofs.NotInTree.selector);
        a.siblings = new bytes32[](2);
        expectRefused(4, a, Proofs.NotInTree.selector);
        a.siblings = new bytes32[](0);
        expectRefused(4, a, Proofs.NotInTree.selector);
        vm.prank(account(5));
        demands.demand(p, 5);
        demands.answer(p, 5, absent(5));
        assertAnswered(5);
    }

    /// Nothing is answered but the member's empty place.
    function absent(uint32 member) private view returns (Answer memory a) {
        a.siblings = statementSiblings(member);
    }

    // Orders

    function receiptFor(uint256 order, uint32 position) private view returns (Receipt memory, bytes[] memory) {
        Receipt memory receipt = Receipt(hashOf(orders[order]), SLOT, position);
        return (receipt, quorum(receiptDigest(receipt)));
    }

    function receiptDigest(Receipt memory receipt) private view returns (bytes32) {
        return digestOf(keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)), block.chainid, address(settlement));
    }

    function test_an_accepted_order_is_shown() public {
        seal();
        (Receipt memory receipt, bytes[] memory signatures) = receiptFor(2, 2);
        demands.demandOrder(p, receipt, signatures);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyDemanded.selector, END + ANSWER_TIME));
        demands.demandOrder(p, receipt, signatures);
        bytes32[] memory siblings = orderSiblings(1);
        bytes32 found = rootFrom(receipt.order, 2, siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, ordersRoot, found, 2));
        demands.answerOrder(p, receipt, siblings);
        demands.answerOrder(p, receipt, orderSiblings(2));
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapseOrder(p, receipt);
    }

    function test_an_accepted_order_that_is_missing_deletes_the_post() public {
        seal();
        orders[2].wh = 1;
        (Receipt memory receipt, bytes[] memory signatures) = receiptFor(2, 2);
        demands.demandOrder(p, receipt, signatures);
        vm.warp(END + ANSWER_TIME);
        vm.expectRevert(abi.encodeWithSelector(Demands.AnswerPending.selector, END + ANSWER_TIME));
        demands.lapseOrder(p, receipt);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapseOrder(p, receipt);
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(address(this));
        vm.assertEq(reward, 250);
    }

    function test_a_receipt_counts_for_its_slot_and_with_a_quorum() public {
        seal();
        (Receipt memory receipt, bytes[] memory signatures) = receiptFor(2, 2);
        receipt.slot = SLOT + SLOT_SECONDS;
        vm.expectRevert(abi.encodeWithSelector(Demands.ForeignReceipt.selector, SLOT, receipt.slot));
        demands.demandOrder(p, receipt, signatures);
        receipt.slot = SLOT;
        bytes[] memory single = new bytes[](1);
        single[0] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
        demands.demandOrder(p, receipt, single);
    }
}
