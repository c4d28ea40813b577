// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent} from "../src/Demands.sol";
import {Cut} from "../src/Ends.sol";
import {Leaf} from "../src/Judge.sol";
import {Post, RECEIPT_TYPEHASH, Receipt, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// What a dispute costs at 10 000 trades and 1 000 members: trees of their depth, deltas of their length, each step a
/// transaction of its own. The figures appear with `-vv`.
/// forge-config: default.isolate = true
contract DisputesGasTest is Batch {
    event log_named_uint(string what, uint256 gas);

    /// 15 levels of statements (21 001 lines) from the 4 of ours.
    function setUp() public override {
        super.setUp();
        more = 11;
        addMembers(996);
        for (uint256 i = 4; i < 1000; ++i) {
            changes.push(0);
        }
    }

    function note(string memory what) private {
        uint256 total = vm.lastCallGas().total;
        emit log_named_uint(what, total);
        vm.assertTrue(total < 400_000);
    }

    function test_gas_of_a_broken_order() public {
        orders[0].limit = 1;
        agree();
        rebook();
        seal();
        disputes.challengeOrder(p, leafAt(lineOf(0, 0)), trades[0], orders[0]);
        note("challengeOrder");
    }

    function test_gas_of_a_broken_mandate() public {
        mandates[0].maxBuy = 1;
        agree();
        rebook();
        seal();
        disputes.challengeMandate(p, leafAt(lineOf(0, 3)), trades[3], mandates[0]);
        note("challengeMandate");
    }

    function test_gas_of_a_foreign_trade() public {
        trades[3].slot = 1;
        agree();
        rebook();
        seal();
        disputes.challengeTrade(p, leafAt(lineOf(0, 3)), trades[3]);
        note("challengeTrade");
    }

    function test_gas_of_an_overfilled_order() public {
        orders[0].wh = 1;
        agree();
        rebook();
        seal();
        uint256 first = lineOf(0, 0);
        disputes.challengeOrderFill(p, first == 0 ? two(0, 1) : three(first - 1, first, first + 1), orders[0]);
        note("challengeOrderFill");
    }

    function test_gas_of_an_overfilled_mandate() public {
        mandates[0].buyWh = 1;
        agree();
        rebook();
        seal();
        uint256 first = lineOf(0, 3);
        Leaf[] memory span = first == 0 ? two(first, first) : three(first - 1, first, first);
        disputes.challengeMandateFill(p, span, mandates[0]);
        note("challengeMandateFill");
    }

    function test_gas_of_a_wrong_sum() public {
        lines[1].money += 1;
        seal();
        uint256 trade = 0;
        while (hashOf(trades[trade]) != lines[1].trade) ++trade;
        disputes.challengeSum(p, two(0, 1), trades[trade]);
        note("challengeSum");
    }

    function test_gas_of_an_empty_line() public {
        lines[lines.length - 1].money = 1;
        seal();
        disputes.challengeEmptyLine(p, leafAt(lines.length - 1));
        note("challengeEmptyLine");
    }

    function test_gas_of_a_wrong_delta() public {
        // No byte of the deltas is zero, so that calldata is as dear as it gets.
        for (uint256 i = 4; i < 1000; ++i) {
            changes[i] = int32(uint32(0x01010101)) * (i % 2 == 0 ? int32(1) : int32(-1));
        }
        (changes[0], changes[1]) = (changes[0] + 1, changes[1] - 1);
        seal();
        disputes.challengeDelta(p, endsOf(0), deltas);
        note("challengeDelta");
    }

    function test_gas_of_a_wrong_revision() public {
        uint32[] memory members = new uint32[](2);
        uint64[] memory lanes = new uint64[](2);
        (members[1], lanes[0], lanes[1]) = (1, 1e6, 1e6);
        mint(address(this), 2e6 * LANE_UNIT);
        token.approve(address(settlement), type(uint256).max);
        settlement.depositFor(members, lanes);
        seal();
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);
        Post memory earlier = p;
        Leaf[] memory before = endsOf(0);
        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i].revision = 1;
        }
        for (uint256 i = 0; i < 1000; ++i) {
            changes[i] = int32(uint32(0x01010101)) * (i % 2 == 0 ? int32(1) : int32(-1));
        }
        deltas = pack(changes);
        (p.revision, p.statements, p.deltas) = (1, rootOf(_lineHashes()), keccak256(deltas));
        publish();
        disputes.challengeRevision(p, endsOf(0), deltas, earlier, before);
        note("challengeRevision");
    }

    function test_gas_of_a_member_passed_over() public {
        seal();
        disputes.challengeGap(p, endsOf(3));
        note("challengeGap");
    }

    function test_gas_of_lines_out_of_order() public {
        lines[1].index = 5;
        seal();
        disputes.challengeSequence(p, leafAt(0), leafAt(1));
        note("challengeSequence");
    }

    function test_gas_of_trades_out_of_order() public {
        uint256 second = lineOf(0, 1);
        lines[second].trade = hashOf(trades[0]);
        seal();
        disputes.challengeTradeSequence(p, leafAt(second - 1), leafAt(second), trades[0], trades[0]);
        note("challengeTradeSequence");
    }

    function test_gas_of_a_wrong_delivery() public {
        readings[0].whIn = 1;
        rebook();
        seal();
        disputes.challengeDelivery(p, endsOf(0), readings[0]);
        note("challengeDelivery");
    }

    function test_gas_of_another_reading() public {
        readings[1].sequence = 8;
        seal();
        disputes.challengeReading(p, leafAt(lineOf(1, 2)), hashOf(readings[1]), siblingsOf(_readingHashes(), 1));
        note("challengeReading");
    }

    function test_gas_of_a_line_without_a_reading() public {
        lines[0].reading = 0;
        seal();
        disputes.challengeUnread(p, leafAt(0));
        note("challengeUnread");
    }

    function test_gas_of_a_home_that_buys_and_sells() public {
        readings[0].whIn = 0;
        rebook();
        seal();
        disputes.challengeDirection(p, stepOf(0, 1), readings[0]);
        note("challengeDirection");
    }

    function test_gas_of_a_replaced_order() public {
        orders[2] = orders[0];
        orders[2].nonce += 1;
        seal();
        Leaf memory leaf = leafAt(lineOf(0, 0));
        disputes.challengeReplaced(p, leaf, orders[0], orders[2], 2, siblingsOf(_orderHashes(), 2));
        note("challengeReplaced");
    }

    function test_gas_of_a_member_without_a_line() public {
        (changes[999], changes[0]) = (-1, changes[0] + 1);
        seal();
        disputes.challengeUnstated(p, two(lines.length - 2, lines.length - 1), deltas, 999);
        note("challengeUnstated");
    }

    function test_gas_of_all_that_revisions_moved() public {
        changes[1] -= 1;
        changes[2] += 1;
        seal();
        disputes.challengeMoves(p, endsOf(1), deltas, new Post[](0), new bytes[](0));
        note("challengeMoves");
    }

    function test_gas_of_a_changed_trade() public {
        bytes32[] memory hashes = _tradeHashes();
        bytes32[] memory siblings = siblingsOf(hashes, 1);
        Trade memory given = trades[0];
        given.number = 1;
        lines[0].trade = hashOf(given);
        seal();
        disputes.challengeCommitted(p, leafAt(0), given, tradesRoot, hashes[1], siblings);
        note("challengeCommitted");
    }

    function test_gas_of_sides_that_disagree() public {
        lines[lineOf(3, 2)].wh += 1;
        seal();
        disputes.challengeSides(p, stepOf(1, 2), stepOf(3, 2));
        note("challengeSides");
    }

    function test_gas_of_a_trade_without_its_seller_s_line() public {
        uint256 place = lineOf(2, 3);
        Trade[] memory beside = new Trade[](2);
        (beside[0], beside[1]) = (trades[0], trades[0]);
        for (uint256 i = place; i + 1 < lines.length; ++i) {
            lines[i] = lines[i + 1];
        }
        lines.pop();
        seal();
        Leaf[] memory booked = one(lineOf(0, 3));
        disputes.challengeMissing(p, trades[3], true, booked, new bytes32[](0), two(place - 1, place), beside);
        note("challengeMissing, booked");
    }

    function test_gas_of_a_committed_trade_without_a_line() public {
        uint256 place = lineOf(2, 0);
        for (uint256 i = place; i + 1 < lines.length; ++i) {
            lines[i] = lines[i + 1];
        }
        lines.pop();
        seal();
        Trade[] memory beside = new Trade[](2);
        (beside[0], beside[1]) = (trades[0], trades[0]);
        bytes32[] memory way = siblingsOf(_tradeHashes(), 0);
        disputes.challengeMissing(p, trades[0], true, new Leaf[](0), way, two(place - 1, place), beside);
        note("challengeMissing, committed");
    }

    function test_gas_of_a_trade_that_is_cut() public {
        settled[0] = 0;
        rebook();
        seal();
        Cut memory cut;
        (cut.trade, cut.later, cut.bought, cut.paid) = (trades[0], trades[1], stepOf(0, 0), stepOf(0, 1));
        (cut.ends, cut.buyOrder, cut.sellOrder) = (endsOf(2), orders[0], orders[2]);
        (cut.drawn, cut.fed) = (readings[0], readings[2]);
        disputes.challengeCut(p, cut);
        note("challengeCut");
    }

    function test_gas_of_a_demand_and_its_end() public {
        seal();
        vm.prank(vm.addr(memberKey(0)));
        demands.demand(p, 0);
        note("demand");
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapse(p, 0);
        note("lapse");
    }

    function test_gas_of_a_demanded_order() public {
        seal();
        Receipt memory receipt = Receipt(hashOf(orders[2]), SLOT, 2);
        bytes32 body = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes[] memory signatures = quorum(digestOf(body, block.chainid, address(settlement)));
        demands.demandOrder(p, receipt, signatures);
        note("demandOrder");
        demands.answerOrder(p, receipt, siblingsOf(_orderHashes(), 2));
        note("answerOrder");
    }

    /// 100 lines under one of a day's orders, each with its own way to the committed trades; the tests for how many fit
    /// the 16.7 M gas of a transaction.
    function test_gas_of_an_answer_of_100_lines() public {
        delete trades;
        delete settled;
        for (uint32 i = 0; i < 100; ++i) {
            trades.push(Trade(SLOT, 0, i, 0, 2 + i % 2, 19, 200_000, 0, 0));
            settled.push(19);
        }
        committed = 100;
        more = 8;
        agree();
        rebook();
        seal();
        vm.prank(vm.addr(memberKey(0)));
        demands.demand(p, 0);
        Answer memory a = answerFor(0);
        Consent memory consent = a.consents[0];
        (consent.first, consent.count, consent.position) = (SLOT - 50 * SLOT_SECONDS, 96, 50);
        consent.siblings = new bytes32[](7);
        for (uint256 i = 0; i < 7; ++i) {
            consent.siblings[i] = keccak256(abi.encode(i));
        }
        signBasket(consent, agentKey(0));
        demands.answer(p, 0, a);
        emit log_named_uint("answer of 100 lines", vm.lastCallGas().total);
        bytes memory data = abi.encodeCall(demands.answer, (p, 0, a));
        vm.assertTrue(vm.lastCallGas().total < 3_000_000);
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        // EIP-7623: a transaction pays at least this for its data.
        emit log_named_uint("at least, for its calldata", 21_000 + 10 * tokens);
    }

    /// Deltas of a thousand members, whose others trade nothing.
    function rebook() private {
        book();
        for (uint256 i = 4; i < 1000; ++i) {
            changes.push(0);
        }
    }
}
