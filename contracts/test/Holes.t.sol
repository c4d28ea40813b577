// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Demands} from "../src/Demands.sol";
import {Devices} from "../src/Devices.sol";
import {Disputes} from "../src/Disputes.sol";
import {Members} from "../src/Members.sol";
import {Offers} from "../src/Offers.sol";
import {RECEIPT_TYPEHASH, RECOVERY_TYPEHASH, Reading, Receipt, Recovery, Statement} from "../src/Records.sol";
import {Settlement, Terms} from "../src/Settlement.sol";
import {Batch} from "./Batch.sol";

/// An account that takes no ether and runs whatever it is told.
contract Refuser {
    function run(address to, bytes calldata data) external returns (bool done) {
        (done,) = to.call(data);
    }
}

/// Attacks of a quorum, of one operator, of a seller and of an accomplice, and what stops each.
contract HolesTest is Batch {
    uint256 private constant ACCOMPLICE_METER = 0xEE;

    /// An operator gives a member a meter whose key it holds, and the quorum bills what that counts.
    function test_a_meter_that_the_member_never_took() public {
        vm.warp(SLOT - 100);
        vm.prank(operator);
        community.registerMeter(0, vm.addr(ACCOMPLICE_METER));
        readings[0].meter = vm.addr(ACCOMPLICE_METER);
        book();
        seal();
        vm.prank(PROVER);
        disputes.challengeDelivery(p, statedOf(0), readings[0]);
        assertStruck();
    }

    /// Even one that the member takes counts only from then on.
    function test_a_meter_that_came_after_the_slot() public {
        readings[0].meter = vm.addr(ACCOMPLICE_METER);
        book();
        seal();
        vm.prank(operator);
        community.registerMeter(0, vm.addr(ACCOMPLICE_METER));
        vm.prank(vm.addr(memberKey(0)));
        community.acceptMeter(vm.addr(ACCOMPLICE_METER));
        vm.assertEq(community.memberOfMeterAt(readings[0].meter, END), 0);
        vm.prank(PROVER);
        disputes.challengeDelivery(p, statedOf(0), readings[0]);
        assertStruck();
    }

    /// A revision names a member that the post before had no statement of, and takes its deposit.
    function test_a_newcomer_in_a_revision() public {
        seal();
        finalise();
        addMembers(1);
        fund(4, 1000);
        book();
        changes.push(-1000);
        changes[0] += 1000;
        statements.push(Statement(0, 0, 0, 0, 0, keccak256("salt")));
        state();
        vm.prank(PROVER);
        disputes.challengeDelta(p, statedOf(4), deltas, finals, finalDeltas);
        assertStruck();
        // The same without any statement of the newcomer.
        statements.pop();
        state();
        disputes.challengeUnstated(p, 4, statementSiblings(4), deltas);
        vm.assertTrue(!standing());
    }

    /// The first to ask takes no ether, so that nobody could be paid and the post would stand.
    function test_a_demand_by_an_account_that_takes_no_money() public {
        Refuser refuser = new Refuser();
        orders[2].wh = 1;
        Receipt memory receipt = Receipt(hashOf(orders[2]), SLOT, 2);
        orders[2].wh = 2000;
        seal();
        bytes32 body = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes[] memory signatures = quorum(digestOf(body, block.chainid, address(settlement)));
        vm.assertTrue(refuser.run(address(demands), abi.encodeCall(demands.demandOrder, (p, receipt, signatures))));
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapseOrder(p, receipt);
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(address(refuser));
        vm.assertEq(reward, 250);
    }

    /// Panels and house count the same energy; the seller would be paid for both.
    function test_one_kilowatt_hour_sold_by_two_meters() public {
        (Offers offers, Offers.Offer memory offer) = sold();
        address panel = vm.addr(ACCOMPLICE_METER);
        vm.prank(operator);
        community.registerMeter(2, panel);
        vm.prank(vm.addr(memberKey(2)));
        community.acceptMeter(panel);
        vm.prank(operator);
        community.registerDevice(address(0xDE), 2, Devices.Kind.Generator, false, panel);
        vm.warp(END);
        Reading memory counted = Reading(panel, SLOT, 0, 3000, 7);
        bytes memory proof = signed(ACCOMPLICE_METER, hashOf(counted));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, panel));
        vm.prank(vm.addr(memberKey(2)));
        offers.release(offer, counted, proof);
        // Nor does it count for the home when the device is gone.
        vm.prank(operator);
        community.revokeDevice(address(0xDE));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, panel));
        vm.prank(vm.addr(memberKey(2)));
        offers.release(offer, counted, proof);
    }

    /// The home's old meter and its new one are in service at once.
    function test_one_kilowatt_hour_sold_by_two_meters_of_the_home() public {
        (Offers offers, Offers.Offer memory offer) = sold();
        Offers.Offer memory again = Offers.Offer(2, SLOT, 1000, 1000, 2);
        vm.prank(vm.addr(memberKey(2)));
        offers.post(again);
        mint(vm.addr(memberKey(0)), 1000 * LANE_UNIT);
        vm.prank(vm.addr(memberKey(0)));
        offers.buy(again, 1000);
        address meter = vm.addr(ACCOMPLICE_METER);
        vm.prank(operator);
        community.registerMeter(2, meter);
        vm.prank(vm.addr(memberKey(2)));
        community.acceptMeter(meter);
        vm.warp(END);
        readings[2].whOut = 1000;
        bytes memory proof = signed(meterKey(2), hashOf(readings[2]));
        vm.prank(vm.addr(memberKey(2)));
        offers.release(offer, readings[2], proof);
        Reading memory other = Reading(meter, SLOT, 0, 1000, 1);
        proof = signed(ACCOMPLICE_METER, hashOf(other));
        vm.prank(vm.addr(memberKey(2)));
        offers.release(again, other, proof);
        vm.assertEq(offers.paidWh(2, SLOT), 1000);
    }

    /// A meter that has served its home for long is called a device's as the slot begins.
    function test_a_meter_called_a_device_s_counts_for_what_was_agreed() public {
        readings[0].meter = vm.addr(ACCOMPLICE_METER);
        vm.warp(SLOT - 3 days);
        vm.prank(operator);
        community.registerMeter(0, readings[0].meter);
        vm.prank(vm.addr(memberKey(0)));
        community.acceptMeter(readings[0].meter);
        vm.warp(SLOT - 1);
        vm.prank(operator);
        community.registerDevice(address(0xDE), 0, Devices.Kind.Load, false, readings[0].meter);
        book();
        seal();
        expectNoFault(0);
        disputes.challengeDelivery(p, statedOf(0), readings[0]);
        vm.assertEq(community.homeOfMeterAt(readings[0].meter, SLOT + 1 days), 0);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, readings[0].meter));
        community.homeOfMeterAt(readings[0].meter, SLOT + 2 days);
    }

    /// After delivery an operator takes the seller's meter out of service, so that the buyer would get its money back.
    function test_a_meter_revoked_after_delivery() public {
        (Offers offers, Offers.Offer memory offer) = sold();
        vm.warp(END);
        vm.prank(operator);
        community.revokeMeter(readings[2].meter);
        bytes memory proof = signed(meterKey(2), hashOf(readings[2]));
        vm.prank(vm.addr(memberKey(2)));
        offers.release(offer, readings[2], proof);
        Offers.Offer[] memory list = new Offers.Offer[](1);
        list[0] = offer;
        vm.prank(vm.addr(memberKey(2)));
        offers.fetch(list);
        vm.assertEq(token.balanceOf(vm.addr(memberKey(2))), 1000 * LANE_UNIT);
    }

    /// An operator registers the account that a member asked for in its recovery.
    function test_the_new_account_of_a_recovery() public {
        Recovery memory request = Recovery(1, address(0x77), 0);
        bytes32 body = keccak256(abi.encode(RECOVERY_TYPEHASH, request));
        community.startRecovery(request, quorum(digestOf(body, block.chainid, address(community))));
        address[] memory accounts = new address[](1);
        Members.Role[] memory roles = new Members.Role[](1);
        (accounts[0], roles[0]) = (address(0x77), Members.Role.Consumer);
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidAccount.selector, address(0x77)));
        vm.prank(operator);
        community.register(accounts, new address[](1), roles);
        // Until it is the member's, nothing that it signs is the member's.
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, address(0x77)));
        community.everMemberOf(address(0x77));
        vm.warp(block.timestamp + 7 days);
        community.recover(1);
        vm.assertEq(community.memberOf(address(0x77)), 1);
    }

    /// A statement that moves money though no meter counted anything.
    function test_energy_that_no_meter_counted() public {
        statements[0].reading = 0;
        seal();
        vm.prank(PROVER);
        disputes.challengeUnread(p, statedOf(0));
        assertStruck();
    }

    /// A full account of bonds cannot make a strike fail.
    function test_a_prover_whose_account_is_full() public {
        statements[0].reading = 0;
        seal();
        mint(PROVER, uint256(type(uint64).max) * LANE_UNIT);
        vm.prank(PROVER);
        token.approve(address(settlement), type(uint256).max);
        vm.prank(PROVER);
        settlement.placeBond(type(uint64).max - 100);
        vm.prank(PROVER);
        disputes.challengeUnread(p, statedOf(0));
        (uint64 held,) = settlement.bonds(PROVER);
        vm.assertEq(held, type(uint64).max);
        vm.assertEq(settlement.forfeited(), 401);
    }

    // Times

    /// Lines are kept back of a post that ends before the answer is due: its bond stays bound until then.
    function test_a_post_that_ends_before_the_answer_is_due() public {
        seal();
        vm.warp(END + WINDOW + GRACE + 1);
        settlement.expire(p);
        uint64 end = uint64(block.timestamp) + WINDOW;
        p.until = end;
        publish();
        vm.warp(end - 1);
        vm.prank(vm.addr(memberKey(0)));
        demands.demand(p, 0);
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NotExpired.selector, SLOT, 0));
        settlement.expire(p);
        vm.warp(end - 1 + ANSWER_TIME + 1);
        demands.lapse(p, 0);
        (uint64 reward,) = settlement.bonds(vm.addr(memberKey(0)));
        vm.assertEq(reward, 250);
    }

    /// An operator has its own post struck and posts it again in the same block: what was asked of the first does not
    /// stand for the second.
    function test_what_was_asked_of_a_post_that_was_struck() public {
        (address first, address second) = nextTwo();
        settlement = new Settlement(
            community,
            token,
            Terms(LANE_UNIT, SLOT_SECONDS, 0, WINDOW, GRACE, WINDOW, CORRECTIONS, bond(), first, second)
        );
        disputes = new Disputes(settlement, false);
        demands = new Demands(settlement);
        placeBonds(10);
        Receipt memory receipt = Receipt(keccak256("accepted, but left out"), SLOT, 2);
        bytes32 body = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes[] memory signatures = quorum(digestOf(body, block.chainid, address(settlement)));
        statements[0].reading = 0;
        seal();
        demands.demandOrder(p, receipt, signatures);
        vm.prank(operator);
        disputes.challengeUnread(p, statedOf(0));
        publish();
        vm.warp(END + 1);
        vm.prank(PROVER);
        demands.demandOrder(p, receipt, signatures);
        vm.warp(END + 1 + WINDOW + 1);
        demands.lapseOrder(p, receipt);
        vm.assertTrue(!standing());
        (uint64 reward,) = settlement.bonds(PROVER);
        vm.assertEq(reward, 250);
    }

    // Accounts

    /// A key that was lost gives a mandate for slots long after it was replaced.
    function test_a_lost_key_no_longer_trades() public {
        lost(SLOT - 3 days);
        disputes.challengeMandate(p, statedOf(0), leafAt(0, placeOf(0, 3)), trades[3], mandates[0]);
        vm.assertTrue(!standing());
    }

    /// What was agreed shortly before counts.
    function test_a_key_that_was_replaced_after_the_gate() public {
        lost(SLOT - 1 days);
        expectNoFault(0);
        disputes.challengeMandate(p, statedOf(0), leafAt(0, placeOf(0, 3)), trades[3], mandates[0]);
    }

    function lost(uint256 replaced) private {
        vm.warp(replaced - 7 days);
        Recovery memory request = Recovery(0, address(0x77), 0);
        bytes32 body = keccak256(abi.encode(RECOVERY_TYPEHASH, request));
        community.startRecovery(request, quorum(digestOf(body, block.chainid, address(community))));
        vm.warp(replaced);
        community.recover(0);
        seal();
    }

    // Parts

    /// Member 2 has sold 1 000 Wh of the slot to member 0.
    function sold() private returns (Offers offers, Offers.Offer memory offer) {
        offers = new Offers(settlement, 1 days);
        offer = Offers.Offer(2, SLOT, 1000, 1000, 1);
        vm.prank(vm.addr(memberKey(2)));
        offers.post(offer);
        mint(vm.addr(memberKey(0)), 1000 * LANE_UNIT);
        vm.prank(vm.addr(memberKey(0)));
        token.approve(address(offers), type(uint256).max);
        vm.prank(vm.addr(memberKey(0)));
        offers.buy(offer, 1000);
    }
}
