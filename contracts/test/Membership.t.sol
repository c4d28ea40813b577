// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Access} from "../src/Access.sol";
import {NotAnOperator, WrongNonce} from "../src/Community.sol";
import {Devices} from "../src/Devices.sol";
import {Members} from "../src/Members.sol";
import {Operators} from "../src/Operators.sol";
import {
    ACCEPTANCE_TYPEHASH,
    Acceptance,
    GRANT_TYPEHASH,
    Grant,
    Post,
    RECOVERY_TYPEHASH,
    Recovery,
    STANDING_TYPEHASH,
    Standing
} from "../src/Records.sol";
import {Base} from "./Base.sol";

/// Members that leave, are suspended or lose their keys; their devices; who may read their data.
contract MembershipTest is Base {
    address private constant METER = address(0x21);
    address private constant DEVICE = address(0x31);
    uint40 private constant RECOVERY_TIME = 7 days;

    function setUp() public override {
        super.setUp();
        addMembers(3);
        vm.prank(operator);
        community.registerMeter(0, METER);
    }

    function digest(bytes memory encoded) private view returns (bytes32) {
        return digestOf(keccak256(encoded), block.chainid, address(community));
    }

    function signed(Standing memory s) private view returns (bytes[] memory) {
        return quorum(digest(abi.encode(STANDING_TYPEHASH, s.member, s.active, s.nonce)));
    }

    function signed(Recovery memory r) private view returns (bytes[] memory) {
        return quorum(digest(abi.encode(RECOVERY_TYPEHASH, r.member, r.account, r.nonce)));
    }

    function set(uint32 member, uint8 active, uint64 nonce) private {
        Standing memory standing = Standing(member, active, nonce);
        community.setStanding(standing, signed(standing));
    }

    function start(uint32 member, address to, uint64 nonce) private {
        Recovery memory request = Recovery(member, to, nonce);
        community.startRecovery(request, signed(request));
    }

    function expectRevert(bytes4 selector, uint256 a) private {
        vm.expectRevert(abi.encodeWithSelector(selector, a));
    }

    function expectRevert(bytes4 selector, uint256 a, uint256 b) private {
        vm.expectRevert(abi.encodeWithSelector(selector, a, b));
    }

    // Standing

    function test_a_quorum_suspends_and_readmits() public {
        set(1, 0, 0);
        vm.assertTrue(!community.isActive(1));
        vm.assertEq(community.memberOf(account(1)), 1);
        set(1, 1, 1);
        vm.assertTrue(community.isActive(1));
        vm.assertEq(community.recordsOf(1), 2);
        vm.assertEq(community.recordsOf(0), 0);
    }

    function test_standing_changes_only_to_the_other_value() public {
        Standing[3] memory wrong = [Standing(1, 1, 0), Standing(1, 2, 0), Standing(1, type(uint8).max, 0)];
        for (uint256 i = 0; i < 3; ++i) {
            bytes[] memory signatures = signed(wrong[i]);
            expectRevert(Members.InvalidStanding.selector, 1, wrong[i].active);
            community.setStanding(wrong[i], signatures);
        }
        vm.prank(account(1));
        community.resign();
        expectRevert(Members.InvalidStanding.selector, 1, 0);
        vm.prank(account(1));
        community.resign();
    }

    function test_one_operator_alone_suspends_nobody_and_no_record_counts_twice() public {
        Standing memory standing = Standing(1, 0, 0);
        bytes[] memory signatures = signed(standing);
        bytes[] memory one = new bytes[](1);
        one[0] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
        community.setStanding(standing, one);
        community.setStanding(standing, signatures);
        set(1, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(WrongNonce.selector, 0, 2));
        community.setStanding(standing, signatures);
        standing.member = 3;
        expectRevert(Members.UnknownMember.selector, 3);
        community.setStanding(standing, signatures);
    }

    function test_signatures_count_for_one_community_on_one_chain_and_have_one_form() public {
        Standing memory standing = Standing(1, 0, 0);
        bytes[] memory signatures = signed(standing);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(operatorKeys[0], digest(abi.encode(STANDING_TYPEHASH, uint32(1), uint8(0), uint64(0))));
        s = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        bytes[] memory malleable = new bytes[](2);
        (malleable[0], malleable[1]) = (abi.encodePacked(r, s, v == 27 ? uint8(28) : uint8(27)), signatures[1]);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
        community.setStanding(standing, malleable);
        vm.chainId(block.chainid + 1);
        try community.setStanding(standing, signatures) {
            vm.assertTrue(false);
        } catch {
            vm.assertTrue(community.isActive(1));
        }
    }

    function test_who_leaves_in_the_middle_of_a_slot_is_settled_and_withdraws() public {
        fund(0, 100);
        fund(1, 100);
        commit(SLOT);
        vm.warp(SLOT + 10);
        vm.prank(account(0));
        community.resign();
        set(1, 0, 0);
        vm.prank(operator);
        community.revokeMeter(METER);
        bytes memory deltas = deltasOf(-40, 40);
        Post memory p = postOf(SLOT, 0, deltas);
        vm.warp(SLOT + SLOT_SECONDS);
        post(p, deltas);
        vm.warp(SLOT + SLOT_SECONDS + WINDOW);
        settlement.finalise(p, deltas, 0);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(account(i));
            settlement.requestWithdrawal(60 + 80 * uint64(i));
        }
        vm.warp(block.timestamp + 30 days);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(account(i));
            settlement.claimWithdrawal();
            vm.assertEq(token.balanceOf(account(i)), (60 + 80 * i) * LANE_UNIT);
        }
        vm.assertEq(community.everMemberOfMeter(METER), 0);
    }

    // Lost keys

    function test_a_lost_account_is_replaced_after_the_delay() public {
        fund(1, 100);
        start(1, address(0x77), 0);
        uint40 from = uint40(block.timestamp) + RECOVERY_TIME;
        vm.warp(from - 1);
        expectRevert(Members.TooEarly.selector, 1, from);
        community.recover(1);
        vm.warp(from);
        community.recover(1);
        vm.assertEq(community.accountOf(1), address(0x77));
        vm.assertEq(community.memberOf(address(0x77)), 1);
        vm.assertEq(community.everMemberOf(account(1)), 1);
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, account(1)));
        community.memberOf(account(1));
        expectRevert(Members.NoReplacement.selector, 1);
        community.recover(1);
        vm.prank(address(0x77));
        settlement.requestWithdrawal(100);
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, account(1)));
        vm.prank(account(1));
        settlement.requestWithdrawal(1);
    }

    function test_the_old_key_objects_and_the_signatures_are_spent() public {
        Recovery memory request = Recovery(1, address(0x77), 0);
        bytes[] memory signatures = signed(request);
        community.startRecovery(request, signatures);
        expectRevert(Members.NoReplacement.selector, 2);
        vm.prank(account(2));
        community.refuseRecovery();
        vm.warp(block.timestamp + RECOVERY_TIME);
        vm.prank(account(1));
        community.refuseRecovery();
        expectRevert(Members.NoReplacement.selector, 1);
        community.recover(1);
        vm.expectRevert(abi.encodeWithSelector(WrongNonce.selector, 0, 1));
        community.startRecovery(request, signatures);
        vm.assertEq(community.memberOf(account(1)), 1);
    }

    function test_a_second_request_takes_the_place_of_the_first() public {
        start(1, address(0x77), 0);
        vm.warp(block.timestamp + RECOVERY_TIME);
        start(1, address(0x78), 1);
        expectRevert(Members.TooEarly.selector, 1, block.timestamp + RECOVERY_TIME);
        community.recover(1);
        vm.warp(block.timestamp + RECOVERY_TIME);
        community.recover(1);
        vm.assertEq(community.accountOf(1), address(0x78));
    }

    function test_no_account_belongs_to_two_members() public {
        address[2] memory wrong = [account(2), address(0)];
        for (uint256 i = 0; i < 2; ++i) {
            Recovery memory request = Recovery(1, wrong[i], 0);
            bytes[] memory signatures = signed(request);
            vm.expectRevert(abi.encodeWithSelector(Members.InvalidAccount.selector, wrong[i]));
            community.startRecovery(request, signatures);
        }
        start(1, address(0x77), 0);
        Recovery memory second = Recovery(2, address(0x77), 0);
        bytes[] memory again = signed(second);
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidAccount.selector, address(0x77)));
        community.startRecovery(second, again);
        // The account is free again when the member refuses, or is to have another.
        start(1, address(0x78), 1);
        start(2, address(0x77), 0);
        vm.prank(account(2));
        community.refuseRecovery();
        start(0, address(0x77), 0);
        vm.warp(block.timestamp + RECOVERY_TIME);
        community.recover(0);
        community.recover(1);
        vm.assertEq(community.memberOf(address(0x77)), 0);
        vm.assertEq(community.memberOf(address(0x78)), 1);
    }

    // Devices

    function enrol(address device, Devices.Kind kind, bool common, address meter) private {
        vm.prank(operator);
        community.registerDevice(device, 0, kind, common, meter);
    }

    function kindOf(address device) private view returns (Devices.Kind kind) {
        (, kind,,) = community.devices(device);
    }

    function test_a_device_takes_part_from_its_registration_until_it_is_revoked() public {
        enrol(DEVICE, Devices.Kind.Generator, true, METER);
        vm.assertEq(uint8(kindOf(DEVICE)), uint8(Devices.Kind.Generator));
        vm.assertEq(community.deviceOfMeter(METER), DEVICE);
        vm.prank(account(0));
        community.revokeDevice(DEVICE);
        vm.assertEq(uint8(kindOf(DEVICE)), 0);
        vm.expectRevert(abi.encodeWithSelector(Devices.UnknownDevice.selector, DEVICE));
        vm.prank(operator);
        community.revokeDevice(DEVICE);
        enrol(DEVICE, Devices.Kind.Storage, false, address(0));
        vm.assertEq(uint8(kindOf(DEVICE)), uint8(Devices.Kind.Storage));
    }

    function test_devices_are_registered_once_by_operators_and_revoked_by_those_who_may() public {
        vm.expectRevert(abi.encodeWithSelector(NotAnOperator.selector, account(0)));
        vm.prank(account(0));
        community.registerDevice(DEVICE, 0, Devices.Kind.Load, false, address(0));
        enrol(DEVICE, Devices.Kind.Load, false, address(0));
        address[3] memory devices = [DEVICE, address(0), address(0x32)];
        Devices.Kind[3] memory kinds = [Devices.Kind.Load, Devices.Kind.Load, Devices.Kind.None];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Devices.InvalidDevice.selector, devices[i]));
            enrol(devices[i], kinds[i], false, address(0));
        }
        vm.expectRevert(abi.encodeWithSelector(Devices.NotTheOwner.selector, account(1), 0));
        vm.prank(account(1));
        community.revokeDevice(DEVICE);
        expectRevert(Members.UnknownMember.selector, 3);
        vm.prank(operator);
        community.registerDevice(address(0x32), 3, Devices.Kind.Load, false, address(0));
    }

    function test_every_generator_has_a_meter_of_its_own() public {
        bytes4 selector = Devices.NoMeterOfItsOwn.selector;
        vm.expectRevert(abi.encodeWithSelector(selector, DEVICE, address(0)));
        enrol(DEVICE, Devices.Kind.Generator, false, address(0));
        vm.expectRevert(abi.encodeWithSelector(selector, DEVICE, address(0)));
        enrol(DEVICE, Devices.Kind.GridLink, false, address(0));
        enrol(DEVICE, Devices.Kind.Storage, false, METER);
        vm.expectRevert(abi.encodeWithSelector(selector, address(0x32), METER));
        enrol(address(0x32), Devices.Kind.Generator, false, METER);
        vm.prank(operator);
        community.registerMeter(1, address(0x22));
        vm.expectRevert(abi.encodeWithSelector(selector, address(0x32), address(0x22)));
        enrol(address(0x32), Devices.Kind.Generator, false, address(0x22));
        vm.prank(operator);
        community.revokeMeter(METER);
        vm.assertEq(uint8(kindOf(DEVICE)), 0);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, METER));
        enrol(DEVICE, Devices.Kind.Generator, false, METER);
    }

    function checkRules(bool gridLink, bool watched, bool common) private view {
        Devices.Rules memory found = community.rules();
        vm.assertTrue(found.ownMeters);
        vm.assertTrue(found.gridLink == gridLink && found.watched == watched && found.commonGenerators == common);
    }

    function test_the_rules_of_a_community_are_told() public {
        checkRules(false, false, true);
        enrol(DEVICE, Devices.Kind.Generator, false, METER);
        checkRules(false, false, false);
        addMeter(0, address(0x22));
        enrol(address(0x32), Devices.Kind.GridLink, true, address(0x22));
        checkRules(true, false, false);
        (address[] memory who, Members.Role[] memory roles) = (new address[](1), new Members.Role[](1));
        (who[0], roles[0]) = (account(3), Members.Role.Regulator);
        vm.prank(operator);
        community.register(who, new address[](1), roles);
        checkRules(true, true, false);
        vm.prank(operator);
        community.revokeMeter(METER);
        enrol(DEVICE, Devices.Kind.Generator, true, _third());
        checkRules(true, true, true);
        set(3, 0, 0);
        vm.prank(account(0));
        community.revokeDevice(address(0x32));
        checkRules(false, false, true);
        vm.prank(account(0));
        community.revokeDevice(DEVICE);
        checkRules(false, false, true);
    }

    function _third() private returns (address meter) {
        meter = address(0x23);
        addMeter(0, meter);
    }

    /// One more meter, as an operator proposes and the member accepts it.
    function addMeter(uint32 member, address meter) private {
        vm.prank(operator);
        community.registerMeter(member, meter);
        vm.prank(account(member));
        community.acceptMeter(meter);
    }

    // Meters

    /// A member whose account has a key.
    function withKey(uint256 key, Members.Role role) private returns (uint32 member) {
        (address[] memory who, address[] memory meters) = (new address[](1), new address[](1));
        Members.Role[] memory roles = new Members.Role[](1);
        (who[0], meters[0], roles[0]) = (vm.addr(key), address(uint160(key)), role);
        vm.prank(operator);
        community.register(who, meters, roles);
        return community.memberCount() - 1;
    }

    function accepts(uint256 key, Acceptance memory a) private view returns (bytes memory) {
        return signature(key, digest(abi.encode(ACCEPTANCE_TYPEHASH, a)));
    }

    function test_a_meter_serves_from_its_acceptance_until_it_is_taken_out() public {
        uint64 start = uint64(block.timestamp);
        vm.warp(start + 100);
        vm.prank(operator);
        community.registerMeter(0, address(0x22));
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(0x22)));
        vm.prank(account(1));
        community.acceptMeter(address(0x22));
        vm.warp(start + 200);
        vm.prank(account(0));
        community.acceptMeter(address(0x22));
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(0x22)));
        vm.prank(account(0));
        community.acceptMeter(address(0x22));
        vm.warp(start + 300);
        vm.prank(operator);
        community.revokeMeter(address(0x22));
        vm.warp(start + 400);
        vm.assertEq(community.memberOfMeterAt(address(0x22), start + 200), 0);
        vm.assertEq(community.memberOfMeterAt(address(0x22), start + 299), 0);
        bytes memory reason = abi.encodeWithSelector(Members.UnknownMeter.selector, address(0x22));
        vm.expectRevert(reason);
        community.memberOfMeterAt(address(0x22), start + 199);
        vm.expectRevert(reason);
        community.memberOfMeterAt(address(0x22), start + 300);
        vm.assertEq(community.everMemberOfMeter(address(0x22)), 0);
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(0x22)));
        vm.prank(operator);
        community.registerMeter(0, address(0x22));
    }

    function test_a_proposal_that_nobody_accepted_binds_nobody() public {
        vm.prank(operator);
        community.registerMeter(0, address(0x22));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, address(0x22)));
        community.everMemberOfMeter(address(0x22));
        uint32 member = withKey(0xA11CE, Members.Role.Prosumer);
        vm.prank(operator);
        community.registerMeter(member, address(0x22));
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(0x22)));
        vm.prank(account(0));
        community.acceptMeter(address(0x22));
    }

    function test_a_meter_is_accepted_by_signature() public {
        uint32 member = withKey(0xA11CE, Members.Role.Prosumer);
        Acceptance memory a = Acceptance(member, address(0x22));
        bytes memory proof = accepts(0xA11CE, a);
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(0x22)));
        community.acceptMeterBySignature(a, proof);
        vm.prank(operator);
        community.registerMeter(member, address(0x22));
        bytes memory foreign = accepts(0xB0B, a);
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, vm.addr(0xB0B)));
        community.acceptMeterBySignature(a, foreign);
        community.acceptMeterBySignature(a, proof);
        vm.assertEq(community.memberOfMeter(address(0x22)), member);
    }

    function test_a_service_provider_proposes_meters_and_devices() public {
        uint32 provider = withKey(0x5E, Members.Role.ServiceProvider);
        vm.prank(vm.addr(0x5E));
        community.registerMeter(0, address(0x22));
        vm.prank(account(0));
        community.acceptMeter(address(0x22));
        vm.prank(vm.addr(0x5E));
        community.registerDevice(DEVICE, 0, Devices.Kind.Generator, false, address(0x22));
        bytes memory reason = abi.encodeWithSelector(NotAnOperator.selector, vm.addr(0x5E));
        vm.expectRevert(reason);
        vm.prank(vm.addr(0x5E));
        community.revokeMeter(METER);
        set(provider, 0, 0);
        vm.expectRevert(reason);
        vm.prank(vm.addr(0x5E));
        community.registerMeter(0, address(0x23));
        vm.expectRevert(abi.encodeWithSelector(NotAnOperator.selector, account(0)));
        vm.prank(account(0));
        community.registerMeter(0, address(0x23));
    }

    function test_a_device_s_meter_never_measures_the_home_again() public {
        vm.warp(SLOT);
        enrol(DEVICE, Devices.Kind.Generator, false, METER);
        vm.assertEq(community.memberOfMeterAt(METER, SLOT), 0);
        vm.assertEq(community.homeOfMeterAt(METER, SLOT - 1), 0);
        bytes memory reason = abi.encodeWithSelector(Members.UnknownMeter.selector, METER);
        vm.expectRevert(reason);
        community.homeOfMeterAt(METER, SLOT);
        vm.prank(operator);
        community.revokeDevice(DEVICE);
        vm.warp(SLOT + 100);
        enrol(DEVICE, Devices.Kind.Generator, false, METER);
        vm.expectRevert(reason);
        community.homeOfMeterAt(METER, SLOT + 50);
    }

    // Who may read

    function grants(uint256 key, Grant memory g) private view returns (bytes memory) {
        return signature(key, digest(abi.encode(GRANT_TYPEHASH, g)));
    }

    function test_access_is_granted_and_withdrawn_by_signature() public {
        uint32 member = withKey(0xA11CE, Members.Role.Prosumer);
        Grant memory g = Grant(member, address(0xCAFE), keccak256("readings"), uint64(block.timestamp + 1), 0);
        bytes memory proof = grants(0xA11CE, g);
        bytes memory foreign = grants(0xB0B, g);
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, vm.addr(0xB0B)));
        community.grantAccessBySignature(g, foreign);
        community.grantAccessBySignature(g, proof);
        vm.assertTrue(community.hasAccess(member, address(0xCAFE), g.scope));
        vm.expectRevert(abi.encodeWithSelector(WrongNonce.selector, 0, 1));
        community.grantAccessBySignature(g, proof);
        // What operators sign about the member has numbers of its own.
        vm.assertEq(community.recordsOf(member), 0);
        vm.assertEq(community.grantsOf(member), 1);
        Grant memory end = Grant(member, address(0xCAFE), g.scope, 0, 1);
        community.grantAccessBySignature(end, grants(0xA11CE, end));
        vm.assertTrue(!community.hasAccess(member, address(0xCAFE), g.scope));
        Grant memory late = Grant(member, address(0xCAFE), g.scope, uint64(type(uint40).max) + 1, 2);
        proof = grants(0xA11CE, late);
        vm.expectRevert(abi.encodeWithSelector(Access.InvalidGrant.selector, address(0xCAFE), late.until));
        community.grantAccessBySignature(late, proof);
        late = Grant(member, address(0xCAFE), g.scope, uint64(block.timestamp), 2);
        proof = grants(0xA11CE, late);
        vm.expectRevert(abi.encodeWithSelector(Access.InvalidGrant.selector, address(0xCAFE), late.until));
        community.grantAccessBySignature(late, proof);
    }

    function test_a_member_grants_and_withdraws_access(address grantee, bytes32 scope, uint40 until) public {
        vm.prank(account(1));
        if (grantee == address(0) || until <= block.timestamp) {
            vm.expectRevert(abi.encodeWithSelector(Access.InvalidGrant.selector, grantee, until));
            community.grantAccess(grantee, scope, until);
            return;
        }
        community.grantAccess(grantee, scope, until);
        vm.assertTrue(community.hasAccess(1, grantee, scope));
        vm.assertTrue(!community.hasAccess(0, grantee, scope));
        vm.assertTrue(!community.hasAccess(1, grantee, ~scope));
        uint256 now_ = block.timestamp;
        vm.warp(until);
        vm.assertTrue(!community.hasAccess(1, grantee, scope));
        vm.warp(now_);
        vm.prank(account(1));
        community.withdrawAccess(grantee, scope);
        vm.assertTrue(!community.hasAccess(1, grantee, scope));
        vm.expectRevert(abi.encodeWithSelector(Access.NotGranted.selector, 1, grantee, scope));
        vm.prank(account(1));
        community.withdrawAccess(grantee, scope);
    }

    function test_only_members_grant_access() public {
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, address(99)));
        vm.prank(address(99));
        community.grantAccess(address(1), 0, type(uint40).max);
    }
}
