// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Post} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Base} from "./Base.sol";

/// Posts that only a key makes final, posts that end early, and when a slot can be corrected.
contract LocksTest is Base {
    uint64 private constant END = SLOT + SLOT_SECONDS;
    uint64 private constant FINAL_FROM = END + WINDOW;
    bytes32 private constant KEY = keccak256("key");

    bytes private deltas = deltasOf(-40, 40);

    function setUp() public override {
        super.setUp();
        addMembers(2);
        fund(0, 1000);
        fund(1, 1000);
        commit(SLOT);
        vm.warp(END);
    }

    function locked(uint64 until) private view returns (Post memory p) {
        p = postOf(SLOT, 0, deltas);
        (p.lock, p.until) = (keccak256(abi.encode(KEY)), until);
    }

    function test_only_the_key_makes_a_locked_post_final() public {
        Post memory p = locked(0);
        vm.expectEmit(address(settlement));
        emit Settlement.Locked(SLOT, 0, p.lock, 0);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        bytes memory reason = abi.encodeWithSelector(Settlement.WrongKey.selector, SLOT, 0, p.lock);
        vm.expectRevert(reason);
        settlement.finalise(p, deltas, 0);
        vm.expectRevert(reason);
        settlement.finalise(p, deltas, p.lock);
        vm.expectEmit(address(settlement));
        emit Settlement.Unlocked(SLOT, 0, KEY);
        settlement.finalise(p, deltas, KEY);
        vm.assertEq(settlement.balanceOf(1), 1040);
    }

    /// The lock and the end are part of what the operators sign.
    function test_nobody_takes_the_lock_off() public {
        Post memory p = locked(0);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        Post memory other = locked(0);
        other.lock = 0;
        expectFinaliseRevert(
            other, deltas, abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, digestOf(p), digestOf(other))
        );
    }

    function test_a_post_is_gone_after_its_own_end() public {
        Post memory p = locked(FINAL_FROM + 10);
        post(p, deltas);
        vm.warp(FINAL_FROM + 10);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotExpired.selector, SLOT, 0));
        settlement.expire(p);
        vm.warp(FINAL_FROM + 11);
        vm.expectRevert(abi.encodeWithSelector(Settlement.Expired.selector, SLOT, 0, FINAL_FROM + 10));
        settlement.finalise(p, deltas, KEY);
        settlement.expire(p);
        // Neither of two: another post takes its place.
        Post memory next = postOf(SLOT, 0, deltas);
        post(next, deltas);
        vm.warp(FINAL_FROM + 11 + WINDOW);
        settlement.finalise(next, deltas, 0);
    }

    /// An end only shortens: withdrawals count on the window and the grace period.
    function test_an_end_does_not_prolong() public {
        Post memory p = locked(FINAL_FROM + GRACE + 100);
        post(p, deltas);
        vm.warp(FINAL_FROM + GRACE + 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.Expired.selector, SLOT, 0, FINAL_FROM + GRACE));
        settlement.finalise(p, deltas, KEY);
        settlement.expire(p);
    }

    function test_a_post_that_ends_before_its_window_is_refused() public {
        Post memory p = locked(FINAL_FROM - 1);
        expectPostRevert(
            p, deltas, abi.encodeWithSelector(Settlement.EndsTooEarly.selector, SLOT, 0, FINAL_FROM - 1, FINAL_FROM)
        );
    }

    function test_corrections_have_their_time() public {
        Post memory p = postOf(SLOT, 0, deltas);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        settlement.finalise(p, deltas, 0);
        Post memory second = postOf(SLOT, 1, deltas);
        vm.warp(END + CORRECTIONS + 1);
        expectPostRevert(
            second, deltas, abi.encodeWithSelector(Settlement.CorrectionsOver.selector, SLOT, END + CORRECTIONS)
        );
        vm.warp(END + CORRECTIONS);
        post(second, deltas);
        vm.warp(END + CORRECTIONS + WINDOW);
        settlement.finalise(second, deltas, 0);
        vm.assertEq(settlement.balanceOf(1), 1080);
    }
}
