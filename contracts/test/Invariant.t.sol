// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Post} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Base} from "./Base.sol";

/// Random but valid life of a community, with a plain model of who holds what beside it.
contract Life is Base {
    uint256 public constant MEMBERS = 6;

    struct Pending {
        Post post;
        bytes deltas;
        int32[MEMBERS] values;
        uint256 postedAt;
    }

    int256[MEMBERS] private _model;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public settled;
    Pending[] private _pending;
    uint64 private _nextSlot = SLOT;

    constructor() {
        setUp();
        addMembers(MEMBERS);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            deposit(i, 20_000_000);
        }
    }

    function deposit(uint256 member, uint32 lanes) public {
        member %= MEMBERS;
        fund(member, lanes);
        paidIn += lanes;
        _model[member] += int256(uint256(lanes));
    }

    function requestWithdrawal(uint32 member, uint64 lanes) external {
        member %= uint32(MEMBERS);
        lanes = uint64(lanes % (uint256(settlement.freeOf(member)) + 1));
        vm.prank(account(member));
        settlement.requestWithdrawal(lanes);
    }

    function claimWithdrawal(uint32 member) external {
        member %= uint32(MEMBERS);
        (uint64 lanes, uint64 requestedAt) = settlement.requested(member);
        if (lanes == 0) return;
        if (block.timestamp <= requestedAt + CLAIM_TIME) vm.warp(requestedAt + CLAIM_TIME + 1);
        uint256 before = token.balanceOf(account(member));
        vm.prank(account(member));
        settlement.claimWithdrawal();
        uint256 got = (token.balanceOf(account(member)) - before) / LANE_UNIT;
        paidOut += got;
        _model[member] -= int256(got);
    }

    /// Five members pay or receive up to 2^23 lane units each; the last one closes the sum.
    function settle(int24[5] calldata values) external {
        while (_nextSlot <= block.timestamp) _nextSlot += SLOT_SECONDS;
        uint64 slot = _nextSlot;
        commit(slot);
        vm.warp(slot + SLOT_SECONDS);
        Pending storage next = _pending.push();
        int32[] memory list = new int32[](MEMBERS);
        for (uint256 i = 0; i + 1 < MEMBERS; ++i) {
            list[i] = values[i];
            list[MEMBERS - 1] -= values[i];
        }
        for (uint256 i = 0; i < MEMBERS; ++i) {
            next.values[i] = list[i];
        }
        next.deltas = pack(list);
        next.post = postOf(slot, 0, next.deltas);
        next.postedAt = block.timestamp;
        post(next.post, next.deltas);
    }

    /// Succeeds exactly if the time is right and everybody can pay; what is tried once is not tried again.
    /// @param later seconds after the post, if that is still to come
    function finalise(uint256 index, uint64 later) external {
        if (_pending.length == 0) return;
        later %= WINDOW + GRACE + 1000;
        index %= _pending.length;
        Pending memory chosen = _pending[index];
        _pending[index] = _pending[_pending.length - 1];
        _pending.pop();
        if (block.timestamp < chosen.postedAt + later) vm.warp(chosen.postedAt + later);

        bool expected =
            block.timestamp >= chosen.postedAt + WINDOW && block.timestamp <= chosen.postedAt + WINDOW + GRACE;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            if (_model[i] + chosen.values[i] < 0) expected = false;
        }
        try settlement.finalise(chosen.post, chosen.deltas) {
            vm.assertTrue(expected);
            for (uint256 i = 0; i < MEMBERS; ++i) {
                _model[i] += chosen.values[i];
            }
            settled += 1;
        } catch {
            vm.assertTrue(!expected);
        }
    }

    function check() external view {
        uint256 sum = 0;
        for (uint32 i = 0; i < MEMBERS; ++i) {
            uint256 balance = settlement.balanceOf(i);
            vm.assertEq(balance, uint256(_model[i]));
            sum += balance;
        }
        vm.assertEq(sum, paidIn - paidOut);
        vm.assertEq(sum * LANE_UNIT, token.balanceOf(address(settlement)));
    }
}

contract InvariantTest {
    Life private life;

    function setUp() public {
        life = new Life();
    }

    /// Only the actions of `Life` are called, and none of them may revert.
    function targetContracts() public view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(life);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](5);
        selectors[0] = Life.deposit.selector;
        selectors[1] = Life.requestWithdrawal.selector;
        selectors[2] = Life.claimWithdrawal.selector;
        selectors[3] = Life.settle.selector;
        selectors[4] = Life.finalise.selector;
        list[0] = FuzzSelector(address(life), selectors);
    }

    /// Balances are what the model says, their sum is deposits minus withdrawals, and the token covers them exactly.
    function invariant_balances_are_deposits_minus_withdrawals() public view {
        life.check();
    }
}
