// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Trade} from "../src/Records.sol";
import {HonestBatch} from "./HonestBatch.sol";

/// No challenge deletes an honest post, whatever its caller gives.
contract HonestTest is HonestBatch {
    /// Honest slots: all settles; a silent home; one that drew too little; one whose money ran out; mandates with both
    /// sides; one that neither traded nor was measured.
    function settle(uint256 kind) internal {
        if (kind == 1) (settled[0], settled[1], settled[3], readings[0].meter) = (0, 0, 0, address(0));
        if (kind == 2) (settled[0], settled[1], settled[3], readings[0].whIn) = (700, 400, 0, 1100);
        if (kind == 3) (settled[1], settled[3]) = (200, 0);
        if (kind == 4) bothSides();
        if (kind == 5) (trades[2].buyer, readings[1].meter) = (0, address(0));
        agree();
        book();
    }

    /// Member 0 and 2 trade in both directions under their mandates, as far as what their meters counted goes.
    function bothSides() private {
        committed = 0;
        delete trades;
        delete settled;
        for (uint32 i = 0; i < 4; ++i) {
            (uint32 buyer, uint32 seller) = i % 2 == 0 ? (uint32(0), uint32(2)) : (uint32(2), uint32(0));
            trades.push(Trade(SLOT, 0, i, buyer, seller, 100, 200_000, 0, 0));
            settled.push(byRegisters() || i % 2 == 0 ? 100 : 0);
        }
        if (byRegisters()) (readings[0].whOut, readings[2].whIn) = (200, 200);
    }

    /// forge-config: default.fuzz.runs = 128
    function test_no_challenge_deletes_an_honest_post(uint256 seed, bool revised, bool joined) public {
        draw(seed);
        settle(any(6));
        if (joined) {
            vm.warp(SLOT + 1);
            addMembers(1);
        }
        seal();
        if (revised) {
            finalise();
            if (settled[2] != 0 && readings[3].meter != address(0)) readings[3].sequence += 1;
            book();
            state();
        }
        for (uint256 i = 0; i < 2 * CHALLENGES; ++i) {
            (bool done,) = address(disputes).call(attempt(i % CHALLENGES));
            vm.assertTrue(!done);
        }
        vm.assertTrue(standing());
    }

    /// What is true put together rightly, of all members, lines and trades.
    function test_no_true_record_shows_a_fault() public {
        for (uint256 kind = 0; kind < 6; ++kind) {
            uint256 snapshot = vm.snapshotState();
            settle(kind);
            seal();
            for (uint32 member = 0; member < 4; ++member) {
                tryMember(member);
            }
            vm.revertToState(snapshot);
        }
    }

    function tryMember(uint32 member) private {
        expectNoFault(member);
        disputes.challengeTotal(p, statedOf(member), lastOf(member), behindOf(member));
        expectNoFault(member);
        disputes.challengeDelta(p, statedOf(member), deltas, finals, finalDeltas);
        expectNoFault(member);
        if (readings[member].meter == address(0)) disputes.challengeUnread(p, statedOf(member));
        else disputes.challengeDelivery(p, statedOf(member), readings[member]);
        uint256[] memory own = sortedOf(member);
        for (uint256 i = 0; i < own.length; ++i) {
            tryLine(member, i, own[i]);
            if (i != 0) tryPair(member, i, own);
        }
    }

    function tryLine(uint32 member, uint256 place, uint256 trade) private {
        expectNoFault(member);
        disputes.challengeTrade(p, statedOf(member), leafAt(member, place), trades[trade]);
        expectNoFault(member);
        disputes.challengeSum(p, statedOf(member), stepAt(member, place), trades[trade]);
        expectNoFault(trades[trade].buyer);
        disputes.challengeSides(
            p,
            statedOf(trades[trade].buyer),
            stepOf(trades[trade].buyer, trade),
            statedOf(trades[trade].seller),
            stepOf(trades[trade].seller, trade)
        );
        expectNoFault(member);
        if (trade < committed) {
            disputes.challengeOrder(p, statedOf(member), leafAt(member, place), trades[trade], orders[member]);
            expectNoFault(member);
            disputes.challengeOrderFill(p, statedOf(member), spanOf(member, place, place), orders[member]);
        } else {
            disputes.challengeMandate(p, statedOf(member), leafAt(member, place), trades[trade], mandates[member]);
            expectNoFault(member);
            disputes.challengeMandateFill(p, statedOf(member), spanOf(member, place, place), mandates[member]);
        }
        tryReading(member, place, trade);
    }

    function tryReading(uint32 member, uint256 place, uint256 trade) private {
        if (readings[member].meter != address(0)) {
            expectNoFault(member);
            disputes.challengeDirection(p, statedOf(member), stepAt(member, place), readings[member]);
        }
        if (committed == 0) return;
        expectNoFault(member);
        bytes32 there = trade < committed ? hashOf(trades[trade]) : bytes32(0);
        disputes.challengeCommitted(
            p, statedOf(member), leafAt(member, place), trades[trade], tradesRoot, there, tradeSiblings(trade)
        );
    }

    function tryPair(uint32 member, uint256 place, uint256[] memory own) private {
        expectNoFault(member);
        disputes.challengeSequence(p, statedOf(member), leafAt(member, place - 1), leafAt(member, place));
        if (lines[member][place - 1].order != lines[member][place].order) return;
        expectNoFault(member);
        disputes.challengeTradeSequence(
            p,
            statedOf(member),
            leafAt(member, place - 1),
            leafAt(member, place),
            trades[own[place - 1]],
            trades[own[place]]
        );
    }
}

/// The same where members share by registers.
/// forge-config: default.fuzz.runs = 128
contract HonestRegistersTest is HonestTest {
    function byRegisters() internal pure override returns (bool) {
        return true;
    }
}

/// The same attempts find what is wrong: each fault is found by one that is meant for it.
contract AttemptsTest is HonestBatch {
    /// forge-config: default.fuzz.runs = 8
    function test_such_attempts_delete_a_post_at_fault(uint256 seed) public {
        draw(seed);
        seal();
        for (uint256 fault = 0; fault < 8; ++fault) {
            uint256 snapshot = vm.snapshotState();
            uint256 challenge = spoil(fault);
            restate();
            bool done = false;
            for (uint256 i = 0; i < 400 && !done; ++i) {
                (done,) = address(disputes).call(attempt(challenge));
            }
            vm.assertTrue(done);
            vm.revertToState(snapshot);
        }
    }

    /// Puts a fault into the post; the number of the challenge that shows it.
    function spoil(uint256 fault) private returns (uint256 challenge) {
        if (fault == 0) (lines[0][0].trade, challenge) = (0, 0);
        if (fault == 1) (lines[0][2].bought, challenge) = (9000, 4);
        if (fault == 2) (lines[0][1].sold, challenge) = (1, 5);
        if (fault == 3) (lines[2][0].order, challenge) = (bytes32(type(uint256).max), 8);
        total(0);
        total(2);
        if (fault == 4) (statements[1].money, challenge) = (1, 6);
        if (fault == 5) (statements[1].salt, challenge) = (0, 11);
        if (fault == 6) (statements[1].bought, challenge) = (9000, 13);
        if (fault == 7) {
            omit(2, 0);
            challenge = 18;
        }
    }
}
