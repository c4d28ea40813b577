// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cut, Ends, Missing} from "../src/Ends.sol";
import {Judge} from "../src/Judge.sol";
import {Leaf, Lines, Stated} from "../src/Lines.sol";
import {Proofs} from "../src/Proofs.sol";
import {Trade} from "../src/Records.sol";
import {EndsBatch} from "./EndsBatch.sol";

/// What is wrong between the two ends of a trade: they disagree, one is missing, or both settle less than they could.
contract EndsTest is EndsBatch {
    // Sides

    function test_two_ends_of_a_trade_that_settle_different_energy() public {
        lines[3][placeOf(3, 2)].sold += 1;
        total(3);
        seal();
        vm.prank(PROVER);
        disputes.challengeSides(p, statedOf(1), stepOf(1, 2), statedOf(3), stepOf(3, 2));
        assertStruck();
    }

    function test_two_ends_that_settle_the_same(uint16 wh) public {
        settled[1] = wh % 501;
        book();
        seal();
        expectNoFault(0);
        disputes.challengeSides(p, statedOf(0), stepOf(0, 1), statedOf(3), stepOf(3, 1));
        expectNoFault(3);
        disputes.challengeSides(p, statedOf(3), stepOf(3, 1), statedOf(0), stepOf(0, 1));
        // One end is not two.
        expectNoFault(0);
        disputes.challengeSides(p, statedOf(0), stepOf(0, 1), statedOf(0), stepOf(0, 1));
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(trades[0]), hashOf(trades[1])));
        disputes.challengeSides(p, statedOf(0), stepOf(0, 0), statedOf(3), stepOf(3, 1));
    }

    /// Lines without a trade are no two ends.
    function test_lines_without_a_trade_have_no_sides() public {
        (lines[0][0].trade, lines[2][0].trade) = (0, 0);
        total(0);
        total(2);
        seal();
        expectNoFault(0);
        disputes.challengeSides(p, statedOf(0), stepAt(0, 0), statedOf(2), stepAt(2, 0));
    }

    /// The other end's statement has to be the posted one as well, in each challenge that is shown two.
    function test_a_statement_of_the_other_end_that_was_not_posted() public {
        settled[0] = 500;
        book();
        seal();
        Stated memory forged = statedOf(2);
        lines[2][placeOf(2, 0)].sold += 1;
        forged.statement.lines = rootOf(lineHashes(2));
        bytes32 given = rootFrom(hashOf(forged.statement), 2, forged.siblings);
        bytes memory reason = abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, given, 2);
        vm.expectRevert(reason);
        disputes.challengeSides(p, statedOf(0), stepOf(0, 0), forged, stepOf(2, 0));
        Missing memory m = missingOf(0, false, true);
        (m.counterpart[0], m.booked[0]) = (forged, leafAt(2, placeOf(2, 0)));
        vm.expectRevert(reason);
        disputes.challengeMissing(p, m);
        Cut memory c = cutOf(0, 1);
        c.seller = forged;
        vm.expectRevert(reason);
        disputes.challengeCut(p, c);
        vm.assertTrue(standing());
    }

    // Missing

    /// Whether the post is deleted for an end that is missing at this place.
    function tried(uint256 trade, bool sells, bool booked, uint256 place) private returns (bool done) {
        Missing memory m = missingAt(trade, sells, booked, place);
        vm.prank(PROVER);
        (done,) = address(disputes).call(abi.encodeCall(disputes.challengeMissing, (p, m)));
        vm.assertTrue(done != standing());
    }

    /// Whether any place deletes the post.
    function found(uint256 trade, bool sells, bool booked) private returns (bool) {
        for (uint256 place = 0; place <= lines[endOf(trade, sells)].length; ++place) {
            if (tried(trade, sells, booked, place)) return true;
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
        (settled[0], settled[1], settled[3], readings[0].meter) = (0, 0, 0, address(0));
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
        Missing memory m = missingOf(trade, sells, booked);
        vm.prank(PROVER);
        disputes.challengeMissing(p, m);
        assertStruck();
    }

    function test_only_the_end_that_is_left_out_is_missing() public {
        omit(2, 0);
        seal();
        for (uint256 trade = 1; trade < 4; ++trade) {
            vm.assertTrue(!found(trade, true, true) && !found(trade, false, true));
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

    function test_a_member_of_which_no_line_is_left() public {
        omit(1, 2);
        seal();
        vm.assertEq(statements[1].lines, bytes32(0));
        vm.assertTrue(found(2, false, true));
    }

    /// A trade of the same number stands there, with somebody else.
    function test_another_trade_of_the_number() public {
        uint256 place = placeOf(2, 3);
        trades.push(trades[3]);
        trades[4].price = 100_000;
        lines[2][place].trade = hashOf(trades[4]);
        total(2);
        seal();
        vm.assertTrue(found(3, true, true));
    }

    /// The other end came after the slot began, or is nobody at all.
    function test_a_trade_whose_other_end_has_no_statement(uint32 seller) public {
        seller = seller % 2 == 0 ? 4 : (seller < 4 ? type(uint32).max : seller);
        uint256 place = placeOf(0, 3);
        trades[3].seller = seller;
        lines[0][place].trade = hashOf(trades[3]);
        total(0);
        seal();
        vm.prank(PROVER);
        disputes.challengeAbsent(p, statedOf(0), leafAt(0, place), trades[3], statementSiblings(seller));
        assertStruck();
    }

    function test_a_trade_whose_ends_have_statements() public {
        seal();
        for (uint32 member = 0; member < 3; member += 2) {
            (bytes32[] memory siblings, uint32 other) = (statementSiblings(2 - member), 2 - member);
            bytes32 found_ = rootFrom(0, other, siblings);
            vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, found_, other));
            disputes.challengeAbsent(p, statedOf(member), leafAt(member, placeOf(member, 3)), trades[3], siblings);
        }
        // Of others nothing is shown.
        lines[1][0].trade = hashOf(trades[3]);
        total(1);
        restate();
        vm.expectRevert(abi.encodeWithSelector(Ends.OtherMember.selector, 1, 2));
        disputes.challengeAbsent(p, statedOf(1), leafAt(1, 0), trades[3], statementSiblings(4));
    }

    function test_a_revision_leaves_a_committed_trade_out() public {
        seal();
        finalise();
        book();
        state();
        assertWhole();
        omit(3, 2);
        restate();
        vm.assertTrue(found(2, true, false));
    }

    /// No post can book a trade with itself, or one of another slot: it is no fault to leave it out.
    function test_trades_that_nobody_can_book() public {
        committed = 2;
        (trades[0].seller, trades[1].slot) = (0, SLOT + SLOT_SECONDS);
        seal();
        for (uint256 i = 0; i < 4; ++i) {
            (uint256 trade, bool sells) = (i / 2, i % 2 == 0);
            Missing memory m = missingAt(trade, sells, false, lines[endOf(trade, sells)].length);
            expectNoFault(endOf(trade, sells));
            disputes.challengeMissing(p, m);
        }
    }

    function refuse(Missing memory m, bytes memory reason) private {
        vm.expectRevert(reason);
        disputes.challengeMissing(p, m);
        vm.assertTrue(standing());
    }

    function test_what_shows_no_missing_end() public {
        omit(0, 1);
        seal();
        // Neither booked nor committed.
        Missing memory m = missingOf(1, false, false);
        m.trade.wh += 1;
        bytes32[] memory hashes = tradeHashes();
        hashes[1] = hashOf(m.trade);
        bytes32 given = keccak256(abi.encode(ordersRoot, rootOf(hashes)));
        refuse(m, abi.encodeWithSelector(Judge.OtherRecord.selector, settlement.commitments(SLOT), given));
        m = missingOf(1, false, true);
        m.trade.wh += 1;
        refuse(m, abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(trades[1]), hashOf(m.trade)));
        // The line is of another member than the other end, or the statement of another than the end itself.
        m = missingOf(1, false, true);
        m.counterpart[0] = statedOf(2);
        refuse(m, abi.encodeWithSelector(Ends.OtherMember.selector, 3, 2));
        m = missingOf(1, false, true);
        m.own = statedOf(1);
        refuse(m, abi.encodeWithSelector(Ends.OtherMember.selector, 0, 1));
        m = missingOf(1, false, true);
        m.counterpart = new Stated[](0);
        refuse(m, abi.encodeWithSelector(Lines.WrongLines.selector, 0, 1));
        // Lines of another place, too few, or without their trades.
        m = missingOf(1, false, true);
        m.place += 1;
        refuse(m, abi.encodeWithSelector(Lines.NotAdjacent.selector, m.around[0].position, m.place));
        m = missingAt(1, false, true, 0);
        (m.around, m.beside) = (leaves(0, 1, 1), new Trade[](1));
        refuse(m, abi.encodeWithSelector(Lines.NotAdjacent.selector, 0, 1));
        m = missingOf(1, false, true);
        m.around = new Leaf[](0);
        refuse(m, abi.encodeWithSelector(Lines.WrongLines.selector, 0, 2));
        m = missingOf(1, false, true);
        m.beside = new Trade[](1);
        refuse(m, abi.encodeWithSelector(Lines.WrongLines.selector, 1, 2));
        vm.assertTrue(found(1, false, true));
    }

    /// The place behind a line is said to be beyond the tree.
    function test_a_tree_that_goes_on_does_not_end() public {
        omit(0, 1);
        seal();
        Missing memory m = missingOf(1, false, true);
        vm.assertEq(m.around.length, 2);
        m.around = leaves(0, 0, 0);
        (m.beside, m.behind) = (new Trade[](1), new bytes32[](0));
        m.beside[0] = trades[0];
        refuse(m, abi.encodeWithSelector(Lines.NotAdjacent.selector, 0, 1));
    }

    // Cut

    function whole(uint256 trade, uint256 later) private {
        book();
        seal();
        Cut memory c = cutOf(trade, later);
        expectNoFault(trades[trade].buyer);
        disputes.challengeCut(p, c);
    }

    function test_a_trade_that_both_meters_counted_and_that_is_cut(uint16 wh) public {
        settled[0] = wh % 1000;
        book();
        seal();
        Cut memory c = cutOf(0, wh % 2 == 0 ? 1 : 3);
        vm.prank(PROVER);
        disputes.challengeCut(p, c);
        assertStruck();
    }

    /// What a buyer is paid later, as a seller, says nothing of its money.
    function test_a_later_trade_that_the_buyer_is_paid_for() public {
        (settled[0], trades[3].buyer, trades[3].seller) = (500, 2, 0);
        agree();
        book();
        seal();
        Cut memory c = cutOf(0, 3);
        c.paid = stepOf(0, 3);
        expectNoFault(0);
        disputes.challengeCut(p, c);
    }

    function test_a_trade_that_settles_whole() public {
        whole(0, 1);
    }

    function test_a_buyer_that_drew_less_than_it_ordered() public {
        (settled[0], readings[0].whIn) = (500, 1999);
        whole(0, 1);
    }

    function test_a_seller_that_fed_in_less_than_it_ordered() public {
        (settled[0], readings[2].whOut) = (500, 1999);
        whole(0, 1);
    }

    /// Money that runs out takes the last purchases first.
    function test_a_buyer_that_pays_for_nothing_later() public {
        (settled[0], settled[1], settled[3]) = (500, 0, 0);
        whole(0, 1);
    }

    function test_a_buyer_that_pays_for_an_earlier_trade() public {
        settled[1] = 0;
        whole(1, 0);
    }

    /// Of a seller whose balance can take no more, the last sales are cut.
    function test_a_seller_whose_balance_can_take_no_more() public {
        settled[0] = 0;
        book();
        statements[2].money = 2 ** 30;
        seal();
        Cut memory c = cutOf(0, 1);
        expectNoFault(0);
        disputes.challengeCut(p, c);
        statements[2].money = 2 ** 30 - 1;
        restate();
        disputes.challengeCut(p, cutOf(0, 1));
        vm.assertTrue(!standing());
    }

    function test_records_that_are_not_the_trade_s() public {
        settled[0] = 0;
        book();
        seal();
        for (uint256 i = 0; i < 6; ++i) {
            Cut memory c = cutOf(0, 1);
            (bytes32 named, bytes32 given) = (hashOf(trades[0]), hashOf(trades[1]));
            if (i == 0) c.trade = trades[1];
            if (i == 1) (named, given, c.later) = (given, named, trades[0]);
            if (i == 2) (named, given, c.buyOrder) = (hashOf(orders[0]), hashOf(orders[1]), orders[1]);
            if (i == 3) (named, given, c.sellOrder) = (hashOf(orders[2]), hashOf(orders[3]), orders[3]);
            if (i == 4) (named, given, c.drawn) = (hashOf(readings[0]), hashOf(readings[1]), readings[1]);
            if (i == 5) (named, given, c.fed) = (hashOf(readings[2]), hashOf(readings[3]), readings[3]);
            vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, named, given));
            disputes.challengeCut(p, c);
        }
        // The statement of another seller.
        Cut memory others = cutOf(0, 1);
        (others.seller, others.fed) = (statedOf(3), readings[3]);
        expectNoFault(0);
        disputes.challengeCut(p, others);
        vm.assertTrue(standing());
    }
}
