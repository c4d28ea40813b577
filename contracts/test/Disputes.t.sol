// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Judge, Leaf} from "../src/Judge.sol";
import {Members} from "../src/Members.sol";
import {Proofs} from "../src/Proofs.sol";
import {Post, Statement, Trade} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Batch} from "./Batch.sol";

/// Every fault deletes a post, and no challenge deletes an honest one.
contract DisputesTest is Batch {
    address private constant PROVER = address(0xBEEF);

    function assertStruck() private view {
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
        vm.assertEq(settlement.forfeited(), 251);
    }

    modifier struck() {
        _;
        assertStruck();
    }

    function expectNoFault(uint32 member) private {
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, member));
    }

    // Honest

    function test_no_line_of_an_honest_batch_is_at_fault() public {
        seal();
        for (uint32 i = 0; i < 4; ++i) {
            uint32[2] memory ends = [trades[i].buyer, trades[i].seller];
            for (uint256 j = 0; j < 2; ++j) {
                tryLine(i, ends[j]);
            }
            trySides(i);
        }
        for (uint256 i = 0; i + 1 < lines.length; ++i) {
            expectNoFault(lines[i + 1].member);
            disputes.challengeSequence(p, leafAt(i), leafAt(i + 1));
        }
        for (uint32 i = 0; i < 4; ++i) {
            tryMember(i);
        }
        expectNoFault(SENTINEL);
        disputes.challengeEmptyLine(p, leafAt(lines.length - 1));
    }

    function tryLine(uint256 i, uint32 member) private {
        Leaf memory leaf = leafAt(lineOf(member, i));
        Trade memory trade = trades[i];
        expectNoFault(member);
        disputes.challengeTrade(p, leaf, trade);
        expectNoFault(member);
        disputes.challengeSum(p, stepOf(member, i), trade);
        Leaf[] memory step = stepOf(member, i);
        Leaf[] memory span = step.length == 1
            ? two(leaf.position, leaf.position)
            : three(leaf.position - 1, leaf.position, leaf.position);
        if (i < committed) {
            expectNoFault(member);
            disputes.challengeOrder(p, leaf, trade, orders[member]);
            expectNoFault(member);
            disputes.challengeOrderFill(p, span, orders[member]);
            expectNoFault(member);
            disputes.challengeCommitted(
                p, leaf, trade, tradesRoot, hashOf(trade), siblingsOf(_tradeHashes(), trade.number)
            );
        } else {
            expectNoFault(member);
            disputes.challengeMandate(p, leaf, trade, mandates[member]);
            expectNoFault(member);
            disputes.challengeMandateFill(p, span, mandates[member]);
            // Behind the committed trades nothing stands.
            expectNoFault(member);
            disputes.challengeCommitted(p, leaf, trade, tradesRoot, 0, siblingsOf(_tradeHashes(), 3));
        }
    }

    function trySides(uint256 i) private {
        uint32 buyer = trades[i].buyer;
        expectNoFault(buyer);
        disputes.challengeSides(p, stepOf(buyer, i), stepOf(trades[i].seller, i));
        expectNoFault(buyer);
        disputes.challengeSides(p, stepOf(buyer, i), stepOf(buyer, i));
    }

    function tryMember(uint32 member) private {
        Leaf[] memory ends = endsOf(member);
        expectNoFault(member);
        disputes.challengeDelta(p, ends, deltas);
        expectNoFault(member);
        disputes.challengeDelivery(p, ends, readings[member]);
        expectNoFault(member);
        disputes.challengeReading(p, ends[0], hashOf(readings[member]), siblingsOf(_readingHashes(), member));
        if (member == 3) vm.expectRevert(abi.encodeWithSelector(Members.UnknownMember.selector, 4));
        else expectNoFault(member + 1);
        disputes.challengeGap(p, ends);
        expectNoFault(0);
        disputes.challengeGap(p, one(0));
    }

    function test_the_trades_of_an_honest_order_stand_in_order() public {
        seal();
        (uint256 low, uint256 high) = (lineOf(0, 0), lineOf(0, 1));
        vm.assertEq(low + 1, high);
        expectNoFault(0);
        disputes.challengeTradeSequence(p, leafAt(low), leafAt(high), trades[0], trades[1]);
    }

    // 1. Consent

    function test_a_price_above_the_order_s_limit() public struck {
        orders[0].limit = 199_999;
        agree();
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeOrder(p, leafAt(lineOf(0, 0)), trades[0], orders[0]);
    }

    function test_a_price_below_the_order_s_limit() public struck {
        orders[2].limit = 200_001;
        agree();
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeOrder(p, leafAt(lineOf(2, 0)), trades[0], orders[2]);
    }

    function test_an_order_of_another_slot_side_or_member() public {
        for (uint256 i = 0; i < 4; ++i) {
            if (i == 0) orders[0].slot = SLOT + SLOT_SECONDS;
            if (i == 1) (orders[0].slot, orders[0].side) = (SLOT, 1);
            if (i == 2) (orders[0].side, orders[0].member) = (0, vm.addr(memberKey(1)));
            if (i == 3) orders[0].member = address(0xDEAD);
            fresh(i);
            disputes.challengeOrder(p, leafAt(lineOf(0, 0)), trades[0], orders[0]);
            (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
            vm.assertEq(digest, bytes32(0));
        }
    }

    /// Books and posts anew; the commitment of the first time stays, so only what follows it may change.
    function fresh(uint256 times) private {
        agree();
        book();
        if (times == 0) return seal();
        deltas = pack(changes);
        p.statements = rootOf(_lineHashes());
        p.deltas = keccak256(deltas);
        publish();
    }

    function test_a_pool_price_beyond_the_mandate() public struck {
        mandates[0].maxBuy = 150_000;
        agree();
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeMandate(p, leafAt(lineOf(0, 3)), trades[3], mandates[0]);
    }

    function test_a_mandate_that_ended_or_had_not_begun() public struck {
        mandates[2].validUntil = SLOT;
        agree();
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeMandate(p, leafAt(lineOf(2, 3)), trades[3], mandates[2]);
    }

    function test_a_trade_of_others_of_another_slot_or_under_another_order() public {
        Trade memory honest = trades[3];
        for (uint256 i = 0; i < 4; ++i) {
            trades[3] = honest;
            if (i == 0) trades[3].slot = SLOT + SLOT_SECONDS;
            fresh(i);
            uint256 place = lineOf(0, 3);
            if (i == 1) trades[3].seller = 0;
            if (i == 2) trades[3].buyer = 1;
            if (i == 3) trades[3].buyOrder = keccak256("another order");
            if (i > 0) {
                lines[place].trade = hashOf(trades[3]);
                restate();
            }
            disputes.challengeTrade(p, leafAt(place), trades[3]);
            (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
            vm.assertEq(digest, bytes32(0));
        }
    }

    /// Replaces what was just posted by the statements as they are now.
    function restate() private {
        vm.prank(address(disputes));
        settlement.strike(p, PROVER);
        placeBonds(1);
        p.statements = rootOf(_lineHashes());
        publish();
    }

    // 2. Filled above quantity

    function test_an_order_filled_above_its_energy() public struck {
        orders[0].wh = 1499;
        agree();
        book();
        seal();
        uint256 first = lineOf(0, 0);
        vm.prank(PROVER);
        disputes.challengeOrderFill(p, first == 0 ? two(0, 1) : three(first - 1, first, first + 1), orders[0]);
    }

    function test_a_mandate_filled_above_its_energy() public struck {
        mandates[2].sellWh = 249;
        agree();
        book();
        seal();
        uint256 first = lineOf(2, 3);
        vm.prank(PROVER);
        disputes.challengeMandateFill(
            p, lines[first].index == 0 ? two(first, first) : three(first - 1, first, first), mandates[2]
        );
    }

    // 3. Sums

    function test_any_change_of_a_running_sum(uint8 trade, bool seller, int32 wh, int32 money) public {
        trade %= 4;
        if (wh == 0 && money == 0) money = 1;
        uint32 member = seller ? trades[trade].seller : trades[trade].buyer;
        uint256 position = lineOf(member, trade);
        lines[position].wh += wh;
        lines[position].money += money;
        seal();
        Leaf[] memory step = stepOf(member, trade);
        bool honest = agrees(trade, seller, step);
        if (honest) expectNoFault(member);
        vm.prank(PROVER);
        disputes.challengeSum(p, step, trades[trade]);
        if (!honest) assertStruck();
    }

    /// Less energy than traded may settle, at its price.
    function agrees(uint256 trade, bool seller, Leaf[] memory step) private view returns (bool) {
        Statement memory line = step[step.length - 1].statement;
        (int256 wh, int256 money) = (line.wh, line.money);
        if (step.length == 2) (wh, money) = (wh - step[0].statement.wh, money - step[0].statement.money);
        if (seller) (wh, money) = (-wh, -money);
        Trade memory agreed = trades[trade];
        bool possible = wh >= 0 && wh <= int256(uint256(agreed.wh));
        return possible && -money == wh * int256(uint256(agreed.price)) / 1000;
    }

    function test_an_empty_line_that_moves_something() public struck {
        lines[lines.length - 1].money = 1;
        seal();
        vm.prank(PROVER);
        disputes.challengeEmptyLine(p, leafAt(lines.length - 1));
    }

    // 4. Delta

    function test_a_delta_that_is_not_the_last_sum() public struck {
        changes[1] += 1;
        changes[2] -= 1;
        seal();
        Leaf[] memory ends = endsOf(2);
        vm.prank(PROVER);
        disputes.challengeDelta(p, ends, deltas);
    }

    function test_a_revision_moves_the_difference() public {
        fundAll();
        seal();
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);
        Post memory earlier = p;
        Leaf[] memory before = endsOf(0);
        Leaf[] memory beforeOfOne = endsOf(1);
        // The pool trade settles less: 100 Wh instead of 250.
        settled[3] = 100;
        book();
        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i].revision = 1;
        }
        int32 back = int32(int256(uint256(150_001) * 250 / 1000 - uint256(150_001) * 100 / 1000));
        delete changes;
        (changes, p.revision) = (zeros(), 1);
        (changes[0], changes[1], changes[2]) = (back, 1, -back - 1);
        deltas = pack(changes);
        (p.statements, p.deltas) = (rootOf(_lineHashes()), keccak256(deltas));
        publish();
        vm.expectRevert(abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 1, 0));
        disputes.challengeRevision(p, endsOf(0), deltas, earlier, before);
        disputes.challengeRevision(p, endsOf(1), deltas, earlier, beforeOfOne);
        (bytes32 digest,,,,) = settlement.posted(SLOT, 1);
        vm.assertEq(digest, bytes32(0));
    }

    function zeros() private pure returns (int32[] memory) {
        return new int32[](4);
    }

    function fundAll() private {
        uint32[] memory members = new uint32[](4);
        uint64[] memory lanes = new uint64[](4);
        for (uint32 i = 0; i < 4; ++i) {
            (members[i], lanes[i]) = (i, 1_000_000);
        }
        mint(address(this), 4_000_000 * LANE_UNIT);
        token.approve(address(settlement), type(uint256).max);
        settlement.depositFor(members, lanes);
    }

    // 5. Passed over

    function test_a_member_passed_over() public struck {
        uint256 place = lineOf(1, 2);
        for (uint256 i = place; i + 1 < lines.length; ++i) {
            lines[i] = lines[i + 1];
        }
        lines.pop();
        seal();
        vm.prank(PROVER);
        disputes.challengeGap(p, two(place - 1, place));
    }

    function test_the_last_member_passed_over() public {
        addMembers(1);
        seal();
        disputes.challengeGap(p, endsOf(3));
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
    }

    function test_who_joined_in_mid_slot_is_not_passed_over() public {
        vm.warp(SLOT);
        addMembers(1);
        seal();
        expectNoFault(4);
        disputes.challengeGap(p, endsOf(3));
    }

    // 6. Unsorted

    function test_lines_out_of_order() public {
        Statement[] memory honest = lines;
        seal();
        uint256 second = lineOf(0, 1);
        for (uint256 i = 0; i < 6; ++i) {
            if (i == 0) lines[second].index += 1;
            if (i == 1) lines[second].reading = keccak256("another reading");
            if (i == 2) lines[second].order = 0;
            if (i == 3) lines[second].member = 1;
            if (i == 4) lines[second - 1].trade = 0;
            if (i == 5) lines[second - 1].member = 2;
            restate();
            disputes.challengeSequence(p, leafAt(second - 1), leafAt(second));
            placeBonds(1);
            publish();
            for (uint256 j = 0; j < honest.length; ++j) {
                lines[j] = honest[j];
            }
        }
    }

    function test_a_trade_that_stands_twice() public struck {
        uint256 second = lineOf(0, 1);
        lines[second].trade = hashOf(trades[0]);
        seal();
        vm.prank(PROVER);
        disputes.challengeTradeSequence(p, leafAt(second - 1), leafAt(second), trades[0], trades[0]);
    }

    // 7. Delivery

    function test_more_local_energy_than_the_meter_counted() public struck {
        readings[0].whIn = 1749;
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeDelivery(p, endsOf(0), readings[0]);
    }

    function test_a_sale_of_a_home_that_drew() public struck {
        readings[2].whIn = 6001;
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeDelivery(p, endsOf(2), readings[2]);
    }

    function test_a_reading_of_another_slot_or_meter() public {
        for (uint256 i = 0; i < 3; ++i) {
            if (i == 0) readings[0].slot = SLOT - SLOT_SECONDS;
            if (i == 1) (readings[0].slot, readings[0].meter) = (SLOT, readings[1].meter);
            if (i == 2) readings[0].meter = address(0xDEAD);
            fresh(i);
            disputes.challengeDelivery(p, endsOf(0), readings[0]);
            (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
            vm.assertEq(digest, bytes32(0));
        }
    }

    function test_the_reading_of_a_meter_revoked_in_mid_slot_counts() public {
        seal();
        // The post was made at the end of the slot; in its middle the meter had been taken out.
        vm.warp(SLOT + 1);
        vm.prank(operator);
        community.revokeMeter(readings[0].meter);
        vm.warp(END);
        expectNoFault(0);
        disputes.challengeDelivery(p, endsOf(0), readings[0]);
    }

    function test_the_readings_hold_another_reading() public struck {
        bytes32 named = hashOf(readings[1]);
        readings[1].sequence = 8;
        seal();
        uint256 place = lineOf(1, 2);
        vm.assertEq(lines[place].reading, named);
        vm.prank(PROVER);
        disputes.challengeReading(p, leafAt(place), hashOf(readings[1]), siblingsOf(_readingHashes(), 1));
    }

    // 8. Trades

    function test_a_trade_that_was_committed_otherwise() public {
        bytes32[] memory hashes = _tradeHashes();
        Trade memory agreed = trades[0];
        seal();
        trades[0].price = 249_999;
        book();
        restate();
        disputes.challengeCommitted(
            p, leafAt(lineOf(0, 0)), trades[0], tradesRoot, hashOf(agreed), siblingsOf(hashes, 0)
        );
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, bytes32(0));
    }

    function test_two_ends_of_a_trade_that_settle_different_energy() public struck {
        uint256 sale = lineOf(3, 2);
        lines[sale].wh += 1;
        seal();
        vm.prank(PROVER);
        disputes.challengeSides(p, stepOf(1, 2), stepOf(3, 2));
    }

    // Proofs

    function test_a_node_is_no_leaf_and_a_leaf_has_one_place() public {
        seal();
        Leaf memory leaf = leafAt(1);
        bytes32[] memory fewer = new bytes32[](leaf.siblings.length - 1);
        for (uint256 i = 0; i < fewer.length; ++i) {
            fewer[i] = leaf.siblings[i + 1];
        }
        Leaf memory short = Leaf(leaf.statement, 0, fewer);
        expectNotInTree(short);
        expectNotInTree(Leaf(leaf.statement, 0, leaf.siblings));
        leaf.position = 1 << leaf.siblings.length;
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, leaf.position, leaf.siblings.length));
        disputes.challengeEmptyLine(p, leaf);
    }

    /// With a node of the readings in place of a leaf every honest post could be deleted.
    function test_a_node_of_the_readings_is_no_reading() public {
        seal();
        bytes32[] memory hashes = _readingHashes();
        bytes32 node =
            keccak256(abi.encodePacked(keccak256(abi.encodePacked(hashes[0])), keccak256(abi.encodePacked(hashes[1]))));
        bytes32[] memory siblings = siblingsOf(hashes, 0);
        bytes32[] memory fewer = new bytes32[](1);
        fewer[0] = siblings[1];
        bytes32 found = keccak256(abi.encodePacked(keccak256(abi.encodePacked(node)), fewer[0]));
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.readings, found, 0));
        disputes.challengeReading(p, leafAt(0), node, fewer);
    }

    function expectNotInTree(Leaf memory leaf) private {
        bytes32 node = keccak256(abi.encodePacked(hashOf(leaf.statement)));
        for (uint256 i = 0; i < leaf.siblings.length; ++i) {
            bool left = leaf.position >> i & 1 == 0;
            node = left
                ? keccak256(abi.encodePacked(node, leaf.siblings[i]))
                : keccak256(abi.encodePacked(leaf.siblings[i], node));
        }
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, node, leaf.position));
        disputes.challengeEmptyLine(p, leaf);
    }

    function test_lines_of_another_slot_prove_nothing() public {
        lines[0].slot = SLOT - SLOT_SECONDS;
        seal();
        vm.expectRevert(abi.encodeWithSelector(Judge.ForeignLine.selector, SLOT - SLOT_SECONDS, 0));
        disputes.challengeTrade(p, leafAt(0), trades[0]);
    }

    function test_lines_that_are_not_adjacent_prove_nothing() public {
        seal();
        vm.expectRevert(abi.encodeWithSelector(Judge.NotAdjacent.selector, 0, 2));
        disputes.challengeSequence(p, leafAt(0), leafAt(2));
        vm.expectRevert(abi.encodeWithSelector(Judge.NotAdjacent.selector, 0, 2));
        disputes.challengeGap(p, two(0, 2));
        vm.expectRevert(abi.encodeWithSelector(Judge.NotAdjacent.selector, 0, 1));
        disputes.challengeGap(p, one(1));
        vm.expectRevert(abi.encodeWithSelector(Judge.WrongLines.selector, 1, 2));
        disputes.challengeSum(p, one(lineOf(0, 1)), trades[1]);
    }

    function test_a_final_post_stands() public {
        fundAll();
        lines[lines.length - 1].money = 1;
        seal();
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        disputes.challengeEmptyLine(p, leafAt(lines.length - 1));
    }
}
