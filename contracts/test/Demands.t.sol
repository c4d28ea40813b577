// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Judge} from "../src/Judge.sol";
import {Operators} from "../src/Operators.sol";
import {Proofs} from "../src/Proofs.sol";
import {Basket, RECEIPT_TYPEHASH, Receipt, Statement} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Batch} from "./Batch.sol";

/// What is demanded is answered in full and genuine, or the post falls.
contract DemandsTest is Batch {
    function ask(uint32 member) private {
        vm.prank(vm.addr(memberKey(member)));
        demands.demand(p, member);
    }

    function expectAnswerRevert(uint32 member, Answer memory a, bytes memory reason) private {
        vm.expectRevert(reason);
        demands.answer(p, member, a);
    }

    function assertLapses(uint32 member) private {
        vm.expectRevert(abi.encodeWithSelector(Demands.AnswerPending.selector, END + ANSWER_TIME));
        demands.lapse(p, member);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapse(p, member);
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
        (uint64 reward,) = settlement.bonds(vm.addr(memberKey(member)));
        vm.assertEq(reward, 250);
    }

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
        vm.assertEq(a.trades.length, 0);
        demands.answer(p, 1, a);
    }

    /// The line before the member's own may be the first of all.
    function test_the_second_of_all_lines_is_answered() public {
        for (uint256 i = 0; i < 4; ++i) {
            trades[i].buyer = 1;
        }
        agree();
        book();
        vm.assertEq(lines[1].member, 1);
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        vm.assertEq(a.position, 0);
        demands.answer(p, 1, a);
        ask(0);
        a = answerFor(0);
        vm.assertEq(a.statements.length, 2);
        demands.answer(p, 0, a);
    }

    function test_in_trees_as_deep_as_those_of_many_members() public {
        more = 12;
        seal();
        ask(2);
        demands.answer(p, 2, answerFor(2));
    }

    /// No mandate is needed, and the agent's signature is none.
    function test_an_order_in_words_that_the_member_signed_itself() public {
        orders[1].text = "Buy up to 2 000 Wh";
        orders[1].limit = 1_000_000;
        agree();
        book();
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        Consent memory consent = a.consents[0];
        expectForeign(1, a);
        consent.orderSignature = signed(agentKey(1), hashOf(orders[1]));
        expectAnswerRevert(1, a, foreign(vm.addr(memberKey(1)), vm.addr(agentKey(1))));
        consent.orderSignature = signed(memberKey(1), hashOf(orders[1]));
        consent.mandateSignature = "";
        demands.answer(p, 1, a);
    }

    function test_an_order_among_others_of_its_basket() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        Consent memory consent = a.consents[0];
        consent.first = SLOT - 1 days;
        for (uint32 count = 1; count < 40; ++count) {
            consent.count = count;
            consent.siblings = new bytes32[](depthOf(count));
            for (uint256 i = 0; i < consent.siblings.length; ++i) {
                consent.siblings[i] = keccak256(abi.encode(count, i));
            }
            consent.position = count - 1;
            signBasket(consent, agentKey(1));
            uint256 snapshot = vm.snapshotState();
            demands.answer(p, 1, a);
            vm.assertTrue(vm.revertToState(snapshot));
        }
    }

    function test_an_order_that_is_not_in_the_signed_basket_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        Consent memory consent = a.consents[0];
        consent.count = 3;
        consent.position = 2;
        consent.siblings = new bytes32[](2);
        (consent.siblings[0], consent.siblings[1]) = (keccak256("left"), keccak256("right"));
        signBasket(consent, agentKey(1));
        // Siblings that lead elsewhere, another place, more orders, an earlier beginning: another basket than was signed.
        consent.siblings[1] = keccak256("another");
        expectForeign(1, a);
        consent.siblings[1] = keccak256("right");
        consent.position = 1;
        expectForeign(1, a);
        consent.position = 2;
        consent.count = 4;
        expectForeign(1, a);
        consent.count = 3;
        consent.first = SLOT - 1;
        expectForeign(1, a);
        consent.first = SLOT;
        // An agent's or a member's signature of the order alone.
        consent.orderSignature = signed(agentKey(1), hashOf(orders[1]));
        expectForeign(1, a);
        consent.orderSignature = signed(memberKey(1), hashOf(orders[1]));
        expectForeign(1, a);
        signBasket(consent, agentKey(1));
        demands.answer(p, 1, a);
    }

    /// Whatever the agent signed.
    function test_a_basket_without_such_a_place_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        expectOutside(a, SLOT, 0, 0, 0);
        expectOutside(a, SLOT, 1, 1, 1);
        expectOutside(a, SLOT, 3, 3, 2);
        expectOutside(a, SLOT, 3, 1, 1);
        expectOutside(a, SLOT, 3, 1, 3);
        expectOutside(a, SLOT, 2, 1, 0);
        expectOutside(a, SLOT, 1, 0, 1);
        expectOutside(a, SLOT, 4, 0, 300);
        expectOutside(a, SLOT, type(uint32).max, 0, 31);
        expectOutside(a, SLOT + 1, 1, 0, 0);
    }

    function expectOutside(Answer memory a, uint64 first, uint32 count, uint32 position, uint256 depth) private {
        Consent memory consent = a.consents[0];
        (consent.first, consent.count, consent.position) = (first, count, position);
        consent.siblings = new bytes32[](depth);
        signBasket(consent, agentKey(1));
        bytes memory reason = abi.encodeWithSelector(Demands.OutsideBasket.selector, first, count, position, depth);
        expectAnswerRevert(1, a, reason);
    }

    /// The signature is of something else, so whoever it recovers to is nobody.
    function expectForeign(uint32 member, Answer memory a) private {
        (bool done, bytes memory reason) = address(demands).call(abi.encodeCall(demands.answer, (p, member, a)));
        vm.assertTrue(!done && bytes4(reason) == Demands.ForeignSignature.selector);
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
        ask(1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyDemanded.selector, END + ANSWER_TIME));
        ask(1);
        vm.expectRevert(abi.encodeWithSelector(Demands.NothingDemanded.selector));
        demands.lapse(p, 2);
        Answer memory a = answerFor(1);
        vm.warp(END + ANSWER_TIME + 1);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.AnswerLate.selector, END + ANSWER_TIME));
        vm.warp(END + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Settlement.WindowOver.selector, SLOT, 0, END + WINDOW));
        ask(2);
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
    }

    // Answers that are none

    function test_forged_orders_and_mandates_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        bytes memory honest = a.consents[0].orderSignature;
        bytes32 leaf = keccak256(abi.encodePacked(hashOf(orders[1])));
        bytes32 basket = hashOf(Basket(orders[1].member, SLOT, 1, leaf));
        address agent = vm.addr(agentKey(1));
        a.consents[0].orderSignature = signed(operatorKeys[0], basket);
        expectAnswerRevert(1, a, foreign(agent, operator));
        a.consents[0].orderSignature = signature(agentKey(1), digestOf(basket, block.chainid, address(disputes)));
        address other =
            ECDSA.recover(digestOf(basket, block.chainid, address(settlement)), a.consents[0].orderSignature);
        expectAnswerRevert(1, a, foreign(agent, other));
        a.consents[0].orderSignature = honest;
        a.consents[0].mandateSignature = signed(agentKey(1), hashOf(mandates[1]));
        expectAnswerRevert(1, a, foreign(vm.addr(memberKey(1)), agent));
        a.consents[0].mandate = mandates[0];
        a.consents[0].mandateSignature = signed(memberKey(0), hashOf(mandates[0]));
        expectAnswerRevert(1, a, foreign(vm.addr(memberKey(1)), vm.addr(memberKey(0))));
        assertLapses(1);
    }

    function test_an_agent_s_order_beyond_its_mandate_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        for (uint256 i = 0; i < 4; ++i) {
            a.consents[0].mandate = mandates[1];
            if (i == 0) a.consents[0].mandate.maxBuy = 249_999;
            if (i == 1) a.consents[0].mandate.buyWh = 1999;
            if (i == 2) a.consents[0].mandate.validFrom = SLOT + 1;
            if (i == 3) a.consents[0].mandate.validUntil = SLOT;
            bytes32 mandate = hashOf(a.consents[0].mandate);
            a.consents[0].mandateSignature = signed(memberKey(1), mandate);
            expectAnswerRevert(
                1, a, abi.encodeWithSelector(Demands.OutsideMandate.selector, hashOf(orders[1]), mandate)
            );
        }
    }

    function test_another_member_s_order_cannot_be_answered() public {
        orders[1].member = vm.addr(memberKey(0));
        agree();
        book();
        seal();
        ask(1);
        expectAnswerRevert(
            1, answerFor(1), abi.encodeWithSelector(Demands.NotTheMember.selector, 1, vm.addr(memberKey(0)))
        );
    }

    function test_malleable_signatures_are_no_answer() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(meterKey(1), digestOf(hashOf(readings[1]), block.chainid, address(settlement)));
        bytes32 high = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        a.readingSignature = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        expectAnswerRevert(1, a, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
    }

    function test_forged_readings_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.readingSignature = signed(operatorKeys[0], hashOf(readings[1]));
        expectAnswerRevert(1, a, foreign(vm.addr(meterKey(1)), operator));
    }

    function test_a_trade_by_order_that_was_not_committed_cannot_be_answered() public {
        committed = 2;
        bytes32 order = hashOf(orders[1]);
        agree();
        trades[2].buyOrder = order;
        trades[2].sellOrder = hashOf(orders[3]);
        book();
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.consents[0].order = orders[1];
        (a.consents[0].first, a.consents[0].count) = (SLOT, 1);
        signBasket(a.consents[0], agentKey(1));
        vm.assertEq(a.committed[0].length, 0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Proofs.PositionOutside.selector, 2, 0));
    }

    function test_lines_that_are_left_out_are_no_answer() public {
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        Statement[] memory all = a.statements;
        bytes memory reason = abi.encodeWithSelector(Demands.IncompleteLines.selector, 0);
        // The one behind the last follows no line of its own, or there is none at all.
        a.statements = new Statement[](1);
        a.statements[0] = all[all.length - 1];
        expectAnswerRevert(0, a, reason);
        a.statements = new Statement[](0);
        expectAnswerRevert(0, a, reason);
        a = answerFor(2);
        vm.prank(vm.addr(memberKey(2)));
        demands.demand(p, 2);
        // The member's own line in place of the one before it.
        a.statements[0] = a.statements[1];
        expectAnswerRevert(2, a, abi.encodeWithSelector(Demands.IncompleteLines.selector, 2));
    }

    function test_lines_at_another_place_or_with_other_siblings_are_no_answer() public {
        seal();
        ask(2);
        Answer memory a = answerFor(2);
        a.border[0] = keccak256("another");
        (bool done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 2, a)));
        vm.assertTrue(!done);
        a = answerFor(2);
        a.position -= 1;
        (done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 2, a)));
        vm.assertTrue(!done);
        a = answerFor(2);
        a.depth = 1;
        expectAnswerRevert(2, a, abi.encodeWithSelector(Proofs.PositionOutside.selector, a.position, 1));
    }

    function test_lists_must_be_complete() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.consents = new Consent[](0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 0, 1));
        a = answerFor(1);
        a.committed = new bytes32[][](0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 1, 0));
    }

    function foreign(address expected, address signer) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Demands.ForeignSignature.selector, expected, signer);
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
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 1);
        (bool done,) = address(demands).call(abi.encodeCall(demands.answerOrder, (p, receipt, siblings)));
        vm.assertTrue(!done);
        demands.answerOrder(p, receipt, siblingsOf(_orderHashes(), 2));
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapseOrder(p, receipt);
    }

    function test_an_accepted_order_that_is_missing_deletes_the_post() public {
        seal();
        orders[2].wh = 1;
        (Receipt memory receipt, bytes[] memory signatures) = receiptFor(2, 2);
        demands.demandOrder(p, receipt, signatures);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapseOrder(p, receipt);
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
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
