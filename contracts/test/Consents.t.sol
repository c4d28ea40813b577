// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Judge} from "../src/Judge.sol";
import {Proofs} from "../src/Proofs.sol";
import {Basket} from "../src/Records.sol";
import {AskedBatch} from "./AskedBatch.sol";

/// What an answer rests on is genuine: orders, baskets, mandates and readings are signed by whom they must be, and what an
/// order agreed was committed.
contract ConsentsTest is AskedBatch {
    // Orders and baskets

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
        expectForeign(a);
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
        expectForeign(a);
        consent.siblings[1] = keccak256("right");
        consent.position = 1;
        expectForeign(a);
        consent.position = 2;
        consent.count = 4;
        expectForeign(a);
        consent.count = 3;
        consent.first = SLOT - 1;
        expectForeign(a);
        consent.first = SLOT;
        // An agent's or a member's signature of the order alone.
        consent.orderSignature = signed(agentKey(1), hashOf(orders[1]));
        expectForeign(a);
        consent.orderSignature = signed(memberKey(1), hashOf(orders[1]));
        expectForeign(a);
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
    function expectForeign(Answer memory a) private {
        expectRefused(1, a, Demands.ForeignSignature.selector);
    }

    function foreign(address expected, address signer) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Demands.ForeignSignature.selector, expected, signer);
    }

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
        for (uint256 i = 0; i < 5; ++i) {
            a.consents[0].mandate = mandates[1];
            if (i == 0) a.consents[0].mandate.maxBuy = 249_999;
            if (i == 1) a.consents[0].mandate.buyWh = 1999;
            if (i == 2) a.consents[0].mandate.validFrom = SLOT + 1;
            if (i == 3) a.consents[0].mandate.validUntil = SLOT;
            if (i == 4) a.consents[0].mandate.member = vm.addr(memberKey(0));
            bytes32 mandate = hashOf(a.consents[0].mandate);
            a.consents[0].mandateSignature = signed(memberKey(1), mandate);
            expectAnswerRevert(
                1, a, abi.encodeWithSelector(Demands.OutsideMandate.selector, hashOf(orders[1]), mandate)
            );
        }
    }

    function test_an_agent_s_sale_beyond_its_mandate_cannot_be_answered() public {
        seal();
        ask(3);
        Answer memory a = answerFor(3);
        for (uint256 i = 0; i < 2; ++i) {
            a.consents[0].mandate = mandates[3];
            if (i == 0) a.consents[0].mandate.minSell = 100_001;
            if (i == 1) a.consents[0].mandate.sellWh = 1999;
            bytes32 mandate = hashOf(a.consents[0].mandate);
            a.consents[0].mandateSignature = signed(memberKey(3), mandate);
            expectAnswerRevert(
                3, a, abi.encodeWithSelector(Demands.OutsideMandate.selector, hashOf(orders[3]), mandate)
            );
        }
    }

    function test_another_member_s_order_cannot_be_answered() public {
        orders[1].member = vm.addr(memberKey(0));
        agree();
        book();
        seal();
        ask(1);
        address other = vm.addr(memberKey(0));
        expectAnswerRevert(1, answerFor(1), abi.encodeWithSelector(Demands.NotTheMember.selector, 1, other));
    }

    function test_another_order_or_mandate_than_the_line_names_is_none() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.consents[0].order.limit += 1;
        signBasket(a.consents[0], agentKey(1));
        bytes32 given = hashOf(a.consents[0].order);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(orders[1]), given));
        // The mandate alone, under which the line does not stand.
        a.consents[0].orderSignature = "";
        given = hashOf(mandates[1]);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(orders[1]), given));
    }

    // The commitment

    function test_a_trade_by_order_that_was_not_committed_cannot_be_answered() public {
        committed = 2;
        agree();
        trades[2].buyOrder = hashOf(orders[1]);
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
        a.committed[0] = tradeSiblings(0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Proofs.PositionOutside.selector, 2, 1));
        a.committed[0] = new bytes32[](2);
        expectRefused(1, a, Proofs.NotInTree.selector);
    }

    function test_another_root_than_was_committed_is_none() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.tradesRoot = keccak256(abi.encodePacked(hashOf(trades[2])));
        expectRefused(1, a, Judge.OtherRecord.selector);
    }

    // Readings

    function test_forged_readings_cannot_be_answered() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.readingSignature = signed(operatorKeys[0], hashOf(readings[1]));
        expectAnswerRevert(1, a, foreign(vm.addr(meterKey(1)), operator));
        a.reading.whIn += 1;
        a.readingSignature = signed(meterKey(1), hashOf(a.reading));
        bytes32 given = hashOf(a.reading);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(readings[1]), given));
        assertLapses(1);
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

    function test_a_member_of_whom_no_meter_told_is_answered_without_a_reading() public {
        for (uint256 i = 0; i < 4; ++i) {
            settled[i] = 0;
        }
        delete readings[0];
        book();
        vm.assertEq(statements[0].reading, bytes32(0));
        vm.assertEq(lines[0].length, 3);
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        vm.assertEq(a.readingSignature.length, 0);
        demands.answer(p, 0, a);
        assertAnswered(0);
        expectNoFault(0);
        disputes.challengeUnread(p, statedOf(0));
    }
}
