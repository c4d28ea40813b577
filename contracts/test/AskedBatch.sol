// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Demands} from "../src/Demands.sol";
import {AnswersBatch} from "./AnswersBatch.sol";

/// The slot of a `Batch`, whose members demand what was posted about them.
abstract contract AskedBatch is AnswersBatch {
    function ask(uint32 member) internal {
        vm.prank(vm.addr(memberKey(member)));
        demands.demand(p, member);
    }

    function expectAnswerRevert(uint32 member, Answer memory a, bytes memory reason) internal {
        vm.expectRevert(reason);
        demands.answer(p, member, a);
    }

    function expectIncomplete(uint32 member, Answer memory a) internal {
        expectAnswerRevert(member, a, abi.encodeWithSelector(Demands.Incomplete.selector, member));
    }

    /// It is refused with this error, whose arguments do not matter.
    function expectRefused(uint32 member, Answer memory a, bytes4 selector) internal {
        (bool done, bytes memory reason) = address(demands).call(abi.encodeCall(demands.answer, (p, member, a)));
        vm.assertTrue(!done && bytes4(reason) == selector);
    }

    /// Whether the member's demand was answered, and of how many lines it was shown that something follows.
    function progressOf(uint32 member) internal view returns (bool answered, uint256 next) {
        (bytes32 digest, uint40 postedAt,,,) = settlement.posted(p.slot, p.revision);
        bytes32 key = demands.keyOf(digest, postedAt, bytes32(uint256(member)));
        (,, answered, next,,) = demands.demands(key);
    }

    function assertAnswered(uint32 member) internal view {
        (bool answered,) = progressOf(member);
        vm.assertTrue(answered);
    }

    /// Nothing else comes: the post falls, and who asked is paid.
    function assertLapses(uint32 member) internal {
        vm.expectRevert(abi.encodeWithSelector(Demands.AnswerPending.selector, END + ANSWER_TIME));
        demands.lapse(p, member);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapse(p, member);
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(vm.addr(memberKey(member)));
        vm.assertEq(reward, 250);
    }
}
