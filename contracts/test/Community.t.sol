// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Community, NotAnOperator} from "../src/Community.sol";
import {Members} from "../src/Members.sol";
import {Operators} from "../src/Operators.sol";
import {Base} from "./Base.sol";

contract CommunityTest is Base {
    function one(address value) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = value;
    }

    function one(Members.Role value) private pure returns (Members.Role[] memory list) {
        list = new Members.Role[](1);
        list[0] = value;
    }

    function register(address who, address meter, Members.Role role) private {
        vm.prank(operator);
        community.register(one(who), one(meter), one(role));
    }

    function expectRegisterRevert(address who, address meter, Members.Role role, bytes memory reason) private {
        vm.expectRevert(reason);
        register(who, meter, role);
    }

    function test_members_are_numbered_in_order() public {
        register(address(10), address(0), Members.Role.Consumer);
        register(address(11), address(21), Members.Role.Storage);
        vm.assertEq(community.memberCount(), 2);
        vm.assertEq(community.accountOf(1), address(11));
        vm.assertEq(uint8(community.roleOf(1)), uint8(Members.Role.Storage));
        vm.assertEq(community.memberOf(address(10)), 0);
        vm.assertEq(community.memberOfMeter(address(21)), 1);
        vm.assertEq(community.charterAt(0), keccak256("config"));
        vm.assertEq(community.threshold(), 2);
    }

    function test_a_member_may_have_several_meters_and_lose_them() public {
        register(address(10), address(20), Members.Role.Prosumer);
        vm.prank(operator);
        community.registerMeter(0, address(21));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, address(21)));
        community.memberOfMeter(address(21));
        vm.prank(address(10));
        community.acceptMeter(address(21));
        vm.assertEq(community.memberOfMeter(address(21)), 0);
        vm.prank(operator);
        community.revokeMeter(address(20));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, address(20)));
        community.memberOfMeter(address(20));
        vm.assertEq(community.everMemberOfMeter(address(20)), 0);
        expectRegisterRevert(
            address(11),
            address(20),
            Members.Role.Prosumer,
            abi.encodeWithSelector(Members.InvalidMeter.selector, address(20))
        );
        vm.expectRevert(abi.encodeWithSelector(Members.InvalidMeter.selector, address(20)));
        vm.prank(operator);
        community.registerMeter(0, address(20));
    }

    function test_the_time_of_registration_is_kept() public {
        vm.warp(SLOT + 7);
        register(address(10), address(0), Members.Role.Prosumer);
        vm.assertEq(community.registeredAt(0), SLOT + 7);
        vm.assertEq(community.everMemberOf(address(10)), 0);
    }

    function test_registration_refuses_what_is_not_a_member() public {
        register(address(10), address(20), Members.Role.Prosumer);
        Members.Role role = Members.Role.Consumer;
        expectRegisterRevert(
            address(10), address(0), role, abi.encodeWithSelector(Members.InvalidAccount.selector, address(10))
        );
        expectRegisterRevert(
            address(0), address(0), role, abi.encodeWithSelector(Members.InvalidAccount.selector, address(0))
        );
        expectRegisterRevert(
            address(11), address(20), role, abi.encodeWithSelector(Members.InvalidMeter.selector, address(20))
        );
        expectRegisterRevert(
            address(11),
            address(0),
            Members.Role.None,
            abi.encodeWithSelector(Members.MissingRole.selector, address(11))
        );
    }

    function test_meters_are_registered_to_members_once() public {
        register(address(10), address(20), Members.Role.Prosumer);
        bytes[3] memory reasons = [
            abi.encodeWithSelector(Members.UnknownMember.selector, 1),
            abi.encodeWithSelector(Members.InvalidMeter.selector, address(20)),
            abi.encodeWithSelector(Members.InvalidMeter.selector, address(0))
        ];
        uint32[3] memory members = [uint32(1), 0, 0];
        address[3] memory meters = [address(21), address(20), address(0)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(reasons[i]);
            vm.prank(operator);
            community.registerMeter(members[i], meters[i]);
        }
    }

    function test_lists_of_different_lengths_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Members.LengthMismatch.selector, 1, 0));
        vm.prank(operator);
        community.register(one(address(10)), new address[](0), one(Members.Role.Consumer));
        vm.expectRevert(abi.encodeWithSelector(Members.LengthMismatch.selector, 1, 2));
        vm.prank(operator);
        community.register(one(address(10)), new address[](1), new Members.Role[](2));
    }

    function test_strangers_are_unknown() public {
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, address(99)));
        community.memberOf(address(99));
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMember.selector, 0));
        community.accountOf(0);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMember.selector, 0));
        community.roleOf(0);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMember.selector, 0));
        community.registeredAt(0);
        vm.expectRevert(abi.encodeWithSelector(Members.UnknownMeter.selector, address(99)));
        community.everMemberOfMeter(address(99));
    }

    function test_only_operators_register(address stranger) public {
        if (community.isOperator(stranger)) return;
        bytes memory reason = abi.encodeWithSelector(NotAnOperator.selector, stranger);
        vm.expectRevert(reason);
        vm.prank(stranger);
        community.register(one(address(10)), new address[](1), one(Members.Role.Consumer));
        vm.expectRevert(reason);
        vm.prank(stranger);
        community.registerMeter(0, address(20));
        vm.expectRevert(reason);
        vm.prank(stranger);
        community.revokeMeter(address(20));
    }

    function test_operators_and_threshold_must_make_sense() public {
        vm.expectRevert(abi.encodeWithSelector(Operators.InvalidThreshold.selector, 0, 1));
        new Community(one(operator), 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Operators.InvalidThreshold.selector, 2, 1));
        new Community(one(operator), 2, 0);
        vm.expectRevert(abi.encodeWithSelector(Operators.InvalidOperator.selector, address(0)));
        new Community(one(address(0)), 1, 0);
        address[] memory twice = new address[](2);
        (twice[0], twice[1]) = (operator, operator);
        vm.expectRevert(abi.encodeWithSelector(Operators.InvalidOperator.selector, operator));
        new Community(twice, 2, 0);
    }
}
