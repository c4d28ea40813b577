// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Judge, Leaf} from "../src/Judge.sol";
import {Proofs} from "../src/Proofs.sol";
import {Order} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// A trade under an order that the member replaced or cancelled, and what is none.
contract ReplacedTest is Batch {
    address private constant PROVER = address(0xBEEF);

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

    function standing() private view returns (bool) {
        (bytes32 digest,,,,) = settlement.posted(SLOT, 0);
        return digest != 0;
    }

    function challenge(uint256 trade) private {
        Leaf memory leaf = leafAt(lineOf(0, trade));
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 4);
        vm.prank(PROVER);
        disputes.challengeReplaced(p, leaf, order, later, 4, siblings);
    }

    function refuse(bytes memory reason) private {
        ordered();
        Leaf memory leaf = leafAt(lineOf(0, 0));
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 4);
        vm.expectRevert(reason);
        disputes.challengeReplaced(p, leaf, order, later, 4, siblings);
        vm.assertTrue(standing());
    }

    function noFault() private pure returns (bytes memory) {
        return abi.encodeWithSelector(Judge.NoFault.selector, SLOT, 0, 0);
    }

    function test_a_trade_under_a_replaced_order() public {
        ordered();
        challenge(0);
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
    }

    function test_a_trade_under_a_cancelled_order() public {
        later.wh = 0;
        ordered();
        challenge(1);
        vm.assertTrue(!standing());
    }

    function test_any_later_order_replaces(uint64 nonce) public {
        later.nonce = nonce;
        if (nonce <= order.nonce) return refuse(noFault());
        ordered();
        challenge(0);
        vm.assertTrue(!standing());
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
        Leaf memory leaf = leafAt(lineOf(0, 0));
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 4);
        vm.expectRevert(noFault());
        disputes.challengeReplaced(p, leaf, order, later, 4, siblings);
        siblings = siblingsOf(_orderHashes(), 0);
        vm.expectRevert(noFault());
        disputes.challengeReplaced(p, leaf, order, order, 0, siblings);
        // The order that was replaced is not the one under which the line books the trade.
        siblings = siblingsOf(_orderHashes(), 0);
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, hashOf(order), hashOf(later)));
        disputes.challengeReplaced(p, leaf, later, order, 0, siblings);
        vm.assertTrue(standing());
    }

    function test_an_order_for_another_slot_replaces_nothing() public {
        later.slot += SLOT_SECONDS;
        refuse(noFault());
    }

    function test_an_order_for_the_other_side_replaces_nothing() public {
        later.side = 1;
        refuse(noFault());
    }

    function test_another_member_s_order_replaces_nothing() public {
        later.member = orders[1].member;
        refuse(noFault());
    }

    function test_an_order_outside_the_committed_tree_proves_nothing() public {
        orders.push(orders[3]);
        seal();
        Leaf memory leaf = leafAt(lineOf(0, 0));
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 4);
        bytes32 found = treeWith(hashOf(later));
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, p.orders, found, 4));
        disputes.challengeReplaced(p, leaf, order, later, 4, siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.PositionOutside.selector, 12, 3));
        disputes.challengeReplaced(p, leaf, order, later, 12, siblings);
        vm.assertTrue(standing());
    }

    /// Root of the orders if this one stood at the fifth place.
    function treeWith(bytes32 structHash) private view returns (bytes32) {
        bytes32[] memory hashes = _orderHashes();
        hashes[4] = structHash;
        return rootOf(hashes);
    }

    /// A pool trade is under the mandate, which no order replaces.
    function test_a_trade_under_the_mandate() public {
        ordered();
        Leaf memory leaf = leafAt(lineOf(0, 3));
        bytes32[] memory siblings = siblingsOf(_orderHashes(), 4);
        vm.expectRevert(abi.encodeWithSelector(Judge.OtherRecord.selector, leaf.statement.order, hashOf(order)));
        disputes.challengeReplaced(p, leaf, order, later, 4, siblings);
    }
}
