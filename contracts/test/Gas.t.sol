// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Anchor, Post} from "../src/Records.sol";
import {Base, Gas} from "./Base.sol";

/// What a slot costs when all members trade, each step a transaction of its own, in a community that ran before. The
/// figures appear with `-vv`; the ceilings are there so that a dearer change is noticed.
/// forge-config: default.isolate = true
contract GasTest is Base {
    event log_named_uint(string what, uint256 gas);

    function bond() internal pure override returns (uint64) {
        return 1_000_000;
    }

    function test_gas_of_a_slot_with_40_members() public {
        measure(40);
    }

    function test_gas_of_a_slot_with_200_members() public {
        measure(200);
    }

    function test_gas_of_a_slot_with_1000_members() public {
        measure(1000);
    }

    /// All members trade in the slot, and its correction moves all of them, beside the next slot's post.
    function test_gas_of_a_correction_of_40_members() public {
        uint256 members = 40;
        addMembers(members);
        placeBonds(9);
        bytes memory deltas = dense(members);
        bytes32[] memory orders = new bytes32[](3);
        bytes32[] memory trades = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            (orders[i], trades[i]) = (ORDERS, TRADES);
        }
        commit(SLOT, orders, trades);
        uint64 next = SLOT + SLOT_SECONDS;
        vm.warp(SLOT + 3 * SLOT_SECONDS);
        Post memory p = postOf(SLOT, 0, deltas);
        post(p, deltas);
        vm.warp(block.timestamp + WINDOW);
        settlement.finalise(p, deltas, 0);
        (Post[] memory posts, bytes[] memory packed) = (new Post[](2), new bytes[](2));
        (posts[0], posts[1]) = (postOf(next, 0, deltas), postOf(SLOT, 1, deltas));
        (packed[0], packed[1]) = (deltas, deltas);
        post(posts[0], deltas);
        post(posts[1], deltas);
        uint256 posted = lastGasBelow(130_000);
        Post memory alone = postOf(next + SLOT_SECONDS, 0, deltas);
        post(alone, deltas);
        vm.warp(block.timestamp + WINDOW);
        settlement.finalise(alone, deltas, 0);
        uint256 first = lastGasBelow(110_000);
        settlement.finaliseAll(posts, packed, new bytes32[](2));
        uint256 further = lastGasBelow(200_000) - first;
        emit log_named_uint("post of a correction", posted);
        emit log_named_uint("finalise, beside another", further);
        vm.assertTrue(posted + further < 200_000);
    }

    function test_gas_of_a_period_s_bills() public {
        Anchor memory period = Anchor(SLOT, SLOT + 30 days, keccak256("bills"));
        bytes[] memory signatures = quorum(digestOf(period));
        vm.prank(operator);
        settlement.anchor(period, signatures);
        emit log_named_uint("anchor", lastGasBelow(80_000));
    }

    function measure(uint256 members) private {
        addMembers(members);
        placeBonds(2);
        bytes memory deltas = dense(members);
        Post memory p = postOf(SLOT, 0, deltas);

        emit log_named_uint("members", members);
        commit(SLOT);
        emit log_named_uint("commit", lastGasBelow(80_000));
        vm.warp(SLOT + SLOT_SECONDS);
        post(p, deltas);
        emit log_named_uint("post", lastGasBelow(140_000 + 130 * members));
        vm.warp(SLOT + SLOT_SECONDS + WINDOW);
        settlement.finalise(p, deltas, 0);
        emit log_named_uint("finalise", lastGasBelow(55_000 + 1_550 * members));
    }

    /// Changes of all balances, which are there. No byte of the deltas is zero, so that calldata is as dear as it gets.
    function dense(uint256 members) private returns (bytes memory) {
        int32[] memory values = new int32[](members);
        for (uint256 i = 0; i < members; i += 2) {
            fund(i, 1_000_000_000);
            fund(i + 1, 1_000_000_000);
            values[i] = int32(uint32(0x01010101 + i % 200));
            values[i + 1] = -values[i];
        }
        return pack(values);
    }

    function lastGasBelow(uint256 ceiling) private view returns (uint256 total) {
        total = vm.lastCallGas().total;
        vm.assertTrue(total < ceiling);
    }
}
