// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Statement} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// The slot of a `Batch` in a community of 1 000 members and 10 000 trades: trees of their depth, deltas of their length.
/// What each step costs appears with `-vv`; the ceilings are there so that a dearer change is noticed.
abstract contract CrowdBatch is Batch {
    event log_named_uint(string what, uint256 gas);

    /// 14 levels of orders and trades, 10 of statements, 5 to 7 of a member's lines.
    function setUp() public virtual override {
        super.setUp();
        (more, deeper) = (12, 5);
        addMembers(996);
        rebook();
    }

    /// Statements and deltas of a thousand members, whose others trade nothing.
    function rebook() internal {
        book();
        for (uint256 i = 4; i < 1000; ++i) {
            statements.push(Statement(0, 0, 0, 0, 0, keccak256(abi.encode("salt", i))));
            changes.push(0);
        }
    }

    /// No byte of the deltas is zero, so that calldata is as dear as it gets; what `changes` had beyond that stays.
    function thicken() internal {
        for (uint256 i = 0; i < 1000; ++i) {
            changes[i] += int32(uint32(0x01010101)) * (i % 2 == 0 ? int32(1) : int32(-1));
        }
    }

    /// Gas of the transaction that was the last call.
    function note(string memory what, uint256 ceiling) internal returns (uint256 total) {
        total = vm.lastCallGas().total;
        emit log_named_uint(what, total);
        vm.assertTrue(total < ceiling);
    }
}
