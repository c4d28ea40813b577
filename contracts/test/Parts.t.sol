// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Judge} from "../src/Judge.sol";
import {Line, Trade} from "../src/Records.sol";
import {AskedBatch} from "./AskedBatch.sol";

/// Answers in parts: whoever brings them, nothing is passed over, and an honest one is always completed.
contract PartsTest is AskedBatch {
    function test_an_answer_comes_in_parts_in_order() public {
        seal();
        ask(0);
        // Not in the middle, and not the end alone.
        expectIncomplete(0, partFor(0, 1, 2, false));
        expectIncomplete(0, partFor(0, 2, 3, true));
        expectIncomplete(0, partFor(0, 3, 3, true));
        demands.answer(p, 0, partFor(0, 0, 1, false));
        assertShown(1);
        // The same again takes nothing back, and nothing is left out.
        demands.answer(p, 0, partFor(0, 0, 1, false));
        assertShown(1);
        expectIncomplete(0, partFor(0, 2, 3, true));
        demands.answer(p, 0, partFor(0, 1, 2, false));
        assertShown(2);
        demands.answer(p, 0, partFor(0, 0, 1, false));
        assertShown(2);
        demands.answer(p, 0, partFor(0, 2, 3, true));
        assertAnswered(0);
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapse(p, 0);
    }

    function test_the_place_behind_the_lines_may_come_alone_and_parts_may_overlap() public {
        seal();
        ask(0);
        demands.answer(p, 0, partFor(0, 0, 2, false));
        demands.answer(p, 0, partFor(0, 1, 3, false));
        assertShown(3);
        demands.answer(p, 0, partFor(0, 3, 3, true));
        assertAnswered(0);
    }

    function test_a_part_without_lines_that_is_not_the_last_is_refused() public {
        seal();
        ask(0);
        demands.answer(p, 0, partFor(0, 0, 1, false));
        Answer memory a = partFor(0, 1, 2, false);
        (a.lines, a.trades, a.committed) = (new Line[](0), new Trade[](0), new bytes32[][](0));
        a.consents = new Consent[](0);
        expectIncomplete(0, a);
    }

    function test_a_part_is_no_answer_when_the_time_is_over() public {
        seal();
        ask(0);
        demands.answer(p, 0, partFor(0, 0, 2, false));
        vm.warp(END + ANSWER_TIME + 1);
        Answer memory last = partFor(0, 2, 3, true);
        expectAnswerRevert(0, last, abi.encodeWithSelector(Demands.AnswerLate.selector, END + ANSWER_TIME));
        demands.lapse(p, 0);
        vm.assertTrue(!standing());
    }

    /// Each part tells what it says by itself: consents of the runs in it, and the reading where it begins at the first line.
    function test_what_each_part_rests_on() public {
        seal();
        ask(0);
        Answer memory a = partFor(0, 0, 2, false);
        a.readingSignature = "";
        expectRefused(0, a, ECDSA.ECDSAInvalidSignatureLength.selector);
        demands.answer(p, 0, partFor(0, 0, 2, false));
        a = partFor(0, 1, 3, true);
        a.readingSignature = "";
        Consent[] memory both = a.consents;
        a.consents = new Consent[](0);
        expectAnswerRevert(0, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 0, 1));
        a.consents = both;
        a.tradesRoot = keccak256("another");
        expectRefused(0, a, Judge.OtherRecord.selector);
        a.tradesRoot = tradesRoot;
        demands.answer(p, 0, a);
        assertAnswered(0);
    }

    function test_a_later_part_is_of_the_same_depth() public {
        seal();
        ask(0);
        demands.answer(p, 0, partFor(0, 0, 1, false));
        Answer memory a = partFor(0, 1, 2, false);
        for (uint256 depth = 0; depth < 50; ++depth) {
            if (depth == 2) continue;
            a.depth = depth;
            expectIncomplete(0, a);
        }
        a = partFor(0, 1, 3, true);
        a.depth = 3;
        expectIncomplete(0, a);
        a.depth = type(uint256).max;
        expectIncomplete(0, a);
    }

    /// Operators who keep two statements for a member, one in a tree that is the other's neighbour, show all lines of one.
    function test_a_later_part_is_of_the_same_statement() public {
        for (uint256 i = 0; i < 4; ++i) {
            trades[i].buyer = 1;
        }
        agree();
        book();
        seal();
        Answer[3] memory one = [partFor(1, 0, 2, false), partFor(1, 2, 4, true), partFor(1, 0, 3, false)];
        bytes32[] memory aside = new bytes32[](1);
        aside[0] = p.statements;
        statements[1].salt = keccak256("another");
        Answer[3] memory other = [partFor(1, 0, 2, false), partFor(1, 2, 4, true), partFor(1, 0, 3, false)];
        bytes32 second = keccak256(abi.encodePacked(hashOf(statements[1])));
        bytes32[] memory below = new bytes32[](one[0].siblings.length + 1);
        for (uint256 i = 0; i + 1 < below.length; ++i) {
            below[i] = one[0].siblings[i];
        }
        below[below.length - 1] = second;
        for (uint256 i = 0; i < 3; ++i) {
            (one[i].siblings, other[i].siblings) = (below, aside);
        }
        vm.prank(address(disputes));
        settlement.strike(p, address(this));
        placeBonds(1);
        p.statements = keccak256(abi.encodePacked(p.statements, second));
        publish();
        ask(1);
        demands.answer(p, 1, one[0]);
        expectIncomplete(1, other[1]);
        // Who begins with the other shows all of it; what comes as far takes nothing back.
        demands.answer(p, 1, other[0]);
        expectIncomplete(1, other[1]);
        demands.answer(p, 1, other[2]);
        expectIncomplete(1, one[1]);
        demands.answer(p, 1, other[1]);
        assertAnswered(1);
    }

    // Honest answers

    /// Whoever brings which parts, in which order and how often: what the chain has is never further than it was shown, and
    /// the rest always completes it.
    function test_an_honest_answer_in_arbitrary_parts_completes(uint256 count, uint256 ordered, uint256 dice) public {
        count %= 14;
        trade(count, ordered, dice);
        seal();
        ask(0);
        vm.assertEq(lines[0].length, count);
        uint256 shown = 0;
        for (uint256 i = 0; i < 12 && count > 0; ++i) {
            dice = uint256(keccak256(abi.encode(dice)));
            uint256 from = dice % (shown + 1);
            uint256 to = from + (dice >> 64) % (count + 1 - from);
            bool last = to == count && (dice >> 128) % 4 == 0;
            // Nothing is shown; or what would be is behind the end of the tree.
            if (from == to && (!last || from == 1 << depthOf(count))) continue;
            demands.answer(p, 0, partFor(0, from, to, last));
            if (last) return assertAnswered(0);
            if (to > shown) shown = to;
            assertShown(shown);
        }
        uint256 rest = shown == count && count != 0 ? count - 1 : shown;
        demands.answer(p, 0, partFor(0, rest, count, true));
        assertAnswered(0);
    }

    /// And not a line less: the end alone is none unless what is before it was shown.
    function test_no_line_is_passed_over(uint256 count, uint256 ordered, uint256 dice) public {
        count = 2 + count % 12;
        trade(count, ordered, dice);
        seal();
        ask(0);
        uint256 shown = dice % (count - 1);
        if (shown != 0) demands.answer(p, 0, partFor(0, 0, shown, false));
        for (uint256 from = shown + 1; from < count; ++from) {
            expectIncomplete(0, partFor(0, from, count, true));
            expectIncomplete(0, partFor(0, from, count, false));
        }
        for (uint256 to = shown + 1; to < count; ++to) {
            Answer memory a = partFor(0, shown, to, true);
            (bool done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 0, a)));
            vm.assertTrue(!done);
        }
        assertLapses(0);
    }

    /// So many trades of member 0, of which it sells some, and some are committed.
    function trade(uint256 count, uint256 ordered, uint256 dice) private {
        delete trades;
        delete settled;
        for (uint32 i = 0; i < count; ++i) {
            (uint32 buyer, uint32 seller) = dice >> i & 1 == 0 ? (uint32(0), 2 + i % 2) : (1 + i % 3, uint32(0));
            trades.push(Trade(SLOT, 0, i, buyer, seller, 10 + i, 200_000, 0, 0));
            settled.push(10 + i);
        }
        committed = ordered % (count + 1);
        agree();
        book();
    }

    function assertShown(uint256 wanted) private view {
        (bool answered, uint256 next) = progressOf(0);
        vm.assertTrue(!answered);
        vm.assertEq(next, wanted);
    }
}
