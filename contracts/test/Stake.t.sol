// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Operators} from "../src/Operators.sol";
import {Stake} from "../src/Stake.sol";
import {Base} from "./Base.sol";

contract StakeTest is Base {
    uint64 private constant DAY = 86_400;
    uint64 private today;
    Stake private stake;
    address[] private who;
    bytes32[] private tips;
    uint256[] private tokens;

    function setUp() public override {
        super.setUp();
        stake = new Stake(community, DAY);
        today = uint64(block.timestamp) / DAY;
        row(address(10), keccak256("ten"), 7);
        row(address(11), keccak256("eleven"), 5);
    }

    function row(address member, bytes32 tip, uint256 held) private {
        who.push(member);
        tips.push(tip);
        tokens.push(held);
    }

    function clear() private {
        delete who;
        delete tips;
        delete tokens;
    }

    /// The digest that wallets compute, spelled out independently of the contract.
    function digest(uint64 day) private view returns (bytes32) {
        bytes32 body = keccak256(
            abi.encode(keccak256("Stakes(uint64 day,bytes32 table)"), day, keccak256(abi.encode(who, tips, tokens)))
        );
        return digestOf(body, block.chainid, address(stake));
    }

    function publish(uint64 day) private {
        bytes[] memory signatures = quorum(digest(day));
        stake.publish(day, who, tips, tokens, signatures);
    }

    function expectRevert(uint64 day, bytes memory reason) private {
        bytes[] memory signatures = quorum(digest(day));
        vm.expectRevert(reason);
        stake.publish(day, who, tips, tokens, signatures);
    }

    function checkEntry(address member, bytes32 tip, uint256 held) private view {
        (bytes32 foundTip, uint256 foundTokens) = stake.entries(member);
        vm.assertEq(foundTip, tip);
        vm.assertEq(foundTokens, held);
    }

    /// Over another content signatures recover to some address or other, so the error's values cannot be foretold.
    function checkRefused(bytes[] memory signatures) private {
        try stake.publish(today, who, tips, tokens, signatures) {
            vm.assertTrue(false);
        } catch {
            vm.assertEq(stake.day(), 0);
        }
    }

    function test_anybody_may_bring_what_a_quorum_signed() public {
        vm.prank(address(99));
        publish(today);
        vm.assertEq(stake.day(), today);
        vm.assertEq(stake.memberCount(), 2);
        vm.assertEq(stake.members(1), address(11));
        checkEntry(address(10), keccak256("ten"), 7);
        checkEntry(address(11), keccak256("eleven"), 5);
    }

    function test_rows_that_a_table_leaves_out_stay() public {
        publish(today);
        vm.warp(block.timestamp + DAY);
        clear();
        row(address(11), bytes32(0), 0);
        row(address(12), keccak256("twelve"), 1);
        publish(today + 1);
        vm.assertEq(stake.memberCount(), 3);
        checkEntry(address(10), keccak256("ten"), 7);
        checkEntry(address(11), bytes32(0), 0);
        checkEntry(address(12), keccak256("twelve"), 1);
    }

    function test_whoever_left_may_come_back_once_in_the_list() public {
        publish(today);
        clear();
        row(address(10), bytes32(0), 0);
        vm.warp(block.timestamp + DAY);
        publish(today + 1);
        clear();
        row(address(10), keccak256("again"), 2);
        vm.warp(block.timestamp + DAY);
        publish(today + 2);
        vm.assertEq(stake.memberCount(), 2);
        checkEntry(address(10), keccak256("again"), 2);
    }

    function test_days_go_upwards_and_none_comes_early() public {
        expectRevert(today + 1, abi.encodeWithSelector(Stake.WrongDay.selector, today + 1, 0, today));
        publish(today);
        expectRevert(today, abi.encodeWithSelector(Stake.WrongDay.selector, today, today, today));
        expectRevert(today - 1, abi.encodeWithSelector(Stake.WrongDay.selector, today - 1, today, today));
    }

    function test_signatures_count_for_one_table_of_one_day() public {
        bytes[] memory signatures = quorum(digest(today - 1));
        checkRefused(signatures);
        signatures = quorum(digest(today));
        ++tokens[0];
        checkRefused(signatures);
    }

    function test_fewer_signatures_than_the_threshold_do_nothing() public {
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = signature(operatorKeys[0], digest(today));
        vm.expectRevert(abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
        stake.publish(today, who, tips, tokens, signatures);
    }

    function test_columns_belong_together() public {
        tips.push(keccak256("one too many"));
        expectRevert(today, abi.encodeWithSelector(Stake.UnequalColumns.selector, 2, 3, 2));
        tokens.push(1);
        expectRevert(today, abi.encodeWithSelector(Stake.UnequalColumns.selector, 2, 3, 3));
    }

    function test_the_zero_address_seals_no_blocks() public {
        row(address(0), keccak256("nobody"), 1);
        expectRevert(today, abi.encodeWithSelector(Stake.InvalidMember.selector, address(0)));
    }

    function test_a_day_is_longer_than_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(Stake.InvalidDay.selector));
        new Stake(community, 0);
    }
}
