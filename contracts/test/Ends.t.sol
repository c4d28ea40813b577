// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cut} from "../src/Ends.sol";
import {Judge, Leaf} from "../src/Judge.sol";
import {Statement, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// What is wrong between the two ends of a trade: one is missing, or both settle less than they could.
contract EndsTest is Batch {
    address private constant PROVER = address(0xBEEF);

    function standing() private view returns (bool) {
        (bytes32 digest,,,,) = settlement.posted(p.slot, p.revision);
        return digest != 0;
    }

    function noFault(uint32 member) private view returns (bytes memory) {
        return abi.encodeWithSelector(Judge.NoFault.selector, SLOT, p.revision, member);
    }

    function endOf(uint256 trade, bool sells) private view returns (uint32) {
        return sells ? trades[trade].seller : trades[trade].buyer;
    }

    // Missing

    /// Leaves a line out; sums and the delta follow, and what the member loses somebody else gets.
    function omit(uint32 member, uint256 trade) private {
        uint256 place = lineOf(member, trade);
        Statement memory gone = lines[place];
        int64 sign = trades[trade].buyer == member ? int64(1) : int64(-1);
        (int64 wh, int64 money) =
            (sign * int64(settled[trade]), -sign * int64(settled[trade] * trades[trade].price / 1000));
        bool alone = gone.index == 0 && lines[place + 1].member != member;
        if (alone) {
            lines[place] = Statement(gone.slot, gone.revision, member, 0, 0, 0, 0, 0, gone.reading);
        } else {
            for (uint256 i = place; i + 1 < lines.length; ++i) {
                lines[i] = lines[i + 1];
                if (lines[i].member != member) continue;
                (lines[i].index, lines[i].wh, lines[i].money) =
                (lines[i].index - 1, lines[i].wh - wh, lines[i].money - money);
            }
            lines.pop();
        }
        uint32 other = member == 1 ? 3 : 1;
        (changes[member], changes[other]) = (changes[member] - int32(money), changes[other] + int32(money));
    }

    function tradeOf(Statement memory line) private view returns (Trade memory) {
        for (uint256 i = 0; i < trades.length; ++i) {
            if (hashOf(trades[i]) == line.trade) return trades[i];
        }
        return trades[0];
    }

    /// Two lines side by side, of which the second stands there; of the first place that one alone.
    function placed(uint256 second) private view returns (Leaf[] memory around, Trade[] memory beside) {
        around = second == 0 ? one(0) : two(second - 1, second);
        beside = new Trade[](around.length);
        for (uint256 i = 0; i < around.length; ++i) {
            beside[i] = tradeOf(around[i].statement);
        }
    }

    /// Whether the post is deleted for a trade whose end is missing at this place.
    function tried(uint256 trade, bool sells, bool booked, uint256 second) private returns (bool done) {
        (Leaf[] memory around, Trade[] memory beside) = placed(second);
        Leaf[] memory line = booked ? one(lineOf(endOf(trade, !sells), trade)) : new Leaf[](0);
        bytes32[] memory way = booked ? new bytes32[](0) : siblingsOf(_tradeHashes(), trade);
        vm.prank(PROVER);
        (done,) = address(disputes)
            .call(abi.encodeCall(disputes.challengeMissing, (p, trades[trade], sells, line, way, around, beside)));
        vm.assertTrue(done != standing());
    }

    /// Whether any two lines side by side delete the post.
    function found(uint256 trade, bool sells, bool booked) private returns (bool) {
        for (uint256 second = 0; second < lines.length; ++second) {
            if (tried(trade, sells, booked, second)) return true;
        }
        return false;
    }

    function assertWhole() private {
        for (uint256 trade = 0; trade < trades.length; ++trade) {
            for (uint256 i = 0; i < 4; ++i) {
                (bool sells, bool booked) = (i % 2 == 0, i < 2);
                if (booked || trade < committed) vm.assertTrue(!found(trade, sells, booked));
            }
        }
    }

    function test_no_end_of_an_honest_post_is_missing() public {
        seal();
        assertWhole();
    }

    /// The lines of a silent home stay, with 0 Wh.
    function test_no_end_is_missing_where_a_meter_is_silent() public {
        for (uint256 i = 0; i < 3; ++i) {
            if (trades[i].buyer == 0) settled[i] = 0;
        }
        (settled[3], readings[0].meter) = (0, address(0));
        book();
        seal();
        assertWhole();
    }

    /// Under its mandate a home stands at both ends of trades: purchases before sales.
    function test_no_end_is_missing_where_a_mandate_has_both_sides() public {
        bothSides();
        seal();
        assertWhole();
    }

    function bothSides() private {
        committed = 0;
        delete trades;
        delete settled;
        for (uint32 i = 0; i < 4; ++i) {
            (uint32 buyer, uint32 seller) = i % 2 == 0 ? (uint32(0), uint32(2)) : (uint32(2), uint32(0));
            trades.push(Trade(SLOT, 0, i, buyer, seller, 100, 200_000, 0, 0));
            settled.push(100);
        }
        agree();
        book();
    }

    function test_an_end_that_is_left_out(uint8 trade, bool sells, bool booked, bool sides) public {
        trade %= 4;
        if (sides) bothSides();
        omit(endOf(trade, sells), trade);
        seal();
        booked = booked || trade >= committed;
        vm.assertTrue(found(trade, sells, booked));
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
    }

    function test_only_the_end_that_is_left_out_is_missing() public {
        omit(2, 0);
        seal();
        for (uint256 trade = 0; trade < 4; ++trade) {
            if (trade != 0) vm.assertTrue(!found(trade, true, true));
            // The line of the seller's end would have to be there to show the buyer's.
            if (trade != 0) vm.assertTrue(!found(trade, false, true));
        }
        vm.assertTrue(found(0, true, true));
    }

    /// Both ends: nothing but the commitment knows of the trade.
    function test_a_committed_trade_that_is_left_out() public {
        omit(0, 1);
        omit(3, 1);
        seal();
        vm.assertTrue(found(1, true, false));
    }

    /// Its last line: what stands there instead is a line without a trade, and the member behind it.
    function test_a_member_of_which_nothing_is_left() public {
        omit(1, 2);
        seal();
        vm.assertTrue(found(2, false, true));
    }

    /// The end would be the first line of all.
    function test_the_first_line_of_all() public {
        uint256 first = 0;
        while (hashOf(trades[first]) != lines[0].trade) ++first;
        omit(0, first);
        seal();
        vm.assertTrue(tried(first, false, true, 0));
    }

    /// A trade of the same number stands there, with somebody else.
    function test_another_trade_of_the_number() public {
        Trade memory agreed = trades[3];
        trades.push(agreed);
        trades[4].price = 100_000;
        trades[3] = trades[4];
        lines[lineOf0(2, agreed)].trade = hashOf(trades[3]);
        trades[4] = agreed;
        seal();
        vm.assertTrue(found(4, true, true));
    }

    function lineOf0(uint32 member, Trade memory trade) private view returns (uint256 place) {
        while (lines[place].member != member || lines[place].trade != hashOf(trade)) ++place;
    }

    /// A seller that nobody is, up to the number that ends the statements.
    function test_a_seller_that_is_nobody(uint32 seller) public {
        seller = seller % 2 == 0 ? SENTINEL : (seller < 4 ? 4 : seller);
        omit(2, 3);
        uint256 place = lineOf(0, 3);
        trades[3].seller = seller;
        lines[place].trade = hashOf(trades[3]);
        seal();
        vm.assertTrue(found(3, true, true));
    }

    function test_a_revision_leaves_a_committed_trade_out() public {
        uint32[] memory members = new uint32[](4);
        uint64[] memory lanes = new uint64[](4);
        for (uint32 i = 0; i < 4; ++i) {
            (members[i], lanes[i]) = (i, 1_000_000);
        }
        mint(address(this), 4_000_000 * LANE_UNIT);
        token.approve(address(settlement), type(uint256).max);
        settlement.depositFor(members, lanes);
        seal();
        vm.warp(END + WINDOW);
        settlement.finalise(p, deltas, 0);
        vm.warp(END + WINDOW + 1);
        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i].revision = 1;
        }
        (p.revision, p.statements) = (1, rootOf(_lineHashes()));
        publish();
        assertWhole();
        vm.prank(address(disputes));
        settlement.strike(p, PROVER);
        omit(3, 2);
        p.statements = rootOf(_lineHashes());
        publish();
        vm.assertTrue(found(2, true, false));
    }

    /// No post can book a trade with itself, or one of another slot: it is no fault to leave it out.
    function test_trades_that_nobody_can_book() public {
        committed = 2;
        (trades[0].seller, trades[1].slot) = (0, SLOT + SLOT_SECONDS);
        seal();
        for (uint256 i = 0; i < 4; ++i) {
            (Leaf[] memory around, Trade[] memory beside) = placed(1);
            bytes32[] memory way = siblingsOf(_tradeHashes(), i / 2);
            vm.expectRevert(noFault(endOf(i / 2, i % 2 == 0)));
            disputes.challengeMissing(p, trades[i / 2], i % 2 == 0, new Leaf[](0), way, around, beside);
        }
    }

    function test_what_shows_no_missing_end() public {
        omit(2, 0);
        seal();
        uint256 place = 0;
        while (lines[place].member != 2) ++place;
        while (lines[place].member == 2 && lines[place].order != trades[0].sellOrder) ++place;
        (Leaf[] memory around, Trade[] memory beside) = placed(place);
        Leaf[] memory booked = one(lineOf(0, 0));
        bytes32[] memory none = new bytes32[](0);
        // Neither committed nor booked.
        Trade memory invented = trades[0];
        invented.wh += 1;
        vm.expectRevert(
            abi.encodeWithSelector(Judge.OtherRecord.selector, settlement.commitments(SLOT), commitmentWith(invented))
        );
        disputes.challengeMissing(p, invented, true, new Leaf[](0), siblingsOf(_tradeHashes(), 0), around, beside);
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(trades[0]), hashOf(invented)));
        disputes.challengeMissing(p, invented, true, booked, none, around, beside);
        // The line is of the very end that is said to be missing.
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherMember.selector, 0, 0));
        disputes.challengeMissing(p, trades[0], false, booked, none, around, beside);
        // Lines that do not stand side by side, or are too many.
        vm.expectRevert(abi.encodeWithSelector(Judge.NotAdjacent.selector, 0, 2));
        disputes.challengeMissing(p, trades[0], true, booked, none, two(0, 2), beside);
        vm.expectRevert(abi.encodeWithSelector(Judge.NotAdjacent.selector, 0, lines.length - 1));
        disputes.challengeMissing(p, trades[0], true, booked, none, one(lines.length - 1), new Trade[](1));
        vm.expectRevert(abi.encodeWithSelector(Judge.WrongLines.selector, 3, 2));
        disputes.challengeMissing(p, trades[0], true, booked, none, three(0, 1, 2), new Trade[](3));
        vm.expectRevert(abi.encodeWithSelector(Judge.WrongLines.selector, 1, 2));
        disputes.challengeMissing(p, trades[0], true, booked, none, around, new Trade[](1));
        vm.assertTrue(standing());
        vm.assertTrue(found(0, true, true));
    }

    function commitmentWith(Trade memory trade) private view returns (bytes32) {
        bytes32[] memory hashes = _tradeHashes();
        hashes[0] = hashOf(trade);
        return keccak256(abi.encode(ordersRoot, rootOf(hashes)));
    }

    // Cut

    function cutOf(uint256 trade, uint256 later) private view returns (Cut memory cut) {
        (uint32 buyer, uint32 seller) = (trades[trade].buyer, trades[trade].seller);
        (cut.trade, cut.later) = (trades[trade], trades[later]);
        (cut.bought, cut.paid, cut.ends) = (stepOf(buyer, trade), stepOf(trades[later].buyer, later), endsOf(seller));
        (cut.buyOrder, cut.sellOrder) = (orders[buyer], orders[seller]);
        (cut.drawn, cut.fed) = (readings[buyer], readings[seller]);
    }

    function stands(uint256 trade, uint256 later) private {
        seal();
        Cut memory cut = cutOf(trade, later);
        vm.expectRevert(noFault(trades[trade].buyer));
        disputes.challengeCut(p, cut);
    }

    function test_a_trade_that_both_meters_counted_and_that_is_cut(uint16 wh) public {
        settled[0] = wh % 1000;
        book();
        seal();
        disputes.challengeCut(p, cutOf(0, wh % 2 == 0 ? 1 : 3));
        vm.assertTrue(!standing());
    }

    function test_a_trade_that_settles_whole() public {
        stands(0, 1);
    }

    function test_a_buyer_that_drew_less_than_it_ordered() public {
        (settled[0], readings[0].whIn) = (500, 1999);
        book();
        stands(0, 1);
    }

    function test_a_seller_that_fed_in_less_than_it_ordered() public {
        (settled[0], readings[2].whOut) = (500, 1999);
        book();
        stands(0, 1);
    }

    /// Money that runs out takes the last purchases first.
    function test_a_buyer_that_pays_for_nothing_later() public {
        (settled[0], settled[1], settled[3]) = (500, 0, 0);
        book();
        stands(0, 1);
    }

    function test_a_buyer_that_pays_for_an_earlier_trade() public {
        settled[1] = 0;
        book();
        stands(1, 0);
    }

    function test_a_later_trade_of_another_buyer() public {
        settled[0] = 0;
        book();
        stands(0, 2);
    }

    /// Of a seller whose balance can take no more, the last sales are cut.
    function test_a_seller_whose_balance_can_take_no_more() public {
        settled[0] = 0;
        book();
        uint256 last = 0;
        while (lines[last + 1].member <= 2) ++last;
        lines[last].money = 2 ** 30;
        stands(0, 1);
    }

    function test_records_that_are_not_the_trade_s() public {
        settled[0] = 0;
        book();
        seal();
        for (uint256 i = 0; i < 6; ++i) {
            Cut memory cut = cutOf(0, 1);
            (bytes32 named, bytes32 given) = (hashOf(trades[0]), hashOf(trades[1]));
            if (i == 0) cut.trade = trades[1];
            if (i == 1) (named, given, cut.later) = (given, named, trades[0]);
            if (i == 2) (named, given, cut.buyOrder) = (hashOf(orders[0]), hashOf(orders[1]), orders[1]);
            if (i == 3) (named, given, cut.sellOrder) = (hashOf(orders[2]), hashOf(orders[3]), orders[3]);
            if (i == 4) (named, given, cut.drawn) = (hashOf(readings[0]), hashOf(readings[1]), readings[1]);
            if (i == 5) (named, given, cut.fed) = (hashOf(readings[2]), hashOf(readings[3]), readings[3]);
            vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, named, given));
            disputes.challengeCut(p, cut);
        }
        // The lines of others than the two ends.
        Cut memory others = cutOf(0, 1);
        (others.ends, others.fed) = (endsOf(3), readings[3]);
        vm.expectRevert(noFault(0));
        disputes.challengeCut(p, others);
        others = cutOf(0, 1);
        (others.bought, others.drawn) = (stepOf(2, 0), readings[2]);
        vm.expectRevert(noFault(2));
        disputes.challengeCut(p, others);
        vm.assertTrue(standing());
    }
}
