// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Community} from "../src/Community.sol";
import {Members} from "../src/Members.sol";
import {Operators} from "../src/Operators.sol";
import {Post} from "../src/Records.sol";
import {Voting} from "../src/Voting.sol";
import {Base} from "./Base.sol";

contract VotingTest is Base {
    uint40 private constant VOTING_TIME = 7 days;
    address private constant NEW = address(0xFEED);

    /// Five members that may vote.
    function setUp() public override {
        super.setUp();
        addMembers(5);
        vm.warp(block.timestamp + VOTING_TIME);
    }

    function change() private pure returns (Voting.Change memory) {
        return Voting.Change(address(0), 0, 0, 0, 0, address(0), 0, 0);
    }

    function propose(Voting.Change memory wanted) private returns (uint256) {
        vm.prank(account(0));
        return community.propose(wanted, new uint32[](0));
    }

    /// The first `yes` members are for it, the next `no` against it.
    function vote(uint256 proposal, uint256 yes, uint256 no) private {
        for (uint256 i = 0; i < yes + no; ++i) {
            vm.prank(account(i));
            community.vote(proposal, i < yes);
        }
    }

    function decide(Voting.Change memory wanted) private {
        uint256 proposal = propose(wanted);
        vote(proposal, 3, 0);
        community.execute(proposal);
    }

    function test_members_replace_an_operator_and_change_parameters_at_once() public {
        decide(Voting.Change(NEW, 3, 60, 2 days, 3 days, operator, 0, 0));
        vm.assertTrue(community.isOperator(NEW) && !community.isOperator(operator));
        (uint8 threshold, uint8 turnout, uint40 votingTime, uint40 recoveryTime, uint16 operators) =
            community.parameters();
        vm.assertEq(threshold, 3);
        vm.assertEq(community.threshold(), 3);
        vm.assertEq(turnout, 60);
        vm.assertEq(votingTime, 2 days);
        vm.assertEq(recoveryTime, 3 days);
        vm.assertEq(operators, 3);
    }

    function test_zero_means_that_it_stays() public {
        (uint8 threshold, uint8 turnout, uint40 votingTime, uint40 recoveryTime, uint16 operators) =
            community.parameters();
        decide(change());
        (uint8 a, uint8 b, uint40 c, uint40 d, uint16 e) = community.parameters();
        vm.assertTrue(a == threshold && b == turnout && c == votingTime && d == recoveryTime && e == operators);
    }

    function test_a_vote_runs_its_time_unless_most_of_all_are_for_it() public {
        uint256 proposal = propose(change());
        uint40 closesAt = uint40(block.timestamp) + VOTING_TIME;
        vote(proposal, 2, 1);
        vm.expectRevert(abi.encodeWithSelector(Voting.VoteOpen.selector, proposal, closesAt));
        community.execute(proposal);
        vm.warp(closesAt);
        vm.expectRevert(abi.encodeWithSelector(Voting.VoteClosed.selector, proposal, closesAt));
        vm.prank(account(4));
        community.vote(proposal, true);
        community.execute(proposal);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotExecutable.selector, proposal));
        community.execute(proposal);
    }

    function test_a_decision_lapses() public {
        uint256 proposal = propose(change());
        vote(proposal, 3, 0);
        vm.warp(block.timestamp + VOTING_TIME + 30 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotExecutable.selector, proposal));
        community.execute(proposal);
    }

    /// Half of five is three, by the default turnout of 50 percent.
    function test_turnout_and_majority_decide(uint8 yes, uint8 no) public {
        yes %= 6;
        no %= 6 - yes;
        uint256 proposal = propose(change());
        vote(proposal, yes, no);
        vm.warp(block.timestamp + VOTING_TIME);
        if (yes + no < 3 || yes <= no) {
            vm.expectRevert(abi.encodeWithSelector(Voting.NotAccepted.selector, proposal, yes, no, 5));
        }
        community.execute(proposal);
        vm.assertTrue(community.proposalOf(proposal).executed == (yes + no >= 3 && yes > no));
    }

    function test_a_member_votes_once() public {
        uint256 proposal = propose(change());
        vote(proposal, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Voting.AlreadyVoted.selector, proposal, 0));
        vm.prank(account(0));
        community.vote(proposal, false);
        vm.expectRevert(abi.encodeWithSelector(Voting.UnknownProposal.selector, 1));
        vm.prank(account(0));
        community.vote(1, true);
    }

    function test_strangers_whom_an_operator_registers_do_not_outvote_the_members() public {
        addMembers(100);
        uint256 proposal = propose(Voting.Change(address(0), 0, 0, 0, 0, operator, 0, 0));
        vm.assertEq(community.proposalOf(proposal).electorate, 5);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotAVoter.selector, 5));
        vm.prank(account(5));
        community.vote(proposal, false);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotAVoter.selector, 5));
        vm.prank(account(5));
        community.propose(change(), new uint32[](0));
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, operator));
        vm.prank(operator);
        community.vote(proposal, false);
        vote(proposal, 3, 2);
        community.execute(proposal);
        vm.assertTrue(!community.isOperator(operator));
    }

    function test_who_left_neither_votes_nor_counts() public {
        vm.prank(account(1));
        community.resign();
        vm.prank(account(3));
        community.resign();
        uint32[] memory left = new uint32[](2);
        (left[0], left[1]) = (3, 1);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotInactive.selector, 1));
        vm.prank(account(0));
        community.propose(change(), left);
        (left[0], left[1]) = (1, 2);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotInactive.selector, 2));
        vm.prank(account(0));
        community.propose(change(), left);
        (left[0], left[1]) = (1, 3);
        vm.prank(account(0));
        uint256 proposal = community.propose(change(), left);
        vm.assertEq(community.proposalOf(proposal).electorate, 3);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotAVoter.selector, 1));
        vm.prank(account(1));
        community.vote(proposal, true);
    }

    function test_nobody_votes_before_the_first_voting_time_is_over() public {
        Community young = new Community(_one(operator), 1, 0);
        address[] memory accounts = new address[](1);
        Members.Role[] memory roles = new Members.Role[](1);
        (accounts[0], roles[0]) = (account(0), Members.Role.Consumer);
        vm.prank(operator);
        young.register(accounts, new address[](1), roles);
        vm.expectRevert(abi.encodeWithSelector(Voting.NotAVoter.selector, 0));
        vm.prank(account(0));
        young.propose(change(), new uint32[](0));
    }

    function _one(address value) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = value;
    }

    function test_parameters_stay_within_their_bounds() public {
        Voting.Change[8] memory wrong;
        bytes[8] memory reasons;
        for (uint256 i = 0; i < 8; ++i) {
            wrong[i] = change();
        }
        (wrong[0].threshold, reasons[0]) = (4, abi.encodeWithSelector(Operators.InvalidThreshold.selector, 4, 3));
        (wrong[1].turnout, reasons[1]) = (9, _parameters(9, 7 days, 7 days));
        (wrong[2].turnout, reasons[2]) = (101, _parameters(101, 7 days, 7 days));
        (wrong[3].votingTime, reasons[3]) = (1 days - 1, _parameters(50, 1 days - 1, 7 days));
        (wrong[4].recoveryTime, reasons[4]) = (30 days + 1, _parameters(50, 7 days, 30 days + 1));
        (wrong[5].admitted, reasons[5]) =
        (operator, abi.encodeWithSelector(Operators.InvalidOperator.selector, operator));
        (wrong[6].removed, reasons[6]) = (NEW, abi.encodeWithSelector(Operators.InvalidOperator.selector, NEW));
        (wrong[7].votingTime, reasons[7]) = (type(uint40).max, _parameters(50, type(uint40).max, 7 days));
        for (uint256 i = 0; i < 8; ++i) {
            uint256 proposal = propose(wrong[i]);
            vote(proposal, 3, 0);
            vm.expectRevert(reasons[i]);
            community.execute(proposal);
        }
    }

    function _parameters(uint8 turnout, uint40 votingTime, uint40 recoveryTime) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Operators.InvalidParameters.selector, turnout, votingTime, recoveryTime);
    }

    function test_at_least_the_threshold_of_operators_remains() public {
        decide(Voting.Change(address(0), 0, 0, 0, 0, operator, 0, 0));
        uint256 proposal = propose(Voting.Change(address(0), 0, 0, 0, 0, vm.addr(operatorKeys[1]), 0, 0));
        vote(proposal, 3, 0);
        vm.expectRevert(abi.encodeWithSelector(Operators.InvalidThreshold.selector, 2, 1));
        community.execute(proposal);
    }

    function bond() internal pure override returns (uint64) {
        return 5;
    }

    function test_a_post_of_a_removed_operator_is_finalised_and_its_bond_returned() public {
        placeBonds(1);
        fund(0, 100);
        fund(1, 100);
        uint64 slot = uint64(block.timestamp) / SLOT_SECONDS * SLOT_SECONDS + SLOT_SECONDS;
        commit(slot);
        bytes memory deltas = deltasOf(-40, 40);
        Post memory p = postOf(slot, 0, deltas);
        vm.warp(slot + SLOT_SECONDS);
        post(p, deltas);
        decide(Voting.Change(NEW, 0, 0, 0, 0, operator, 0, 0));
        vm.warp(block.timestamp + WINDOW);
        settlement.finalise(p, deltas, 0);
        vm.assertEq(settlement.balanceOf(1), 140);
        vm.prank(operator);
        settlement.takeBond(bond());
        vm.assertEq(token.balanceOf(operator), bond() * LANE_UNIT);
    }

    // The charter

    function charter(bytes32 hash, uint256 from) private pure returns (Voting.Change memory wanted) {
        wanted = change();
        (wanted.charter, wanted.charterFrom) = (hash, uint64(from));
    }

    function expectProposeRevert(Voting.Change memory wanted, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(account(0));
        community.propose(wanted, new uint32[](0));
    }

    function invalid(uint256 from) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Operators.InvalidCharter.selector, keccak256("new"), from);
    }

    function test_a_charter_holds_from_its_slot_on() public {
        uint256 from = block.timestamp + VOTING_TIME + 1;
        decide(charter(keccak256("new"), from));
        vm.assertEq(community.charterCount(), 2);
        vm.assertEq(community.charterAt(uint64(from)), keccak256("new"));
        vm.assertEq(community.charterAt(uint64(from - 1)), keccak256("config"));
        vm.assertEq(community.charterAt(0), keccak256("config"));
        vm.assertEq(community.charterAt(type(uint64).max), keccak256("new"));
    }

    function test_a_charter_comes_after_its_vote() public {
        uint256 closes = block.timestamp + VOTING_TIME;
        expectProposeRevert(charter(keccak256("new"), closes), invalid(closes));
        expectProposeRevert(charter(keccak256("new"), 0), invalid(0));
        uint256 far = block.timestamp + 366 days;
        expectProposeRevert(charter(keccak256("new"), far), invalid(far));
    }

    function test_a_charter_for_slots_that_passed_or_are_agreed_on_is_not_adopted() public {
        uint256 from = block.timestamp + VOTING_TIME + 1;
        uint256 proposal = propose(charter(keccak256("new"), from));
        vote(proposal, 3, 0);
        vm.warp(from - 2 days + 1);
        vm.expectRevert(invalid(from));
        community.execute(proposal);
        vm.assertEq(community.charterCount(), 1);
        vm.warp(from - 2 days);
        community.execute(proposal);
        vm.assertEq(community.charterCount(), 2);
    }

    function test_charters_follow_each_other() public {
        uint256 from = block.timestamp + VOTING_TIME + 1;
        uint256 first = propose(charter(keccak256("new"), from));
        uint256 second = propose(charter(keccak256("other"), from + 1000));
        vote(first, 3, 0);
        vote(second, 3, 0);
        community.execute(second);
        vm.expectRevert(invalid(from));
        community.execute(first);
        vm.assertEq(community.charterAt(uint64(from)), keccak256("config"));
        vm.assertEq(community.charterAt(uint64(from + 1000)), keccak256("other"));
    }
}
