// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Judge} from "../src/Judge.sol";
import {Leaf, Lines} from "../src/Lines.sol";
import {Line, Mandate, Order, Reading, Trade} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Batch} from "./Batch.sol";

/// What a line says against its trade, its order, the lines beside it or the reading: each fault deletes the post, and
/// what is just not a fault does not.
contract DisputesTest is Batch {
    /// Agrees, books and posts anew; the commitment of the first time stays.
    function fresh() private {
        agree();
        book();
        if (p.slot == 0) seal();
        else restate();
    }

    /// Whether the last challenge deleted the post.
    function assertGone(bool gone) private view {
        vm.assertTrue(standing() != gone);
    }

    function leafOf(uint32 member, uint256 trade) private view returns (Leaf memory) {
        return leafAt(member, placeOf(member, trade));
    }

    // Consent

    function tryOrder(uint32 member, bool fault) private {
        fresh();
        if (!fault) expectNoFault(member);
        disputes.challengeOrder(p, statedOf(member), leafOf(member, 0), trades[0], orders[member]);
        assertGone(fault);
    }

    function test_who_proves_a_fault_has_half_of_the_bond() public {
        orders[0].limit = 1;
        fresh();
        vm.prank(PROVER);
        disputes.challengeOrder(p, statedOf(0), leafOf(0, 0), trades[0], orders[0]);
        assertStruck();
        vm.assertEq(settlement.forfeited(), 251);
    }

    function test_the_limit_of_an_order() public {
        (orders[0].limit, orders[2].limit) = (200_000, 200_000);
        tryOrder(0, false);
        tryOrder(2, false);
        (orders[0].limit, orders[2].limit) = (199_999, 200_001);
        tryOrder(0, true);
        tryOrder(2, true);
    }

    function test_an_order_of_another_slot_side_or_member() public {
        Order memory honest = orders[0];
        for (uint256 i = 0; i < 5; ++i) {
            orders[0] = honest;
            if (i == 1) orders[0].slot += SLOT_SECONDS;
            if (i == 2) orders[0].side = 1;
            if (i == 3) orders[0].member = orders[1].member;
            if (i == 4) orders[0].member = address(0xDEAD);
            tryOrder(0, i != 0);
        }
    }

    function tryMandate(uint32 member, bool fault) private {
        fresh();
        if (!fault) expectNoFault(member);
        disputes.challengeMandate(p, statedOf(member), leafOf(member, 3), trades[3], mandates[member]);
        assertGone(fault);
    }

    function test_prices_time_and_member_of_a_mandate() public {
        Mandate[2] memory honest = [mandates[0], mandates[2]];
        for (uint256 i = 0; i < 10; ++i) {
            (mandates[0], mandates[2]) = (honest[0], honest[1]);
            if (i == 0) mandates[0].maxBuy = 150_001;
            if (i == 1) mandates[0].maxBuy = 150_000;
            if (i == 2) mandates[2].minSell = 150_001;
            if (i == 3) mandates[2].minSell = 150_002;
            if (i == 4) mandates[0].validFrom = SLOT;
            if (i == 5) mandates[0].validFrom = SLOT + 1;
            if (i == 6) mandates[0].validUntil = SLOT + 1;
            if (i == 7) mandates[0].validUntil = SLOT;
            if (i == 9) mandates[0].member = mandates[1].member;
            tryMandate(i == 2 || i == 3 ? 2 : 0, i % 2 == 1);
        }
    }

    function test_a_trade_of_another_slot_of_others_or_under_another_order() public {
        Trade memory honest = trades[3];
        for (uint256 i = 0; i < 8; ++i) {
            trades[3] = honest;
            fresh();
            uint256 place = placeOf(0, 3);
            if (i == 1) trades[3].slot += SLOT_SECONDS;
            if (i == 2) trades[3].seller = 0;
            if (i == 3) trades[3].buyer = 1;
            if (i == 4) trades[3].buyOrder = keccak256("another order");
            // As a seller it agreed to nothing.
            if (i == 5) (trades[3].buyer, trades[3].seller) = (2, 0);
            // Nobody has that number.
            if (i == 7) trades[3].seller = 4;
            lines[0][place].trade = i == 6 ? bytes32(0) : hashOf(trades[3]);
            total(0);
            restate();
            if (i == 0) expectNoFault(0);
            disputes.challengeTrade(p, statedOf(0), leafAt(0, place), trades[3]);
            assertGone(i != 0);
        }
    }

    // Energy

    function tryFill(uint32 member, uint256 first, uint256 last, bool fault) private {
        fresh();
        Leaf[] memory span = spanOf(member, placeOf(member, first), placeOf(member, last));
        if (!fault) expectNoFault(member);
        if (first == 3) disputes.challengeMandateFill(p, statedOf(member), span, mandates[member]);
        else disputes.challengeOrderFill(p, statedOf(member), span, orders[member]);
        assertGone(fault);
    }

    function test_the_energy_of_an_order() public {
        (orders[0].wh, orders[3].wh) = (1500, 800);
        tryFill(0, 0, 1, false);
        tryFill(3, 1, 2, false);
        (orders[0].wh, orders[3].wh) = (1499, 799);
        tryFill(0, 0, 1, true);
        tryFill(3, 1, 2, true);
        // Some of its lines are enough.
        (orders[0].wh, orders[3].wh) = (499, 500);
        tryFill(0, 1, 1, true);
        tryFill(3, 1, 1, false);
        (orders[0].wh, orders[3].wh) = (999, 499);
        tryFill(0, 0, 0, true);
        tryFill(3, 1, 1, true);
    }

    function test_the_energy_of_a_mandate() public {
        (mandates[0].buyWh, mandates[2].sellWh) = (250, 250);
        (mandates[0].sellWh, mandates[2].buyWh) = (0, 0);
        tryFill(0, 3, 3, false);
        tryFill(2, 3, 3, false);
        (mandates[0].buyWh, mandates[2].sellWh) = (249, 249);
        tryFill(0, 3, 3, true);
        tryFill(2, 3, 3, true);
    }

    /// Sums that fall are another fault, and no overflow.
    function test_sums_that_fall_fill_nothing(uint64 before, uint64 behind) public {
        seal();
        uint256 second = placeOf(0, 1);
        (lines[0][second - 1].bought, lines[0][second].bought) = (before, behind);
        (lines[0][second - 1].sold, lines[0][second].sold) = (before, 0);
        total(0);
        restate();
        bool fault = behind > before && behind - before > 2000;
        if (!fault) expectNoFault(0);
        disputes.challengeOrderFill(p, statedOf(0), spanOf(0, second, second), orders[0]);
        assertGone(fault);
    }

    function test_lines_that_show_no_fill() public {
        seal();
        (uint256 first, uint256 second, uint256 other) = (placeOf(0, 0), placeOf(0, 1), placeOf(0, 3));
        Leaf[] memory span = spanOf(0, first, other);
        bytes memory reason = abi.encodeWithSelector(Judge.OtherRecord.selector, trades[0].buyOrder, trades[3].buyOrder);
        vm.expectRevert(reason);
        disputes.challengeOrderFill(p, statedOf(0), span, orders[0]);
        span = spanOf(0, first, second);
        vm.expectRevert(reason);
        disputes.challengeMandateFill(p, statedOf(0), span, mandates[0]);
        span = spanOf(0, second, first);
        vm.expectRevert(abi.encodeWithSelector(Lines.NotAdjacent.selector, second, first));
        disputes.challengeOrderFill(p, statedOf(0), span, orders[0]);
        // Without the line before.
        span = leaves(0, second, second);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 1, 2));
        disputes.challengeOrderFill(p, statedOf(0), span, orders[0]);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 1, 2));
        disputes.challengeSum(p, statedOf(0), span, trades[1]);
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 0, 1));
        disputes.challengeSum(p, statedOf(0), new Leaf[](0), trades[1]);
        // With one before the first.
        span = leaves(0, 0, 1);
        span[1] = span[0];
        vm.expectRevert(abi.encodeWithSelector(Lines.WrongLines.selector, 2, 1));
        disputes.challengeSum(p, statedOf(0), span, trades[0]);
    }

    // Sums

    /// Less energy than traded may settle, at its price.
    function test_any_change_of_a_running_sum(uint8 trade, bool seller, int32 bought, int32 sold, int32 money) public {
        trade %= 4;
        uint32 member = seller ? trades[trade].seller : trades[trade].buyer;
        Line storage line = lines[member][placeOf(member, trade)];
        (line.bought, line.sold) = (changed(line.bought, bought), changed(line.sold, sold));
        line.money += money;
        total(member);
        seal();
        bool fault = isFault(trade, seller, bought, sold, money);
        if (!fault) expectNoFault(member);
        disputes.challengeSum(p, statedOf(member), stepOf(member, trade), trades[trade]);
        assertGone(fault);
    }

    /// Whether sums that are so much higher do not follow from a trade.
    function isFault(uint256 trade, bool seller, int256 bought, int256 sold, int256 money) private view returns (bool) {
        (int256 own, int256 other) = seller ? (sold, bought) : (bought, sold);
        int256 wh = int256(uint256(settled[trade])) + own;
        if (other != 0 || wh < 0 || own > 0) return true;
        int256 price = int256(uint256(trades[trade].price));
        int256 higher = wh * price / 1000 - (wh - own) * price / 1000;
        return money != (seller ? higher : -higher);
    }

    function changed(uint64 value, int64 by) private pure returns (uint64) {
        unchecked {
            return uint64(int64(value) + by);
        }
    }

    function test_less_energy_at_its_price(uint16 wh) public {
        settled[0] = wh % 1001;
        fresh();
        for (uint32 member = 0; member < 3; member += 2) {
            expectNoFault(member);
            disputes.challengeSum(p, statedOf(member), stepOf(member, 0), trades[0]);
        }
    }

    // Order of the lines

    function test_lines_whose_order_falls() public {
        seal();
        for (uint256 i = 0; i < 2; ++i) {
            expectNoFault(0);
            disputes.challengeSequence(p, statedOf(0), leafAt(0, i), leafAt(0, i + 1));
        }
        vm.expectRevert(abi.encodeWithSelector(Lines.NotAdjacent.selector, 0, 2));
        disputes.challengeSequence(p, statedOf(0), leafAt(0, 0), leafAt(0, 2));
        lines[0][2].order = bytes32(uint256(lines[0][1].order) - 1);
        total(0);
        restate();
        disputes.challengeSequence(p, statedOf(0), leafAt(0, 1), leafAt(0, 2));
        assertGone(true);
    }

    /// Two trades under the mandate of a home that stands at both ends: purchases first, each side by number.
    function test_trades_that_stand_the_wrong_way_round() public {
        seal();
        trySequence(true, 0, true, 1, false);
        trySequence(false, 0, false, 1, false);
        trySequence(true, 1, false, 0, false);
        trySequence(true, 1, true, 0, true);
        trySequence(false, 1, false, 0, true);
        trySequence(false, 0, true, 1, true);
        trySequence(true, 1, true, 1, true);
    }

    function trySequence(bool firstBuys, uint32 first, bool secondBuys, uint32 second, bool fault) private {
        (trades[0].number, trades[1].number) = (first, second);
        (trades[0].buyer, trades[0].seller) = firstBuys ? (uint32(0), uint32(2)) : (uint32(2), uint32(0));
        (trades[1].buyer, trades[1].seller) = secondBuys ? (uint32(0), uint32(3)) : (uint32(3), uint32(0));
        delete lines[0];
        for (uint256 i = 0; i < 2; ++i) {
            lines[0].push(Line(0, 0, 0, hashOf(trades[i]), hashOf(mandates[0])));
        }
        total(0);
        restate();
        if (!fault) expectNoFault(0);
        disputes.challengeTradeSequence(p, statedOf(0), leafAt(0, 0), leafAt(0, 1), trades[0], trades[1]);
        assertGone(fault);
    }

    function test_only_trades_under_one_order_have_a_sequence() public {
        seal();
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, lines[0][1].order, lines[0][2].order));
        disputes.challengeTradeSequence(p, statedOf(0), leafAt(0, 1), leafAt(0, 2), trades[1], trades[3]);
    }

    // Readings

    function tryDelivery(uint32 member, bool fault) private {
        book();
        if (p.slot == 0) seal();
        else restate();
        if (!fault) expectNoFault(member);
        disputes.challengeDelivery(p, statedOf(member), readings[member]);
        assertGone(fault);
    }

    function test_no_more_energy_than_the_net_of_the_meter() public {
        readings[0].whIn = 1750;
        tryDelivery(0, false);
        readings[2].whOut = 1250;
        tryDelivery(2, false);
        readings[0].whIn = 1749;
        tryDelivery(0, true);
        (readings[0].whIn, readings[0].whOut) = (2000, 251);
        tryDelivery(0, true);
        readings[2].whOut = 1249;
        tryDelivery(2, true);
        (readings[2].whOut, readings[2].whIn) = (3000, 3000);
        tryDelivery(2, true);
    }

    function test_a_reading_of_another_slot_or_meter() public {
        Reading memory honest = readings[0];
        for (uint256 i = 0; i < 4; ++i) {
            readings[0] = honest;
            if (i == 1) readings[0].slot = SLOT - SLOT_SECONDS;
            if (i == 2) readings[0].meter = readings[1].meter;
            if (i == 3) readings[0].meter = address(0xDEAD);
            tryDelivery(0, i != 0);
        }
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, statements[0].reading, hashOf(readings[1])));
        disputes.challengeDelivery(p, statedOf(0), readings[1]);
    }

    function test_the_reading_of_a_meter_revoked_in_mid_slot_counts() public {
        seal();
        // The post was made at the end of the slot; in its middle the meter had been taken out.
        vm.warp(SLOT + 1);
        vm.prank(operator);
        community.revokeMeter(readings[0].meter);
        vm.warp(END);
        expectNoFault(0);
        disputes.challengeDelivery(p, statedOf(0), readings[0]);
    }

    /// A home through whose meter nothing flowed buys at its dearest and sells at its cheapest.
    function test_a_home_that_buys_while_it_feeds_in_or_sells_while_it_draws() public {
        for (uint256 i = 0; i < 6; ++i) {
            (readings[0].whIn, readings[0].whOut) = (i == 0 ? 1 : 0, i == 2 ? 1 : 0);
            (readings[2].whIn, readings[2].whOut) = (i == 5 ? 1 : 0, i == 3 ? 1 : 0);
            uint32 member = i < 3 ? 0 : 2;
            fresh();
            if (i % 3 == 0) expectNoFault(member);
            disputes.challengeDirection(p, statedOf(member), stepOf(member, 0), readings[member]);
            assertGone(i % 3 != 0);
        }
    }

    function test_a_statement_without_a_reading_moves_nothing() public {
        for (uint256 i = 0; i < 4; ++i) {
            if (p.slot == 0) seal();
            (statements[0].bought, statements[0].sold, statements[0].money) = (i == 1 ? 1 : 0, i == 2 ? 1 : 0, 0);
            if (i == 3) statements[0].money = -1;
            statements[0].reading = 0;
            restate();
            if (i == 0) expectNoFault(0);
            disputes.challengeUnread(p, statedOf(0));
            assertGone(i != 0);
        }
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, 0, statements[1].reading));
        disputes.challengeUnread(p, statedOf(1));
    }

    // What was committed

    function test_a_trade_that_was_committed_otherwise() public {
        bytes32[] memory way = tradeSiblings(0);
        bytes32 agreed = hashOf(trades[0]);
        seal();
        expectNoFault(0);
        disputes.challengeCommitted(p, statedOf(0), leafOf(0, 0), trades[0], tradesRoot, agreed, way);
        // Behind the committed trades is room for others.
        bytes32[] memory behind = tradeSiblings(3);
        expectNoFault(0);
        disputes.challengeCommitted(p, statedOf(0), leafOf(0, 3), trades[3], tradesRoot, 0, behind);
        trades[0].price = 199_999;
        book();
        restate();
        disputes.challengeCommitted(p, statedOf(0), leafOf(0, 0), trades[0], tradesRoot, agreed, way);
        assertGone(true);
    }

    function test_a_final_post_stands() public {
        orders[0].limit = 1;
        fresh();
        finalise();
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        disputes.challengeOrder(p, statedOf(0), leafOf(0, 0), trades[0], orders[0]);
    }
}
