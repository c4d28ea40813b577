// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Cash} from "../src/Cash.sol";
import {Purse} from "../src/Purse.sol";
import {Lanes} from "../src/Lanes.sol";
import {Members} from "../src/Members.sol";
import {Post} from "../src/Records.sol";
import {Settlement} from "../src/Settlement.sol";
import {Base} from "./Base.sol";

/// A token that tells one holder about its transfers before it books them, and may keep a fee.
contract OddToken is ERC20("Odd", "ODD") {
    Thief public watcher;
    uint256 public fee;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setWatcher(Thief watcher_) external {
        watcher = watcher_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (address(watcher) != address(0) && (from == address(watcher) || to == address(watcher))) watcher.called();
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(0), fee);
    }
}

/// A member that calls back into the settlement whenever money moves.
contract Thief {
    Settlement private immutable settlement;
    bytes private attack;
    uint256 public attempts;
    bool public succeeded;

    constructor(Settlement settlement_, IERC20 asset) {
        settlement = settlement_;
        if (address(asset) != address(0)) asset.approve(address(settlement_), type(uint256).max);
    }

    function arm(bytes calldata attack_) external {
        attack = attack_;
    }

    function run(bytes calldata call) external payable returns (bool done) {
        (done,) = address(settlement).call{value: msg.value}(call);
    }

    function called() public {
        if (attack.length == 0) return;
        bytes memory call = attack;
        delete attack;
        attempts += 1;
        (succeeded,) = address(settlement).call(call);
    }

    receive() external payable {
        called();
    }
}

/// Paying in and withdrawing.
contract MoneyTest is Base {
    function setUp() public override {
        super.setUp();
        addMembers(3);
    }

    function inEther() private {
        settlement = _settle(IERC20(address(0)), 1e12);
    }

    function expectRevertAs(address who, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(who);
    }

    function assertEqBalances(uint64 first, uint64 second) private view {
        vm.assertEq(settlement.balanceOf(0), first);
        vm.assertEq(settlement.balanceOf(1), second);
    }

    // In

    function test_members_pay_in_tokens() public {
        fund(1, 70);
        vm.assertEq(settlement.balanceOf(1), 70);
        vm.assertEq(token.balanceOf(address(settlement)), 70 * LANE_UNIT);
    }

    function test_anybody_pays_in_for_members() public {
        mint(address(this), 1000);
        token.approve(address(settlement), 1000);
        uint32[] memory members = new uint32[](3);
        uint64[] memory lanes = new uint64[](3);
        (members[0], members[1], members[2]) = (0, 2, 0);
        (lanes[0], lanes[1], lanes[2]) = (50, 20, 30);
        settlement.depositFor(members, lanes);
        vm.assertEq(settlement.balanceOf(0), 80);
        vm.assertEq(settlement.balanceOf(2), 20);
        vm.assertEq(token.balanceOf(address(this)), 0);

        members[1] = 3;
        vm.expectRevert(abi.encodeWithSelector(Purse.UnknownMember.selector, 3));
        settlement.depositFor(members, lanes);
        vm.expectRevert(abi.encodeWithSelector(Purse.LengthMismatch.selector, 3, 1));
        settlement.depositFor(members, new uint64[](1));
    }

    function test_a_member_pays_in_with_a_permit() public {
        uint256 key = 0x9000;
        address[] memory accounts = new address[](1);
        Members.Role[] memory roles = new Members.Role[](1);
        (accounts[0], roles[0]) = (vm.addr(key), Members.Role.Consumer);
        vm.prank(operator);
        community.register(accounts, new address[](1), roles);
        mint(accounts[0], 100 * LANE_UNIT);
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 body = keccak256(abi.encode(kind, accounts[0], address(settlement), 50 * LANE_UNIT, 0, block.timestamp));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), body));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        expectRevertAs(
            accounts[0],
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(settlement), 0, 49 * LANE_UNIT
            )
        );
        settlement.depositWithPermit(49, block.timestamp, v, r, s);
        // Somebody brings the signature first: the deposit goes through all the same.
        token.permit(accounts[0], address(settlement), 50 * LANE_UNIT, block.timestamp, v, r, s);
        vm.prank(accounts[0]);
        settlement.depositWithPermit(50, block.timestamp, v, r, s);
        vm.assertEq(settlement.balanceOf(3), 50);
        inEther();
        expectRevertAs(accounts[0], abi.encodeWithSelector(Cash.WrongAmount.selector, 0, 1e12));
        settlement.depositWithPermit(1, block.timestamp, v, r, s);
    }

    function test_strangers_cannot_pay_in_for_themselves() public {
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, address(this)));
        settlement.deposit(1);
    }

    function test_ether_must_match_exactly() public {
        inEther();
        vm.deal(account(0), 1 ether);
        uint256[3] memory sent = [uint256(0), 5e12 - 1, 5e12 + 1];
        for (uint256 i = 0; i < 3; ++i) {
            expectRevertAs(account(0), abi.encodeWithSelector(Cash.WrongAmount.selector, sent[i], 5e12));
            settlement.deposit{value: sent[i]}(5);
        }
        vm.prank(account(0));
        settlement.deposit{value: 5e12}(5);
        vm.assertEq(settlement.balanceOf(0), 5);

        (bool taken,) = address(settlement).call{value: 0}("");
        vm.assertTrue(!taken);
    }

    function test_ether_has_no_place_in_a_token_community() public {
        vm.deal(account(0), 1);
        expectRevertAs(account(0), abi.encodeWithSelector(Cash.WrongAmount.selector, 1, 0));
        settlement.deposit{value: 1}(0);
    }

    function test_a_token_that_keeps_a_fee_is_refused() public {
        OddToken odd = new OddToken();
        settlement = _settle(odd, LANE_UNIT);
        odd.setFee(1);
        odd.mint(account(0), 100);
        vm.prank(account(0));
        odd.approve(address(settlement), 100);
        vm.expectRevert(abi.encodeWithSelector(Cash.WrongAmount.selector, 99, 100));
        vm.prank(account(0));
        settlement.deposit(10);
    }

    function test_a_deposit_cannot_outgrow_its_lane() public {
        fund(0, type(uint64).max);
        expectRevertAs(account(0), abi.encodeWithSelector(Lanes.LaneOverflow.selector, 0, type(uint64).max, 1));
        settlement.deposit(1);
    }

    // Out

    function test_a_withdrawal_is_requested_then_claimed() public {
        fund(0, 100);
        vm.prank(account(0));
        settlement.requestWithdrawal(30);
        vm.assertEq(settlement.freeOf(0), 70);
        vm.assertEq(settlement.balanceOf(0), 100);
        uint256 claimableAfter = block.timestamp + CLAIM_TIME;
        vm.warp(claimableAfter);
        expectRevertAs(account(0), abi.encodeWithSelector(Purse.NotYetClaimable.selector, 0, claimableAfter));
        settlement.claimWithdrawal();
        vm.warp(claimableAfter + 1);
        vm.prank(account(0));
        settlement.claimWithdrawal();
        vm.assertEq(token.balanceOf(account(0)), 30 * LANE_UNIT);
        assertEqBalances(70, 0);
        expectRevertAs(account(0), abi.encodeWithSelector(Purse.NothingRequested.selector, 0));
        settlement.claimWithdrawal();
    }

    function test_a_second_request_adds_and_restarts_the_time() public {
        fund(0, 100);
        vm.prank(account(0));
        settlement.requestWithdrawal(30);
        vm.warp(block.timestamp + WINDOW);
        vm.prank(account(0));
        settlement.requestWithdrawal(70);
        (uint64 lanes, uint64 requestedAt) = settlement.requested(0);
        vm.assertEq(lanes, 100);
        vm.assertEq(requestedAt, block.timestamp);
        expectRevertAs(account(0), abi.encodeWithSelector(Purse.InsufficientFree.selector, 0, 0, 1));
        settlement.requestWithdrawal(1);
        vm.warp(block.timestamp + CLAIM_TIME - WINDOW + 1);
        expectRevertAs(
            account(0), abi.encodeWithSelector(Purse.NotYetClaimable.selector, 0, uint256(requestedAt) + CLAIM_TIME)
        );
        settlement.claimWithdrawal();
    }

    /// A post made before the request is always served first.
    function test_posts_before_the_request_come_first() public {
        fund(0, 100);
        commit(SLOT);
        vm.warp(SLOT + SLOT_SECONDS);
        bytes memory deltas = deltasOf(-40, 40);
        Post memory p = postOf(SLOT, 0, deltas);
        post(p, deltas);
        vm.prank(account(0));
        settlement.requestWithdrawal(100);
        vm.warp(block.timestamp + WINDOW + GRACE);
        settlement.finalise(p, deltas, 0);
        vm.assertEq(settlement.freeOf(0), 0);
        vm.warp(block.timestamp + CLAIM_TIME + 1);
        vm.prank(account(0));
        settlement.claimWithdrawal();
        vm.assertEq(token.balanceOf(account(0)), 60 * LANE_UNIT);
        assertEqBalances(0, 40);
    }

    function test_only_members_withdraw() public {
        bytes memory reason = abi.encodeWithSelector(Members.NotAMember.selector, address(this));
        vm.expectRevert(reason);
        settlement.requestWithdrawal(0);
        vm.expectRevert(reason);
        settlement.claimWithdrawal();
    }

    function test_ether_comes_back() public {
        inEther();
        vm.deal(account(0), 5e12);
        vm.prank(account(0));
        settlement.deposit{value: 5e12}(5);
        vm.prank(account(0));
        settlement.requestWithdrawal(5);
        vm.warp(block.timestamp + CLAIM_TIME + 1);
        vm.prank(account(0));
        settlement.claimWithdrawal();
        vm.assertEq(account(0).balance, 5e12);
    }

    // Thieves

    function makeThief(IERC20 asset) private returns (Thief thief, uint32 member) {
        thief = new Thief(settlement, asset);
        address[] memory accounts = new address[](1);
        Members.Role[] memory roles = new Members.Role[](1);
        (accounts[0], roles[0]) = (address(thief), Members.Role.Consumer);
        member = uint32(community.memberCount());
        vm.prank(operator);
        community.register(accounts, new address[](1), roles);
    }

    function claimReentrantly(Thief thief, uint32 member) private {
        vm.assertTrue(thief.run(abi.encodeCall(settlement.requestWithdrawal, (10))));
        vm.warp(block.timestamp + CLAIM_TIME + 1);
        thief.arm(abi.encodeCall(settlement.claimWithdrawal, ()));
        vm.assertTrue(thief.run(abi.encodeCall(settlement.claimWithdrawal, ())));
        vm.assertEq(thief.attempts(), 1);
        vm.assertTrue(!thief.succeeded());
        vm.assertEq(settlement.balanceOf(member), 0);
    }

    function test_ether_is_not_paid_twice() public {
        inEther();
        (Thief thief, uint32 member) = makeThief(IERC20(address(0)));
        vm.deal(address(settlement), 1 ether);
        vm.deal(address(this), 1 ether);
        vm.assertTrue(thief.run{value: 10e12}(abi.encodeCall(settlement.deposit, (10))));
        claimReentrantly(thief, member);
        vm.assertEq(address(thief).balance, 10e12);
    }

    function test_tokens_are_not_paid_twice() public {
        (OddToken odd, Thief thief, uint32 member) = makeTokenThief();
        vm.assertTrue(thief.run(abi.encodeCall(settlement.deposit, (10))));
        claimReentrantly(thief, member);
        vm.assertEq(odd.balanceOf(address(thief)), 1000);
    }

    function test_one_transfer_does_not_pay_for_two_deposits() public {
        (OddToken odd, Thief thief, uint32 member) = makeTokenThief();
        thief.arm(abi.encodeCall(settlement.deposit, (5)));
        vm.assertTrue(!thief.run(abi.encodeCall(settlement.deposit, (10))));
        vm.assertEq(settlement.balanceOf(member), 0);
        vm.assertEq(odd.balanceOf(address(thief)), 1000);
    }

    function test_a_bond_is_not_paid_twice() public {
        (OddToken odd, Thief thief,) = makeTokenThief();
        vm.assertTrue(thief.run(abi.encodeCall(settlement.placeBond, (10))));
        thief.arm(abi.encodeCall(settlement.takeBond, (10)));
        vm.assertTrue(thief.run(abi.encodeCall(settlement.takeBond, (10))));
        vm.assertEq(thief.attempts(), 1);
        vm.assertTrue(!thief.succeeded());
        vm.assertEq(odd.balanceOf(address(thief)), 1000);
    }

    function test_one_transfer_does_not_pay_for_a_deposit_and_a_bond() public {
        (OddToken odd, Thief thief, uint32 member) = makeTokenThief();
        thief.arm(abi.encodeCall(settlement.placeBond, (5)));
        vm.assertTrue(!thief.run(abi.encodeCall(settlement.deposit, (10))));
        vm.assertEq(settlement.balanceOf(member), 0);
        vm.assertEq(odd.balanceOf(address(thief)), 1000);
    }

    /// The settlement holds other members' money too.
    function makeTokenThief() private returns (OddToken odd, Thief thief, uint32 member) {
        odd = new OddToken();
        settlement = _settle(odd, LANE_UNIT);
        odd.mint(address(settlement), 1 ether);
        (thief, member) = makeThief(odd);
        odd.mint(address(thief), 1000);
        odd.setWatcher(thief);
    }
}
