// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Judge, Leaf} from "../src/Judge.sol";
import {Members} from "../src/Members.sol";
import {Post, Statement, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// Answers in parts, to revisions, to those who watch for a member, and about members of whom no meter told.
contract AnswersTest is Batch {
    function ask(uint32 member) private {
        vm.prank(vm.addr(memberKey(member)));
        demands.demand(p, member);
    }

    /// Member 0's answer cut to the lines [from, to) of all, with what each rests on.
    function part(uint256 from, uint256 to) private view returns (Answer memory a) {
        Answer memory whole = answerFor(0);
        a = answerFor(0);
        a.position = from;
        a.statements = new Statement[](to - from);
        uint256 first = from == 0 ? 0 : from + 1;
        uint256 own = 0;
        for (uint256 i = from; i < to; ++i) {
            a.statements[i - from] = whole.statements[i];
            if (i >= first && whole.statements[i].member == 0) ++own;
        }
        (a.trades, a.committed) = (new Trade[](own), new bytes32[][](own));
        Consent[] memory consents = new Consent[](own);
        uint256 count = 0;
        for (uint256 i = 0; i < own; ++i) {
            (a.trades[i], a.committed[i]) = (whole.trades[first + i], whole.committed[first + i]);
            bool ordered = a.committed[i].length != 0;
            bool fresh = i == 0 || a.statements[first + i - from].order != a.statements[first + i - from - 1].order;
            if (fresh) consents[count++] = whole.consents[_consentAt(whole, ordered)];
        }
        assembly {
            mstore(consents, count)
        }
        a.consents = consents;
        a.border = borderOf(_lineHashes(), from, to - 1);
    }

    function _consentAt(Answer memory whole, bool ordered) private pure returns (uint256 place) {
        while ((whole.consents[place].orderSignature.length != 0) != ordered) ++place;
    }

    function isAnswered(uint32 member) private view returns (bool answered) {
        (bytes32 digest, uint40 postedAt,,,) = settlement.posted(p.slot, p.revision);
        (,, answered,,) = demands.demands(demands.keyOf(digest, postedAt, bytes32(uint256(member))));
    }

    function test_an_answer_comes_in_parts_in_order() public {
        seal();
        ask(0);
        vm.assertEq(lines[2].member, 0);
        vm.assertEq(lines[3].member, 1);
        bytes memory incomplete = abi.encodeWithSelector(Demands.IncompleteLines.selector, 0);
        Answer memory second = part(0, 2);
        Answer memory third = part(1, 3);
        Answer memory last = part(2, 4);
        // Not in the middle, and not the end alone.
        vm.expectRevert(incomplete);
        demands.answer(p, 0, third);
        vm.expectRevert(incomplete);
        demands.answer(p, 0, last);
        demands.answer(p, 0, second);
        vm.assertTrue(!isAnswered(0));
        // The same again takes nothing back, and nothing is left out.
        demands.answer(p, 0, second);
        vm.expectRevert(incomplete);
        demands.answer(p, 0, last);
        demands.answer(p, 0, third);
        vm.assertTrue(!isAnswered(0));
        demands.answer(p, 0, last);
        vm.assertTrue(isAnswered(0));
        vm.warp(END + ANSWER_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(Demands.AlreadyAnswered.selector));
        demands.lapse(p, 0);
    }

    function test_a_part_is_no_answer_when_the_time_is_over() public {
        seal();
        ask(0);
        demands.answer(p, 0, part(0, 2));
        vm.warp(END + ANSWER_TIME + 1);
        Answer memory last = part(1, 4);
        vm.expectRevert(abi.encodeWithSelector(Demands.AnswerLate.selector, END + ANSWER_TIME));
        demands.answer(p, 0, last);
        demands.lapse(p, 0);
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
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

    function test_a_member_of_whom_no_meter_told_is_answered_without_a_reading() public {
        for (uint256 i = 0; i < 4; ++i) {
            settled[i] = 0;
        }
        book();
        for (uint256 i = 0; i < 3; ++i) {
            lines[i].reading = 0;
        }
        delete readings[0];
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        a.readingSignature = "";
        demands.answer(p, 0, a);
        vm.assertTrue(isAnswered(0));
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, 0));
        disputes.challengeUnread(p, leafAt(0));
    }

    /// Silent is whose place among the readings is empty; a reading that is there cannot be passed over.
    function test_a_reading_that_is_there_is_named() public {
        for (uint256 i = 0; i < 3; ++i) {
            lines[i].reading = 0;
        }
        seal();
        ask(0);
        Answer memory a = answerFor(0);
        (bool done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 0, a)));
        vm.assertTrue(!done);
    }

    function test_who_came_after_the_slot_is_answered_without_a_line() public {
        seal();
        addMembers(1);
        vm.prank(account(4));
        demands.demand(p, 4);
        Answer memory a;
        a.position = lines.length - 2;
        a.statements = new Statement[](2);
        (a.statements[0], a.statements[1]) = (lines[lines.length - 2], lines[lines.length - 1]);
        a.depth = depthOf(lines.length);
        a.border = borderOf(_lineHashes(), lines.length - 2, lines.length - 1);
        a.tradesRoot = tradesRoot;
        demands.answer(p, 4, a);
    }

    function test_who_was_there_is_not_answered_without_a_line() public {
        vm.warp(SLOT - 100);
        addMembers(1);
        seal();
        vm.prank(account(4));
        demands.demand(p, 4);
        Answer memory a;
        a.position = lines.length - 2;
        a.statements = new Statement[](2);
        (a.statements[0], a.statements[1]) = (lines[lines.length - 2], lines[lines.length - 1]);
        a.depth = depthOf(lines.length);
        a.border = borderOf(_lineHashes(), lines.length - 2, lines.length - 1);
        a.tradesRoot = tradesRoot;
        vm.expectRevert(abi.encodeWithSelector(Demands.IncompleteLines.selector, 4));
        demands.answer(p, 4, a);
    }

    /// The member's last line of the post before comes with the answer, so that who kept nothing can judge the delta.
    function test_an_answer_to_a_revision_shows_the_line_before() public {
        for (uint256 i = 0; i < 4; ++i) {
            mint(vm.addr(memberKey(i)), 1_000_000 * LANE_UNIT);
            vm.prank(vm.addr(memberKey(i)));
            token.approve(address(settlement), type(uint256).max);
            vm.prank(vm.addr(memberKey(i)));
            settlement.deposit(1_000_000);
        }
        seal();
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);
        (Post memory earlier, Leaf[] memory before, Leaf[] memory others) = (p, endsOf(0), endsOf(1));
        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i].revision = 1;
        }
        for (uint256 i = 0; i < 4; ++i) {
            changes[i] = 0;
        }
        deltas = pack(changes);
        (p.revision, p.statements, p.deltas) = (1, rootOf(_lineHashes()), keccak256(deltas));
        publish();
        ask(0);
        Answer memory a = answerFor(0);
        (bool done,) = address(demands).call(abi.encodeCall(demands.answer, (p, 0, a)));
        vm.assertTrue(!done);
        (a.earlier, a.earlierEnds) = (earlier, others);
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherMember.selector, 0, 1));
        demands.answer(p, 0, a);
        a.earlierEnds = before;
        demands.answer(p, 0, a);
        vm.assertTrue(isAnswered(0));
    }
}
