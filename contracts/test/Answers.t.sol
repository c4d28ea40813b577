// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Judge} from "../src/Judge.sol";
import {Proofs} from "../src/Proofs.sol";
import {Line, Trade} from "../src/Records.sol";
import {AskedBatch} from "./AskedBatch.sol";

/// Which lines are an answer: all of the statement, in order, and nothing else.
contract AnswersTest is AskedBatch {
    function test_lines_that_are_left_out_are_no_answer() public {
        seal();
        ask(0);
        vm.assertEq(lines[0].length, 3);
        // The last, the last two, or all; the first, or the first two.
        expectRefused(0, partFor(0, 0, 2, true), Demands.Incomplete.selector);
        expectRefused(0, partFor(0, 0, 1, true), Demands.Incomplete.selector);
        expectRefused(0, partFor(0, 0, 0, true), Demands.Incomplete.selector);
        expectIncomplete(0, partFor(0, 1, 3, true));
        expectIncomplete(0, partFor(0, 2, 3, true));
        // In a tree that would be as deep as these need.
        Answer memory a = partFor(0, 0, 2, true);
        a.depth = 1;
        expectRefused(0, a, Proofs.NotInTree.selector);
        a = partFor(0, 0, 1, true);
        a.depth = 0;
        expectRefused(0, a, Proofs.NotInTree.selector);
        a = partFor(0, 0, 0, true);
        a.depth = 0;
        expectRefused(0, a, Proofs.NotInTree.selector);
        // One in the middle.
        a = partFor(0, 0, 2, true);
        (a.lines[1], a.trades[1]) = (lines[0][2], partFor(0, 0, 3, true).trades[2]);
        a.depth = 1;
        expectRefused(0, a, Proofs.NotInTree.selector);
        demands.answer(p, 0, answerFor(0));
        assertAnswered(0);
    }

    /// The last line is left out of lines that fill their tree: the root of what is shown is another.
    function test_the_last_of_four_lines_cannot_be_taken_for_empty() public {
        trades[2].buyer = 0;
        agree();
        book();
        seal();
        ask(0);
        vm.assertEq(lines[0].length, 4);
        expectRefused(0, partFor(0, 0, 3, true), Proofs.NotInTree.selector);
        demands.answer(p, 0, partFor(0, 0, 3, false));
        // Nothing is left behind the fourth place.
        Answer memory a = partFor(0, 3, 3, true);
        a.position = 4;
        expectIncomplete(0, a);
        demands.answer(p, 0, partFor(0, 3, 4, true));
        assertAnswered(0);
    }

    function test_lines_at_another_place_or_with_other_siblings_are_no_answer() public {
        seal();
        ask(0);
        demands.answer(p, 0, partFor(0, 0, 2, false));
        Answer memory a = partFor(0, 2, 3, true);
        a.border[0] = keccak256("another");
        expectRefused(0, a, Proofs.NotInTree.selector);
        a = partFor(0, 2, 3, true);
        a.position = 1;
        expectRefused(0, a, Demands.Incomplete.selector);
        a.last = false;
        expectRefused(0, a, Proofs.WrongBorder.selector);
        a = partFor(0, 2, 3, true);
        a.border = new bytes32[](2);
        expectAnswerRevert(0, a, abi.encodeWithSelector(Proofs.WrongBorder.selector, 2, 1));
        a.border = new bytes32[](0);
        expectAnswerRevert(0, a, abi.encodeWithSelector(Proofs.WrongBorder.selector, 0, 1));
        a = partFor(0, 0, 3, false);
        a.depth = 1;
        expectAnswerRevert(0, a, abi.encodeWithSelector(Proofs.PositionOutside.selector, 0, 1));
        demands.answer(p, 0, partFor(0, 2, 3, true));
        assertAnswered(0);
    }

    /// Of what is behind the last line nothing is taken on trust: there are no siblings on its right.
    function test_what_stands_behind_the_last_line_is_shown() public {
        trades.push(Trade(SLOT, 0, 4, 0, 3, 40, 150_000, 0, 0));
        trades.push(Trade(SLOT, 0, 5, 0, 3, 40, 150_000, 0, 0));
        settled.push(40);
        settled.push(40);
        agree();
        book();
        vm.assertEq(lines[0].length, 5);
        seal();
        ask(0);
        // Of four lines and the place behind them, with the rest of the tree beside.
        Answer memory a = partFor(0, 0, 4, true);
        a.depth = 3;
        bytes32[] memory all = lineHashes(0);
        a.border = borderOf(all, 0, 4);
        expectIncomplete(0, a);
        a = answerFor(0);
        vm.assertEq(a.border.length, 0);
        a.border = borderOf(all, 0, 5);
        expectAnswerRevert(0, a, abi.encodeWithSelector(Proofs.WrongBorder.selector, a.border.length, 0));
        demands.answer(p, 0, answerFor(0));
    }

    /// The tree of the lines is no deeper than they need.
    /// forge-config: default.fuzz.runs = 32
    function test_deeper_trees_cannot_be_answered(uint256 levels, bool parts) public {
        deeper = 1 + levels % 5;
        book();
        seal();
        ask(0);
        if (parts) demands.answer(p, 0, partFor(0, 0, 3, false));
        expectIncomplete(0, answerFor(0));
        expectIncomplete(0, partFor(0, 2, 3, true));
        expectIncomplete(0, partFor(0, 3, 3, true));
        Answer memory a = answerFor(0);
        a.depth = 2;
        expectRefused(0, a, Proofs.NotInTree.selector);
        assertLapses(0);
    }

    /// Nor that of a member without a line.
    /// forge-config: default.fuzz.runs = 32
    function test_an_empty_tree_with_levels_cannot_be_answered(uint256 levels) public {
        deeper = 1 + levels % 5;
        trades[2].buyer = 0;
        agree();
        book();
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        vm.assertEq(a.depth, deeper);
        expectIncomplete(1, a);
        a.depth = 0;
        a.border = new bytes32[](0);
        expectRefused(1, a, Proofs.NotInTree.selector);
        assertLapses(1);
    }

    /// forge-config: default.fuzz.runs = 32
    function test_a_tree_with_a_hole_cannot_be_answered(uint256 place, bool parts) public {
        place %= 2;
        lines[0][place].order = 0;
        total(0);
        seal();
        ask(0);
        if (parts && place == 1) demands.answer(p, 0, partFor(0, 0, 1, false));
        expectRefused(0, answerFor(0), Proofs.NotInTree.selector);
        expectIncomplete(0, partFor(0, 2, 3, true));
        Answer memory a = partFor(0, 0, place + 1, false);
        a.lines[place] = Line(0, 0, 0, 0, 0);
        expectRefused(0, a, Proofs.NotInTree.selector);
        assertLapses(0);
    }

    function test_a_line_without_a_trade_cannot_be_answered() public {
        lines[0][1].trade = 0;
        total(0);
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        bytes32 given = hashOf(a.trades[1]);
        expectAnswerRevert(0, a, abi.encodeWithSelector(Judge.OtherRecord.selector, bytes32(0), given));
        assertLapses(0);
    }

    function test_another_statement_than_is_posted_is_no_answer() public {
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        a.statement.money += 1;
        expectRefused(0, a, Proofs.NotInTree.selector);
        a = answerFor(0);
        a.statement.lines = statements[1].lines;
        expectRefused(0, a, Proofs.NotInTree.selector);
        a = answerFor(0);
        a.statement.salt = 0;
        expectRefused(0, a, Proofs.NotInTree.selector);
        // Another member's, wherever it stands.
        expectRefused(0, answerFor(1), Proofs.NotInTree.selector);
        a = answerFor(0);
        a.siblings = statementSiblings(1);
        expectRefused(0, a, Proofs.NotInTree.selector);
        a.siblings = new bytes32[](0);
        expectRefused(0, a, Proofs.NotInTree.selector);
    }

    function test_lists_must_be_complete() public {
        seal();
        ask(1);
        Answer memory a = answerFor(1);
        a.trades = new Trade[](2);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 1, 2));
        a = answerFor(1);
        a.committed = new bytes32[][](0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 1, 0));
        a = answerFor(1);
        a.consents = new Consent[](0);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 0, 1));
        a.consents = new Consent[](2);
        a.consents[0] = answerFor(1).consents[0];
        expectAnswerRevert(1, a, abi.encodeWithSelector(Demands.LengthMismatch.selector, 2, 1));
        a = answerFor(1);
        a.trades[0].price += 1;
        bytes32 other = hashOf(a.trades[0]);
        expectAnswerRevert(1, a, abi.encodeWithSelector(Judge.OtherRecord.selector, a.lines[0].trade, other));
    }
}
