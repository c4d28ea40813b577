// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Demands} from "../src/Demands.sol";
import {Disputes} from "../src/Disputes.sol";
import {Stated} from "../src/Lines.sol";
import {Post, Reading, Statement} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Base} from "./Base.sol";
import {Tree} from "./Tree.sol";

/// Random but valid life of a community, with a plain model of who holds what beside it. Every post is at fault in the
/// statement of member 1, so that it can be struck, and member 0 can demand its own, so that it can be answered; whether
/// either happens before the post is final is chance.
contract Life is Base, Tree {
    uint256 public constant MEMBERS = 6;
    uint256 private constant METER = 0x7000;

    struct Pending {
        Post post;
        bytes deltas;
        int32[MEMBERS] values;
        uint256 postedAt;
        uint256 heldUntil;
        /// Last second for the answer; zero = nothing was demanded.
        uint256 answerUntil;
        bool answered;
    }

    int256[MEMBERS] private _model;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 private _staked;
    uint256 private _open;
    uint256 private _forfeited;
    /// What struck posts were worth to who proved it or asked in vain, and is not taken yet.
    mapping(address prover => uint256) private _earned;
    /// How often each thing happened, so that a campaign in which nothing happens is noticed.
    mapping(bytes32 what => uint256) public count;
    Pending[] private _pending;
    Disputes private _disputes;
    Demands private _demands;
    bytes32 private immutable NO_TRADES;

    constructor() {
        setUp();
        _disputes = new Disputes(settlement, false);
        _demands = new Demands(settlement);
        addMembers(MEMBERS);
        vm.prank(operator);
        community.registerMeter(0, vm.addr(METER));
        NO_TRADES = TRADES;
        _endow(operator);
        placeBond(5 * 501);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            _endow(account(i));
            deposit(i, 20_000_000);
        }
    }

    function judges() internal view override returns (address, address) {
        return nextTwo();
    }

    function bond() internal pure override returns (uint64) {
        return 501;
    }

    // Money

    function deposit(uint256 member, uint32 lanes) public {
        member %= MEMBERS;
        vm.prank(account(member));
        settlement.deposit(lanes);
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
        _claim(member % uint32(MEMBERS));
    }

    function placeBond(uint16 lanes) public {
        vm.prank(operator);
        settlement.placeBond(lanes);
        _staked += lanes;
    }

    function takeBond(uint64 lanes) external {
        lanes = uint64(lanes % (_staked - 501 * _open + 1));
        vm.prank(operator);
        settlement.takeBond(lanes);
        _staked -= lanes;
    }

    function takeReward(bool asked) public {
        address prover = asked ? account(0) : address(this);
        vm.prank(prover);
        settlement.takeBond(uint64(_earned[prover]));
        _earned[prover] = 0;
    }

    function wait(uint16 time) external {
        vm.warp(block.timestamp + time % 1200);
    }

    // Posts

    /// Five members pay or receive up to 2^23 lane units each; the last one closes the sum.
    function settle(int24[5] calldata values) external {
        if (_staked < 501 * (_open + 1)) return;
        uint64 slot = uint64(block.timestamp / SLOT_SECONDS + 1) * SLOT_SECONDS;
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
        next.post = Post(slot, 0, ORDERS, rootOf(_statements(slot)), keccak256(next.deltas), 0, 0);
        next.postedAt = block.timestamp;
        post(next.post, next.deltas);
        ++_open;
    }

    /// Succeeds exactly if the time is right and everybody can pay.
    /// @param later seconds after the post, if that is still to come
    function finalise(uint256 index, uint64 later) external {
        (bool any, Pending memory chosen) = _choose(index);
        if (!any) return;
        uint256 at = chosen.postedAt + later % (WINDOW + GRACE + 1000);
        if (block.timestamp < at) vm.warp(at);
        uint256 from = _finalFrom(chosen);
        bool expected = block.timestamp >= from && block.timestamp <= from + GRACE;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            if (_model[i] + chosen.values[i] < 0) expected = false;
        }
        try settlement.finalise(chosen.post, chosen.deltas, 0) {
            vm.assertTrue(expected);
            for (uint256 i = 0; i < MEMBERS; ++i) {
                _model[i] += chosen.values[i];
            }
            _gone(index, "finalised");
        } catch {
            vm.assertTrue(!expected);
        }
    }

    function expire(uint256 index) external {
        (bool any, Pending memory chosen) = _choose(index);
        if (!any) return;
        bool expected = block.timestamp > _finalFrom(chosen) + GRACE;
        try settlement.expire(chosen.post) {
            vm.assertTrue(expected);
            _gone(index, "expired");
        } catch {
            vm.assertTrue(!expected);
        }
    }

    // Disputes

    function strike(uint256 index, uint8 dice) external {
        (bool any, Pending memory chosen) = _choose(index);
        // Else hardly a post would live to be final.
        if (!any || dice % 4 != 0) return;
        bytes32[] memory siblings = siblingsOf(_statements(chosen.post.slot), 1);
        _disputes.challengeUnread(chosen.post, Stated(1, _second(), siblings));
        _struck(index, address(this));
    }

    function demand(uint256 index) external {
        (bool any, Pending memory chosen) = _choose(index);
        if (!any) return;
        bool expected = block.timestamp < chosen.postedAt + WINDOW && chosen.answerUntil == 0;
        vm.prank(account(0));
        try _demands.demand(chosen.post, 0) {
            vm.assertTrue(expected);
            Pending storage asked = _pending[index % _pending.length];
            (asked.answerUntil, asked.heldUntil) =
            (block.timestamp + ANSWER_TIME, block.timestamp + ANSWER_TIME + WINDOW);
            ++count["demanded"];
        } catch {
            vm.assertTrue(!expected);
        }
    }

    function answer(uint256 index) external {
        (bool any, Pending memory chosen) = _choose(index);
        if (!any) return;
        bool asked = chosen.answerUntil != 0 && !chosen.answered;
        Answer memory a;
        uint64 slot = chosen.post.slot;
        (a.stated, a.statement, a.siblings) = (true, _first(slot), siblingsOf(_statements(slot), 0));
        (a.last, a.tradesRoot, a.reading) = (true, NO_TRADES, _reading(slot));
        a.readingSignature = signature(METER, digestOf(hashOf(a.reading), block.chainid, address(settlement)));
        try _demands.answer(chosen.post, 0, a) {
            vm.assertTrue(asked && block.timestamp <= chosen.answerUntil);
            _pending[index % _pending.length].answered = true;
            ++count["answered"];
        } catch {
            vm.assertTrue(!asked || block.timestamp > chosen.answerUntil);
        }
    }

    function lapse(uint256 index) external {
        (bool any, Pending memory chosen) = _choose(index);
        if (!any) return;
        bool expected = chosen.answerUntil != 0 && !chosen.answered && block.timestamp > chosen.answerUntil;
        try _demands.lapse(chosen.post, 0) {
            vm.assertTrue(expected);
            ++count["lapsed"];
            _struck(index, account(0));
        } catch {
            vm.assertTrue(!expected);
        }
    }

    // What must hold

    /// Balances and bonds are what the model says, their sum is what was paid in and not out, the token covers it.
    function check() external view {
        uint256 sum = 0;
        for (uint32 i = 0; i < MEMBERS; ++i) {
            uint256 balance = settlement.balanceOf(i);
            vm.assertEq(balance, uint256(_model[i]));
            sum += balance;
        }
        vm.assertEq(sum, paidIn - paidOut);
        (uint64 lanes, uint32 open) = settlement.bonds(operator);
        vm.assertEq(lanes, _staked);
        vm.assertEq(open, _open);
        vm.assertEq(settlement.forfeited(), _forfeited);
        (uint64 mine,) = settlement.bonds(address(this));
        (uint64 theirs,) = settlement.bonds(account(0));
        vm.assertEq(mine, _earned[address(this)]);
        vm.assertEq(theirs, _earned[account(0)]);
        vm.assertEq((sum + lanes + mine + theirs + _forfeited) * LANE_UNIT, token.balanceOf(address(settlement)));
    }

    /// Whatever happened, and if all operators fall silent: everybody gets out all it holds, and so does the poster.
    function leave() external {
        for (uint32 i = 0; i < MEMBERS; ++i) {
            uint64 free = settlement.freeOf(i);
            vm.prank(account(i));
            settlement.requestWithdrawal(free);
        }
        vm.warp(block.timestamp + CLAIM_TIME + 1);
        while (_pending.length != 0) {
            settlement.expire(_pending[0].post);
            _gone(0, "expired");
        }
        for (uint32 i = 0; i < MEMBERS; ++i) {
            _claim(i);
            vm.assertEq(settlement.balanceOf(i), 0);
        }
        vm.prank(operator);
        settlement.takeBond(uint64(_staked));
        _staked = 0;
        takeReward(true);
        takeReward(false);
        vm.assertEq(token.balanceOf(address(settlement)), _forfeited * LANE_UNIT);
    }

    // Parts

    /// More tokens than it can ever pay in.
    function _endow(address who) private {
        mint(who, type(uint64).max);
        vm.prank(who);
        token.approve(address(settlement), type(uint256).max);
    }

    function _claim(uint32 member) private {
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

    function _choose(uint256 index) private view returns (bool any, Pending memory chosen) {
        any = _pending.length != 0;
        if (any) chosen = _pending[index % _pending.length];
    }

    function _finalFrom(Pending memory chosen) private pure returns (uint256) {
        uint256 end = chosen.postedAt + WINDOW;
        return chosen.heldUntil > end ? chosen.heldUntil : end;
    }

    function _gone(uint256 index, bytes32 how) private {
        _pending[index % _pending.length] = _pending[_pending.length - 1];
        _pending.pop();
        --_open;
        ++count[how];
    }

    function _struck(uint256 index, address prover) private {
        _staked -= 501;
        _earned[prover] += 250;
        _forfeited += 251;
        _gone(index, "struck");
    }

    function _reading(uint64 slot) private pure returns (Reading memory) {
        return Reading(vm.addr(METER), slot, 100, 0, slot);
    }

    /// The reading came and nothing was traded.
    function _first(uint64 slot) private pure returns (Statement memory) {
        return Statement(0, 0, 0, hashOf(_reading(slot)), 0, keccak256("first"));
    }

    /// No reading came, yet it is paid.
    function _second() private pure returns (Statement memory) {
        return Statement(0, 0, 1, 0, 0, keccak256("second"));
    }

    function _statements(uint64 slot) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](3);
        (hashes[0], hashes[1]) = (hashOf(_first(slot)), hashOf(_second()));
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
        bytes4[14] memory actions = [
            Life.deposit.selector,
            Life.requestWithdrawal.selector,
            Life.claimWithdrawal.selector,
            Life.placeBond.selector,
            Life.takeBond.selector,
            Life.takeReward.selector,
            Life.wait.selector,
            Life.settle.selector,
            Life.finalise.selector,
            Life.expire.selector,
            Life.strike.selector,
            Life.demand.selector,
            Life.answer.selector,
            Life.lapse.selector
        ];
        list = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](actions.length);
        for (uint256 i = 0; i < actions.length; ++i) {
            selectors[i] = actions[i];
        }
        list[0] = FuzzSelector(address(life), selectors);
    }

    /// Balances, bonds and forfeits are what the model says, and the token covers them exactly.
    /// forge-config: default.invariant.runs = 100
    /// forge-config: default.invariant.depth = 500
    /// forge-config: soak.invariant.runs = 2000
    /// forge-config: soak.invariant.depth = 500
    function invariant_all_that_is_held_is_owed() public view {
        life.check();
    }

    /// At the end of every run everybody gets out.
    function afterInvariant() public {
        life.leave();
        life.check();
    }
}
