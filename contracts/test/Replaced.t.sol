// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Judge} from "../src/Judge.sol";
import {Leaf, Lines, Stated} from "../src/Lines.sol";
import {Proofs} from "../src/Proofs.sol";
import {Order} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// A trade under an order that the member replaced or cancelled, and what is none.
contract ReplacedTest is Batch {
    /// The order of member 0 under which its trades are booked, and one behind all others in the tree.
    Order private order;
    Order private later;

    function setUp() public override {
        super.setUp();
        order = orders[0];
        later = order;
        later.nonce += 1;
    }

    /// Posts a slot in whose tree of orders the later one stands.
    function ordered() private {
        orders.push(later);
        seal();
    }

    function challenge(uint256 trade) private {
        (Stated memory s, Leaf memory leaf) = (statedOf(0), leafAt(0, placeOf(0, trade)));
        bytes32[] memory siblings = orderSiblings(4);
        vm.prank(PROVER);
        disputes.challengeReplaced(p, s, leaf, order, later, 4, siblings);
    }

    /// The line of trade 0 does not fall for this order, at this place of the tree.
    function refuse(Order memory under, Order memory by, uint256 position, bytes memory reason) private {
        (Stated memory s, Leaf memory leaf) = (statedOf(0), leafAt(0, placeOf(0, 0)));
        bytes32[] memory siblings = orderSiblings(position % orders.length);
        vm.expectRevert(reason);
        disputes.challengeReplaced(p, s, leaf, under, by, position, siblings);
        vm.assertTrue(standing());
    }

    function noFault() private pure returns (bytes memory) {
        return abi.encodeWithSelector(Lines.NoFault.selector, SLOT, 0, 0);
    }

    function test_a_trade_under_a_replaced_order() public {
        ordered();
        challenge(0);
        assertStruck();
    }

    function test_a_trade_under_a_cancelled_order() public {
        later.wh = 0;
        ordered();
        challenge(1);
        assertStruck();
    }

    function test_any_later_order_replaces(uint64 nonce) public {
        later.nonce = nonce;
        ordered();
        if (nonce <= order.nonce) return refuse(order, later, 4, noFault());
        challenge(0);
        assertStruck();
    }

    /// The honest post is under the later order; the earlier one stands before it in the tree.
    function test_an_honest_post_stands() public {
        Order memory first = order;
        order = later;
        later = first;
        orders.push(first);
        orders[0] = order;
        agree();
        book();
        seal();
        refuse(order, later, 4, noFault());
        refuse(order, order, 0, noFault());
        // The order that was replaced is not the one under which the line books the trade.
        refuse(later, order, 0, abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(order), hashOf(later)));
    }

    function test_an_order_for_another_slot_replaces_nothing() public {
        later.slot += SLOT_SECONDS;
        ordered();
        refuse(order, later, 4, noFault());
    }

    function test_an_order_for_the_other_side_replaces_nothing() public {
        later.side = 1;
        ordered();
        refuse(order, later, 4, noFault());
    }

    function test_another_member_s_order_replaces_nothing() public {
        later.member = orders[1].member;
        ordered();
        refuse(order, later, 4, noFault());
    }

    function test_an_order_outside_the_committed_tree_proves_nothing() public {
        orders.push(orders[3]);
        seal();
        bytes32 found = rootFrom(hashOf(later), 4, orderSiblings(4));
        refuse(order, later, 4, abi.encodeWithSelector(Proofs.NotInTree.selector, p.orders, found, 4));
        refuse(order, later, 12, abi.encodeWithSelector(Proofs.PositionOutside.selector, 12, 3));
    }

    /// A line that the statement does not have, and a statement that the post does not have.
    function test_a_line_or_a_statement_of_nobody_proves_nothing() public {
        ordered();
        (Stated memory s, Leaf memory leaf) = (statedOf(0), leafAt(0, placeOf(0, 0)));
        bytes32[] memory siblings = orderSiblings(4);
        leaf.line.money += 1;
        bytes32 found = rootFrom(hashOf(leaf.line), leaf.position, leaf.siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, s.statement.lines, found, leaf.position));
        disputes.challengeReplaced(p, s, leaf, order, later, 4, siblings);
        s.statement.lines = found;
        bytes32 root = rootFrom(hashOf(s.statement), 0, s.siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.statements, root, 0));
        disputes.challengeReplaced(p, s, leaf, order, later, 4, siblings);
        vm.assertTrue(standing());
    }

    /// A pool trade is under the mandate, which no order replaces.
    function test_a_trade_under_the_mandate() public {
        ordered();
        (Stated memory s, Leaf memory leaf) = (statedOf(0), leafAt(0, placeOf(0, 3)));
        bytes32[] memory siblings = orderSiblings(4);
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, leaf.line.order, hashOf(order)));
        disputes.challengeReplaced(p, s, leaf, order, later, 4, siblings);
    }
}
