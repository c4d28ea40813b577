// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Leaf, Stated} from "../src/Lines.sol";
import {Post, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";
import {CrowdBatch} from "./CrowdBatch.sol";
import {EndsBatch} from "./EndsBatch.sol";

/// What each challenge costs, as a transaction of its own.
/// forge-config: default.isolate = true
contract DisputesGasTest is EndsBatch, CrowdBatch {
    function setUp() public override(Batch, CrowdBatch) {
        super.setUp();
    }

    function note(string memory what) private {
        note(what, 270_000);
        vm.assertTrue(!standing());
    }

    // Lines

    function test_gas_of_a_foreign_trade() public {
        trades[3].slot = 1;
        agree();
        rebook();
        seal();
        disputes.challengeTrade(p, statedOf(0), leafAt(0, placeOf(0, 3)), trades[3]);
        note("challengeTrade");
    }

    function test_gas_of_a_broken_order() public {
        orders[0].limit = 1;
        agree();
        rebook();
        seal();
        disputes.challengeOrder(p, statedOf(0), leafAt(0, placeOf(0, 0)), trades[0], orders[0]);
        note("challengeOrder");
    }

    function test_gas_of_a_broken_mandate() public {
        mandates[0].maxBuy = 1;
        agree();
        rebook();
        seal();
        disputes.challengeMandate(p, statedOf(0), leafAt(0, placeOf(0, 3)), trades[3], mandates[0]);
        note("challengeMandate");
    }

    function test_gas_of_a_replaced_order() public {
        orders[2] = orders[0];
        orders[2].nonce += 1;
        seal();
        Leaf memory leaf = leafAt(0, placeOf(0, 0));
        disputes.challengeReplaced(p, statedOf(0), leaf, orders[0], orders[2], 2, orderSiblings(2));
        note("challengeReplaced");
    }

    /// The line before the order's first is one under the mandate.
    function test_gas_of_an_overfilled_order() public {
        orders[0].wh = 1;
        while (hashOf(orders[0]) < hashOf(mandates[0])) ++orders[0].nonce;
        agree();
        rebook();
        seal();
        disputes.challengeOrderFill(p, statedOf(0), spanOf(0, 1, 2), orders[0]);
        note("challengeOrderFill");
    }

    /// The line before the mandate's is one under the order.
    function test_gas_of_an_overfilled_mandate() public {
        mandates[0].buyWh = 1;
        while (hashOf(mandates[0]) < hashOf(orders[0])) ++mandates[0].nonce;
        agree();
        rebook();
        seal();
        disputes.challengeMandateFill(p, statedOf(0), spanOf(0, 2, 2), mandates[0]);
        note("challengeMandateFill");
    }

    function test_gas_of_a_wrong_sum() public {
        lines[0][1].money += 1;
        total(0);
        seal();
        uint256 trade = sortedOf(0)[1];
        disputes.challengeSum(p, statedOf(0), stepAt(0, 1), trades[trade]);
        note("challengeSum");
    }

    function test_gas_of_a_home_that_buys_and_sells() public {
        readings[0].whIn = 0;
        rebook();
        seal();
        disputes.challengeDirection(p, statedOf(0), stepAt(0, 1), readings[0]);
        note("challengeDirection");
    }

    function test_gas_of_lines_out_of_order() public {
        lines[0][1].order = bytes32(uint256(1));
        total(0);
        seal();
        disputes.challengeSequence(p, statedOf(0), leafAt(0, 0), leafAt(0, 1));
        note("challengeSequence");
    }

    function test_gas_of_trades_out_of_order() public {
        uint256 second = placeOf(0, 1);
        lines[0][second].trade = hashOf(trades[0]);
        total(0);
        seal();
        (Leaf memory low, Leaf memory high) = (leafAt(0, second - 1), leafAt(0, second));
        disputes.challengeTradeSequence(p, statedOf(0), low, high, trades[0], trades[0]);
        note("challengeTradeSequence");
    }

    function test_gas_of_a_line_behind_an_empty_place() public {
        lines[0][1].order = 0;
        total(0);
        seal();
        disputes.challengeHole(p, statedOf(0), holeAt(0, 1), leafAt(0, 2));
        note("challengeHole");
    }

    function test_gas_of_a_changed_trade() public {
        Trade memory given = trades[0];
        given.number = 1;
        uint256 place = placeOf(0, 0);
        lines[0][place].trade = hashOf(given);
        total(0);
        seal();
        Leaf memory leaf = leafAt(0, place);
        disputes.challengeCommitted(p, statedOf(0), leaf, given, tradesRoot, hashOf(trades[1]), tradeSiblings(1));
        note("challengeCommitted");
    }

    // Statements

    function test_gas_of_a_wrong_total() public {
        statements[0].money += 1;
        seal();
        disputes.challengeTotal(p, statedOf(0), lastOf(0), behindOf(0));
        note("challengeTotal");
    }

    function test_gas_of_a_wrong_delivery() public {
        readings[0].whIn = 1;
        rebook();
        seal();
        disputes.challengeDelivery(p, statedOf(0), readings[0]);
        note("challengeDelivery");
    }

    function test_gas_of_a_statement_without_a_reading() public {
        statements[0].reading = 0;
        seal();
        disputes.challengeUnread(p, statedOf(0));
        note("challengeUnread");
    }

    function test_gas_of_a_wrong_delta() public {
        thicken();
        seal();
        disputes.challengeDelta(p, statedOf(0), deltas, finals, finalDeltas);
        note("challengeDelta");
    }

    /// Each revision more brings its post and its deltas.
    function test_gas_of_a_wrong_delta_of_a_revision() public {
        fundAll();
        thicken();
        seal();
        finalise();
        thicken();
        changes[0] -= 1;
        changes[1] += 1;
        state();
        disputes.challengeDelta(p, statedOf(0), deltas, finals, finalDeltas);
        note("challengeDelta, revision 1");
    }

    function test_gas_of_a_member_without_a_statement() public {
        thicken();
        (statements[999].salt, changes[999], changes[0]) = (0, changes[999] - 1, changes[0] + 1);
        seal();
        disputes.challengeUnstated(p, 999, statementSiblings(999), deltas);
        note("challengeUnstated");
    }

    // Two ends

    function test_gas_of_sides_that_disagree() public {
        lines[3][placeOf(3, 2)].sold += 1;
        total(3);
        seal();
        disputes.challengeSides(p, statedOf(1), stepOf(1, 2), statedOf(3), stepOf(3, 2));
        note("challengeSides");
    }

    function test_gas_of_a_trade_with_nobody() public {
        uint256 place = placeOf(0, 3);
        trades[3].seller = 1000;
        lines[0][place].trade = hashOf(trades[3]);
        total(0);
        seal();
        disputes.challengeAbsent(p, statedOf(0), leafAt(0, place), trades[3], statementSiblings(1000));
        note("challengeAbsent");
    }

    function test_gas_of_a_trade_without_its_buyer_s_line() public {
        omit(0, 1);
        seal();
        disputes.challengeMissing(p, missingOf(1, false, true));
        note("challengeMissing, booked");
    }

    function test_gas_of_a_committed_trade_without_a_line() public {
        omit(0, 1);
        seal();
        disputes.challengeMissing(p, missingOf(1, false, false));
        note("challengeMissing, committed");
    }

    function test_gas_of_a_trade_that_is_cut() public {
        settled[0] = 0;
        rebook();
        seal();
        disputes.challengeCut(p, cutOf(0, 1));
        note("challengeCut");
    }

    function fundAll() private {
        uint32[] memory members = new uint32[](1000);
        uint64[] memory lanes = new uint64[](1000);
        for (uint32 i = 0; i < 1000; ++i) {
            (members[i], lanes[i]) = (i, 1e8);
        }
        mint(address(this), 1000e8 * LANE_UNIT);
        token.approve(address(settlement), type(uint256).max);
        settlement.depositFor(members, lanes);
    }
}
