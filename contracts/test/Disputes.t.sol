// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AnswersBatch} from "./AnswersBatch.sol";

/// Every fault deletes a post, and no challenge deletes an honest one.
contract DisputesTest is AnswersBatch {
    function test_what_is_posted_and_answered_of_honest_members() public {
        seal();
        for (uint32 m = 0; m < 4; ++m) {
            expectNoFault(m);
            disputes.challengeTotal(p, statedOf(m), lastOf(m), behindOf(m));
            expectNoFault(m);
            disputes.challengeDelta(p, statedOf(m), deltas, finals, finalDeltas);
            vm.prank(vm.addr(memberKey(m)));
            demands.demand(p, m);
            demands.answer(p, m, answerFor(m));
        }
    }
}
