// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Purse} from "../src/Purse.sol";
import {NotAnOperator} from "../src/Community.sol";
import {Lanes} from "../src/Lanes.sol";
import {Operators} from "../src/Operators.sol";
import {Anchor, Post} from "../src/Records.sol";
import {Settlement, Terms} from "../src/Settlement.sol";
import {Base} from "./Base.sol";

/// The way of a slot: commit, post, finalise.
contract SettlementTest is Base {
    uint64 private constant END = SLOT + SLOT_SECONDS;
    uint64 private constant FINAL_FROM = END + WINDOW;
    uint64 private constant FINAL_UNTIL = END + WINDOW + GRACE;

    /// Member 0 pays 40 to member 1.
    bytes private deltas = deltasOf(-40, 40);
    Post private p = postOf(SLOT, 0, deltas);
    /// The bills of one day.
    Anchor private period = Anchor(SLOT, SLOT + 1 days, keccak256("bills"));

    function setUp() public override {
        super.setUp();
        addMembers(3);
        fund(0, 100);
        commit(SLOT);
        vm.warp(END);
    }

    function assertBalances(uint64 first, uint64 second) private view {
        vm.assertEq(settlement.balanceOf(0), first);
        vm.assertEq(settlement.balanceOf(1), second);
    }

    function test_a_post_takes_effect_after_the_window() public {
        post(p, deltas);
        assertBalances(100, 0);
        (bytes32 digest, uint40 postedAt, uint40 heldUntil, bool finalised, address poster) = settlement.posted(SLOT, 0);
        vm.assertEq(digest, digestOf(p));
        vm.assertEq(postedAt, END);
        vm.assertEq(heldUntil, 0);
        vm.assertEq(poster, operator);
        vm.assertTrue(!finalised);

        vm.warp(FINAL_FROM);
        settlement.finalise(p, deltas, 0);
        assertBalances(60, 40);
        (,,, finalised,) = settlement.posted(SLOT, 0);
        vm.assertTrue(finalised);
    }

    function test_posts_take_effect_together_or_not_at_all() public {
        (Post[] memory posts, bytes[] memory packed) = (new Post[](2), new bytes[](2));
        (posts[0], packed[0]) = (p, deltas);
        // The second pays with what the first brings.
        (posts[1], packed[1]) = (postOf(END, 0, deltasOf(30, -30)), deltasOf(30, -30));
        bytes32[] memory keys = new bytes32[](2);
        vm.warp(SLOT - 1);
        commit(END);
        vm.warp(END + SLOT_SECONDS);
        post(p, deltas);
        post(posts[1], packed[1]);
        vm.warp(END + SLOT_SECONDS + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Purse.LengthMismatch.selector, 2, 1));
        settlement.finaliseAll(posts, packed, new bytes32[](1));
        vm.expectRevert(abi.encodeWithSelector(Purse.LengthMismatch.selector, 2, 1));
        settlement.finaliseAll(posts, new bytes[](1), keys);
        (posts[0], posts[1], packed[0], packed[1]) = (posts[1], posts[0], packed[1], packed[0]);
        vm.expectRevert(abi.encodeWithSelector(Lanes.InsufficientCollateral.selector, 1, 0, -30));
        settlement.finaliseAll(posts, packed, keys);
        assertBalances(100, 0);
        (posts[0], posts[1], packed[0], packed[1]) = (posts[1], posts[0], packed[1], packed[0]);
        settlement.finaliseAll(posts, packed, keys);
        assertBalances(90, 10);
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        settlement.finaliseAll(posts, packed, keys);
    }

    function test_none_of_the_posts_takes_effect_twice_in_one_call() public {
        (Post[] memory posts, bytes[] memory packed) = (new Post[](2), new bytes[](2));
        (posts[0], posts[1], packed[0], packed[1]) = (p, p, deltas, deltas);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        settlement.finaliseAll(posts, packed, new bytes32[](2));
        settlement.finaliseAll(new Post[](0), new bytes[](0), new bytes32[](0));
        assertBalances(100, 0);
    }

    // Commit

    function test_commit_covers_consecutive_slots() public {
        bytes32[] memory orders = new bytes32[](3);
        bytes32[] memory trades = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            (orders[i], trades[i]) = (bytes32(i), bytes32(i + 1));
        }
        uint64 first = END + SLOT_SECONDS;
        commit(first, orders, trades);
        for (uint64 i = 0; i < 3; ++i) {
            vm.assertEq(settlement.commitments(first + i * SLOT_SECONDS), keccak256(abi.encode(orders[i], trades[i])));
        }
    }

    function test_commit_is_refused_once_delivery_began_and_a_second_time() public {
        bytes32[] memory roots = new bytes32[](1);
        uint64[3] memory slots = [END, END + 1, SLOT];
        bytes[3] memory reasons = [
            abi.encodeWithSelector(Settlement.SlotStarted.selector, END),
            abi.encodeWithSelector(Settlement.SlotMisaligned.selector, END + 1, SLOT_SECONDS),
            abi.encodeWithSelector(Settlement.AlreadyCommitted.selector, SLOT)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.warp(i == 2 ? SLOT - 1 : END);
            expectCommitRevert(slots[i], roots, roots, reasons[i]);
        }
        expectCommitRevert(END, roots, new bytes32[](2), abi.encodeWithSelector(Purse.LengthMismatch.selector, 1, 2));
        bytes32[] memory none = new bytes32[](0);
        expectCommitRevert(END, none, none, abi.encodeWithSelector(Settlement.EmptyCommitment.selector, END));
    }

    function expectCommitRevert(uint64 slot, bytes32[] memory orders, bytes32[] memory trades, bytes memory reason)
        private
    {
        bytes[] memory signatures = quorum(gateDigest(slot, orders, trades));
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.commit(slot, orders, trades, signatures);
    }

    function test_commit_needs_a_quorum_over_these_slots_orders_and_trades() public {
        uint64 first = END + SLOT_SECONDS;
        bytes32[] memory orders = new bytes32[](2);
        bytes32[] memory trades = new bytes32[](2);
        orders[1] = ORDERS;
        bytes32 digest = gateDigest(first, orders, trades);
        bytes[] memory signatures = quorum(digest);
        (bytes32[] memory fewer, bytes32[] memory other) = (new bytes32[](1), new bytes32[](2));
        expectStranger(first + SLOT_SECONDS, orders, trades, signatures);
        expectStranger(first, other, trades, signatures);
        expectStranger(first, orders, orders, signatures);
        expectStranger(first, fewer, fewer, signatures);

        bytes[] memory one = new bytes[](1);
        one[0] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
        vm.prank(operator);
        settlement.commit(first, orders, trades, one);
    }

    /// Signatures over something else recover to nobody who counts.
    function expectStranger(uint64 slot, bytes32[] memory orders, bytes32[] memory trades, bytes[] memory signatures)
        private
    {
        address stranger = ECDSA.recover(gateDigest(slot, orders, trades), signatures[0]);
        vm.expectRevert(abi.encodeWithSelector(Operators.SignerNotAnOperator.selector, stranger));
        vm.prank(operator);
        settlement.commit(slot, orders, trades, signatures);
    }

    // Post

    function test_post_waits_for_the_end_of_the_slot() public {
        vm.warp(END - 1);
        expectPostRevert(p, deltas, abi.encodeWithSelector(Settlement.SlotNotOver.selector, SLOT, END));
    }

    function test_post_needs_the_committed_orders_and_trades() public {
        bytes32 committed = keccak256(abi.encode(ORDERS, TRADES));
        p.orders = keccak256("other orders");
        bytes32 given = keccak256(abi.encode(p.orders, TRADES));
        expectPostRevert(
            p, deltas, abi.encodeWithSelector(Settlement.CommitmentMismatch.selector, SLOT, committed, given)
        );
        p = postOf(SLOT - SLOT_SECONDS, 0, deltas);
        expectPostRevert(
            p, deltas, abi.encodeWithSelector(Settlement.CommitmentMismatch.selector, p.slot, bytes32(0), committed)
        );
    }

    function test_post_checks_its_deltas() public {
        bytes memory other = deltasOf(-41, 41);
        expectPostRevert(
            p, other, abi.encodeWithSelector(Settlement.DeltasMismatch.selector, keccak256(deltas), keccak256(other))
        );
        bytes[3] memory wrong = [bytes(hex"ffffffd800000029"), hex"ffffff", hex"00000000000000000000000000000000"];
        bytes[3] memory reasons = [
            abi.encodeWithSelector(Lanes.DeltasNotZeroSum.selector, 1),
            abi.encodeWithSelector(Lanes.DeltasMisaligned.selector, 3),
            abi.encodeWithSelector(Lanes.DeltasTooLong.selector, 16, 3)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            expectPostRevert(postOf(SLOT, 0, wrong[i]), wrong[i], reasons[i]);
        }
    }

    function test_an_empty_batch_is_refused() public {
        expectPostRevert(postOf(SLOT, 0, ""), "", abi.encodeWithSelector(Settlement.EmptyBatch.selector, SLOT, 0));
    }

    function test_only_operators_commit_post_and_anchor() public {
        bytes[] memory signatures = quorum(digestOf(p));
        bytes[] memory agreed = quorum(digestOf(period));
        bytes memory reason = abi.encodeWithSelector(NotAnOperator.selector, address(this));
        vm.expectRevert(reason);
        settlement.commit(END, new bytes32[](1), new bytes32[](1), signatures);
        vm.expectRevert(reason);
        settlement.post(p, TRADES, deltas, signatures);
        vm.expectRevert(reason);
        settlement.anchor(period, agreed);
    }

    // Signatures

    function expectSignaturesRevert(bytes[] memory signatures, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.post(p, TRADES, deltas, signatures);
    }

    function test_one_signature_is_too_few() public {
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = signature(operatorKeys[0], digestOf(p));
        expectSignaturesRevert(signatures, abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
    }

    function test_all_three_signatures_may_be_given() public {
        bytes[] memory signatures = new bytes[](3);
        for (uint256 i = 0; i < 3; ++i) {
            signatures[i] = signature(operatorKeys[i], digestOf(p));
        }
        vm.prank(operator);
        settlement.post(p, TRADES, deltas, signatures);
    }

    function test_signers_ascend_and_nobody_counts_twice() public {
        address first = vm.addr(operatorKeys[0]);
        address second = vm.addr(operatorKeys[1]);
        bytes[] memory signatures = quorum(digestOf(p));
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        expectSignaturesRevert(
            signatures, abi.encodeWithSelector(Operators.SignersNotAscending.selector, second, first)
        );
        signatures[0] = signatures[1];
        expectSignaturesRevert(signatures, abi.encodeWithSelector(Operators.SignersNotAscending.selector, first, first));
    }

    function test_malleable_and_broken_signatures_are_refused() public {
        bytes[] memory signatures = quorum(digestOf(p));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(operatorKeys[1], digestOf(p));
        uint256 curveOrder = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes32 mirrored = bytes32(curveOrder - uint256(s));
        signatures[1] = abi.encodePacked(r, mirrored, v == 27 ? uint8(28) : uint8(27));
        expectSignaturesRevert(signatures, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, mirrored));
        signatures[1] = abi.encodePacked(r, s);
        expectSignaturesRevert(signatures, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        signatures[1] = abi.encodePacked(r, s, uint8(29));
        expectSignaturesRevert(signatures, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
    }

    function test_strangers_do_not_count(uint128 seed) public {
        uint256 key = uint256(seed) + 0x1000;
        bytes[] memory signatures = new bytes[](2);
        bool strangerFirst = vm.addr(key) < vm.addr(operatorKeys[0]);
        signatures[strangerFirst ? 0 : 1] = signature(key, digestOf(p));
        signatures[strangerFirst ? 1 : 0] = signature(operatorKeys[0], digestOf(p));
        expectSignaturesRevert(signatures, abi.encodeWithSelector(Operators.SignerNotAnOperator.selector, vm.addr(key)));
    }

    /// A signature for another chain, contract or content recovers to somebody, but hardly to an operator.
    function expectForeignDigestRevert(bytes32 digest) private {
        bytes[] memory signatures = quorum(digest);
        address first = ECDSA.recover(digestOf(p), signatures[0]);
        expectSignaturesRevert(signatures, abi.encodeWithSelector(Operators.SignerNotAnOperator.selector, first));
    }

    function test_signatures_hold_for_one_chain_contract_and_content() public {
        expectForeignDigestRevert(digestOf(p, block.chainid + 1, address(settlement)));
        expectForeignDigestRevert(digestOf(p, block.chainid, address(community)));
        Post memory other = p;
        other.statements = keccak256("other statements");
        expectForeignDigestRevert(digestOf(other));
    }

    function test_signatures_do_not_follow_a_fork_to_another_chain_id() public {
        bytes[] memory signatures = quorum(digestOf(p));
        vm.chainId(block.chainid + 1);
        address first = ECDSA.recover(digestOf(p), signatures[0]);
        expectSignaturesRevert(signatures, abi.encodeWithSelector(Operators.SignerNotAnOperator.selector, first));
    }

    // Once, in order, in time

    function test_a_revision_is_posted_once() public {
        post(p, deltas);
        bytes memory reason = abi.encodeWithSelector(Settlement.AlreadyPosted.selector, SLOT, 0);
        expectPostRevert(p, deltas, reason);
        vm.warp(FINAL_UNTIL);
        expectPostRevert(p, deltas, reason);
        settlement.finalise(p, deltas, 0);
        vm.warp(uint256(FINAL_UNTIL) * 2);
        expectPostRevert(p, deltas, reason);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        assertBalances(60, 40);
    }

    function test_finalising_has_its_time() public {
        post(p, deltas);
        vm.warp(FINAL_FROM - 1);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Settlement.NotYetFinal.selector, SLOT, 0, FINAL_FROM));
        vm.warp(FINAL_UNTIL + 1);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Settlement.Expired.selector, SLOT, 0, FINAL_UNTIL));
    }

    function test_an_expired_post_gives_way_to_another() public {
        post(p, deltas);
        vm.warp(FINAL_UNTIL + 1);
        bytes memory corrected = deltasOf(-30, 30);
        Post memory second = postOf(SLOT, 0, corrected);
        post(second, corrected);
        vm.warp(uint256(FINAL_UNTIL) + 1 + WINDOW);
        expectFinaliseRevert(
            p, deltas, abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, digestOf(second), digestOf(p))
        );
        settlement.finalise(second, corrected, 0);
        assertBalances(70, 30);
    }

    function test_an_expired_post_may_return() public {
        post(p, deltas);
        vm.warp(FINAL_UNTIL + 1);
        post(p, deltas);
        expectFinaliseRevert(
            p, deltas, abi.encodeWithSelector(Settlement.NotYetFinal.selector, SLOT, 0, FINAL_UNTIL + 1 + WINDOW)
        );
        vm.warp(FINAL_UNTIL + 1 + WINDOW);
        settlement.finalise(p, deltas, 0);
        assertBalances(60, 40);
    }

    function test_only_the_posted_can_be_finalised() public {
        expectFinaliseRevert(
            p, deltas, abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, bytes32(0), digestOf(p))
        );
        post(p, deltas);
        vm.warp(FINAL_FROM);
        bytes memory other = deltasOf(-41, 41);
        expectFinaliseRevert(
            p, other, abi.encodeWithSelector(Settlement.DeltasMismatch.selector, keccak256(deltas), keccak256(other))
        );
    }

    function test_revisions_follow_final_ones() public {
        bytes memory correction = deltasOf(5, -5);
        Post memory second = postOf(SLOT, 1, correction);
        bytes memory reason = abi.encodeWithSelector(Settlement.PreviousNotFinal.selector, SLOT, 1);
        expectPostRevert(second, correction, reason);
        post(p, deltas);
        expectPostRevert(second, correction, reason);
        vm.warp(FINAL_FROM);
        settlement.finalise(p, deltas, 0);
        post(second, correction);
        vm.warp(FINAL_FROM + WINDOW);
        settlement.finalise(second, correction, 0);
        assertBalances(65, 35);
        expectPostRevert(
            postOf(SLOT, 3, deltas), deltas, abi.encodeWithSelector(Settlement.PreviousNotFinal.selector, SLOT, 3)
        );
    }

    function test_nobody_pays_more_than_it_holds() public {
        deltas = deltasOf(-101, 101);
        p = postOf(SLOT, 0, deltas);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Lanes.InsufficientCollateral.selector, 0, 100, -101));
        // What was missing can still be paid in.
        fund(0, 1);
        settlement.finalise(p, deltas, 0);
        assertBalances(0, 101);
    }

    function test_no_balance_outgrows_its_lane() public {
        fund(1, type(uint64).max);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Lanes.LaneOverflow.selector, 1, type(uint64).max, 40));
    }

    // Bills

    function anchor(Anchor memory bills) private {
        bytes[] memory signatures = quorum(digestOf(bills));
        vm.prank(operator);
        settlement.anchor(bills, signatures);
    }

    function expectAnchorRevert(Anchor memory bills, bytes[] memory signatures, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.anchor(bills, signatures);
    }

    function test_a_period_s_bills_are_anchored() public {
        vm.assertEq(settlement.anchored(period.start, period.until), bytes32(0));
        vm.expectEmit(address(settlement));
        emit Settlement.Anchored(period.start, period.until, period.bills);
        anchor(period);
        vm.assertEq(settlement.anchored(period.start, period.until), period.bills);
    }

    function test_a_period_s_bills_are_anchored_once() public {
        anchor(period);
        bytes memory reason =
            abi.encodeWithSelector(Settlement.AlreadyAnchored.selector, period.start, period.until, period.bills);
        expectAnchorRevert(period, quorum(digestOf(period)), reason);
        Anchor memory other = Anchor(period.start, period.until, keccak256("other bills"));
        expectAnchorRevert(other, quorum(digestOf(other)), reason);
        vm.warp(uint256(END) * 2);
        expectAnchorRevert(other, quorum(digestOf(other)), reason);
        vm.assertEq(settlement.anchored(period.start, period.until), period.bills);
    }

    function test_bills_need_a_quorum() public {
        bytes[] memory signatures = new bytes[](1);
        expectAnchorRevert(period, new bytes[](0), abi.encodeWithSelector(Operators.TooFewSignatures.selector, 0, 2));
        signatures[0] = signature(operatorKeys[0], digestOf(period));
        expectAnchorRevert(period, signatures, abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));

        address first = vm.addr(operatorKeys[0]);
        signatures = quorum(digestOf(period));
        signatures[1] = signatures[0];
        expectAnchorRevert(
            period, signatures, abi.encodeWithSelector(Operators.SignersNotAscending.selector, first, first)
        );
        vm.assertEq(settlement.anchored(period.start, period.until), bytes32(0));
    }

    /// Each field is part of what is signed, so a signature for one period and root is none for another.
    function test_signatures_hold_for_one_period_and_root() public {
        Anchor[3] memory others = [
            Anchor(period.start - 1, period.until, period.bills),
            Anchor(period.start, period.until + 1, period.bills),
            Anchor(period.start, period.until, keccak256("other bills"))
        ];
        bytes[] memory signatures = quorum(digestOf(period));
        for (uint256 i = 0; i < 3; ++i) {
            address stranger = ECDSA.recover(digestOf(others[i]), signatures[0]);
            expectAnchorRevert(
                others[i], signatures, abi.encodeWithSelector(Operators.SignerNotAnOperator.selector, stranger)
            );
        }
    }

    function test_a_period_starts_before_it_ends_and_has_bills() public {
        Anchor[4] memory wrong = [
            Anchor(SLOT, SLOT, period.bills),
            Anchor(SLOT + 1, SLOT, period.bills),
            Anchor(type(uint64).max, 0, period.bills),
            Anchor(period.start, period.until, 0)
        ];
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory reason = abi.encodeWithSelector(
                Settlement.InvalidAnchor.selector, wrong[i].start, wrong[i].until, wrong[i].bills
            );
            expectAnchorRevert(wrong[i], quorum(digestOf(wrong[i])), reason);
        }
    }

    function test_other_periods_may_overlap() public {
        Anchor[4] memory others = [
            Anchor(period.start, period.until + 1, keccak256("longer")),
            Anchor(period.start + 1, period.until, keccak256("shorter")),
            Anchor(period.until, period.until + 1 days, keccak256("next")),
            Anchor(0, type(uint64).max, period.bills)
        ];
        anchor(period);
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectEmit(address(settlement));
            emit Settlement.Anchored(others[i].start, others[i].until, others[i].bills);
            anchor(others[i]);
            vm.assertEq(settlement.anchored(others[i].start, others[i].until), others[i].bills);
        }
        vm.assertEq(settlement.anchored(period.start, period.until), period.bills);
    }

    // The rest

    function test_terms_must_make_sense() public {
        Terms[5] memory wrong = [
            Terms(0, 900, 0, 1, 1, 1, 0, 0, address(1), address(1)),
            Terms(1, 0, 0, 1, 1, 1, 0, 0, address(1), address(1)),
            Terms(1, 900, 900, 1, 1, 1, 0, 0, address(1), address(1)),
            Terms(1, 900, 0, 1, 0, 1, 0, 0, address(1), address(1)),
            Terms(1, 900, 0, 1, 1, 0, 0, 0, address(1), address(1))
        ];
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Settlement.InvalidTerms.selector, wrong[i]));
            new Settlement(community, IERC20(address(0)), wrong[i]);
        }
    }

    function test_slots_of_a_time_zone_half_an_hour_off_start_at_its_hours() public {
        settlement =
            new Settlement(community, IERC20(address(0)), Terms(1, 3600, 1800, 0, 1, 0, 0, 0, address(0), address(0)));
        bytes32[] memory roots = new bytes32[](1);
        vm.warp(1);
        commit(5400, roots, roots);
        expectCommitRevert(7200, roots, roots, abi.encodeWithSelector(Settlement.SlotMisaligned.selector, 7200, 3600));
    }
}
