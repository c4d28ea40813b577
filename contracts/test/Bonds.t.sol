// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Bonds} from "../src/Bonds.sol";
import {Cash} from "../src/Cash.sol";
import {Post} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Base} from "./Base.sol";

/// What an operator stakes on its posts, and what happens to it. The test itself judges.
contract BondsTest is Base {
    uint64 private constant END = SLOT + SLOT_SECONDS;
    uint64 private constant FINAL_FROM = END + WINDOW;
    address private constant PROVER = address(0xBEEF);

    bytes private deltas = deltasOf(-40, 40);
    Post private p = postOf(SLOT, 0, deltas);

    function judges() internal view override returns (address, address) {
        return (address(this), address(this));
    }

    /// An odd number, so that half of it is rounded.
    function bond() internal pure override returns (uint64) {
        return 501;
    }

    function setUp() public override {
        super.setUp();
        addMembers(3);
        fund(0, 100);
        commit(SLOT);
        vm.warp(END);
    }

    function assertBond(uint64 lanes, uint32 open) private view {
        (uint64 staked, uint32 posts) = settlement.bonds(operator);
        vm.assertEq(staked, lanes);
        vm.assertEq(posts, open);
        uint256 held = uint256(staked) + settlement.forfeited();
        for (uint32 i = 0; i < 3; ++i) {
            held += settlement.balanceOf(i);
        }
        vm.assertEq(token.balanceOf(address(settlement)), held * LANE_UNIT);
    }

    function takeReward(uint64 lanes) private {
        vm.prank(PROVER);
        settlement.takeBond(lanes);
    }

    function expectTakeRevert(uint64 lanes, uint256 free) private {
        vm.expectRevert(abi.encodeWithSelector(Bonds.BondBound.selector, operator, free, lanes));
        vm.prank(operator);
        settlement.takeBond(lanes);
    }

    function test_a_post_needs_a_bond_until_it_is_final() public {
        expectPostRevert(p, deltas, abi.encodeWithSelector(Bonds.InsufficientBond.selector, operator, 0, 501));
        placeBonds(1);
        post(p, deltas);
        assertBond(501, 1);
        expectTakeRevert(1, 0);
        vm.warp(FINAL_FROM);
        settlement.finalise(p, deltas, 0);
        assertBond(501, 0);
        vm.prank(operator);
        settlement.takeBond(501);
        assertBond(0, 0);
        vm.assertEq(token.balanceOf(operator), 501 * LANE_UNIT);
        expectTakeRevert(1, 0);
    }

    function test_each_open_post_binds_a_bond_of_its_own() public {
        placeBonds(1);
        vm.warp(SLOT);
        commit(END);
        vm.warp(END + SLOT_SECONDS);
        post(p, deltas);
        Post memory second = postOf(END, 0, deltas);
        expectPostRevert(second, deltas, abi.encodeWithSelector(Bonds.InsufficientBond.selector, operator, 501, 1002));
        placeBonds(1);
        post(second, deltas);
        assertBond(1002, 2);
        settlement.strike(p, PROVER);
        takeReward(250);
        assertBond(501, 1);
        expectTakeRevert(1, 0);
    }

    function test_a_bond_fits_its_lane() public {
        placeBonds(1);
        vm.expectRevert(abi.encodeWithSelector(Bonds.BondOverflow.selector, operator, 501, type(uint64).max - 500));
        vm.prank(operator);
        settlement.placeBond(type(uint64).max - 500);
    }

    function test_an_expired_post_gives_its_bond_back() public {
        placeBonds(1);
        post(p, deltas);
        vm.warp(FINAL_FROM + GRACE);
        bytes memory reason = abi.encodeWithSelector(Settlement.NotExpired.selector, SLOT, 0);
        vm.expectRevert(reason);
        settlement.expire(p);
        vm.warp(FINAL_FROM + GRACE + 1);
        // The one that takes its place needs a bond of its own, which this one leaves.
        post(p, deltas);
        assertBond(501, 1);
        vm.warp(FINAL_FROM + GRACE + 1 + WINDOW + GRACE + 1);
        settlement.expire(p);
        assertBond(501, 0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, bytes32(0), digestOf(p)));
        settlement.expire(p);
    }

    function test_a_struck_post_is_gone_and_half_is_the_prover_s() public {
        placeBonds(1);
        post(p, deltas);
        vm.expectEmit(address(settlement));
        emit Settlement.Struck(SLOT, 0, operator, PROVER, 250);
        settlement.strike(p, PROVER);
        takeReward(250);
        assertBond(0, 0);
        vm.assertEq(token.balanceOf(PROVER), 250 * LANE_UNIT);
        vm.assertEq(settlement.forfeited(), 251);
        bytes memory reason = abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, bytes32(0), digestOf(p));
        vm.expectRevert(reason);
        settlement.strike(p, PROVER);
        vm.warp(FINAL_FROM);
        expectFinaliseRevert(p, deltas, reason);
    }

    function test_a_struck_post_returns_only_with_another_bond() public {
        placeBonds(1);
        post(p, deltas);
        settlement.strike(p, PROVER);
        expectPostRevert(p, deltas, abi.encodeWithSelector(Bonds.InsufficientBond.selector, operator, 0, 501));
        placeBonds(1);
        post(p, deltas);
        vm.warp(FINAL_FROM);
        settlement.finalise(p, deltas, 0);
        vm.expectRevert(abi.encodeWithSelector(Settlement.AlreadyFinal.selector, SLOT, 0));
        settlement.strike(p, PROVER);
        vm.assertEq(settlement.balanceOf(1), 40);
    }

    function test_a_held_post_waits_for_the_answer_and_a_window() public {
        placeBonds(1);
        post(p, deltas);
        vm.warp(FINAL_FROM - 1);
        (bytes32 digest, uint40 postedAt,) = settlement.hold(p);
        vm.assertEq(digest, digestOf(p));
        vm.assertEq(postedAt, END);
        uint256 until = FINAL_FROM - 1 + ANSWER_TIME + WINDOW;
        vm.warp(until - 1);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Settlement.NotYetFinal.selector, SLOT, 0, until));
        vm.expectRevert(abi.encodeWithSelector(Settlement.WindowOver.selector, SLOT, 0, FINAL_FROM));
        settlement.hold(p);
        vm.warp(until + GRACE + 1);
        expectFinaliseRevert(p, deltas, abi.encodeWithSelector(Settlement.Expired.selector, SLOT, 0, until + GRACE));
        vm.warp(until + GRACE);
        settlement.finalise(p, deltas, 0);
    }

    function test_only_the_judge_holds_and_strikes() public {
        bytes memory reason = abi.encodeWithSelector(Settlement.NotAJudge.selector, operator);
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.hold(p);
        vm.expectRevert(reason);
        vm.prank(operator);
        settlement.strike(p, operator);
    }

    /// Nothing but the very post can be struck or held.
    function test_another_post_is_not_struck() public {
        placeBonds(1);
        post(p, deltas);
        Post memory other = p;
        other.statements = keccak256("other statements");
        bytes memory reason =
            abi.encodeWithSelector(Settlement.NotPosted.selector, SLOT, 0, digestOf(p), digestOf(other));
        vm.expectRevert(reason);
        settlement.strike(other, PROVER);
        vm.expectRevert(reason);
        settlement.hold(other);
    }

    function test_bonds_in_ether() public {
        settlement = _settle(IERC20(address(0)), 1e12);
        vm.deal(operator, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(Cash.WrongAmount.selector, 1, 501e12));
        vm.prank(operator);
        settlement.placeBond{value: 1}(501);
        vm.prank(operator);
        settlement.placeBond{value: 501e12}(501);
        vm.warp(SLOT - 1);
        commit(SLOT);
        vm.warp(END);
        post(p, deltas);
        settlement.strike(p, PROVER);
        takeReward(250);
        vm.assertEq(PROVER.balance, 250e12);
        vm.assertEq(address(settlement).balance, 251e12);
    }
}
