// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Members} from "./Members.sol";

/// @title What members decide together: who operates the community, its parameters and its charter
/// @notice One member, one vote, as in a cooperative; a vote belongs to the member, not to its account. Who was
/// registered for less than the voting time when a vote opens takes no part: should an operator register strangers to
/// outvote the members, these can remove it before the strangers may vote.
///
/// A change of operators touches nothing that was posted: anybody finalises a post, and a bond is its placer's whether
/// or not it still operates. At least `threshold` operators remain.
abstract contract Voting is Members {
    /// @notice What is to be changed; zero = it stays.
    struct Change {
        address admitted;
        uint8 threshold;
        uint8 turnout;
        uint40 votingTime;
        uint40 recoveryTime;
        address removed;
        /// Hash of a new configuration file, and the first slot for which it holds (unix seconds), which comes after the
        /// vote.
        bytes32 charter;
        uint64 charterFrom;
    }

    struct Proposal {
        Change change;
        /// Unix seconds.
        uint40 closesAt;
        bool executed;
        /// Members with a lower number may vote.
        uint32 voters;
        /// How many of them were active.
        uint32 electorate;
        uint32 yes;
        uint32 no;
    }

    /// @notice Seconds after a vote closes in which it can be executed.
    uint40 private constant VALIDITY = MAX_TIME;

    mapping(uint256 proposal => mapping(uint32 member => bool)) public hasVoted;
    Proposal[] private _proposals;

    event Proposed(uint256 indexed proposal, uint32 indexed member, Change change, uint40 closesAt, uint32 electorate);
    event Voted(uint256 indexed proposal, uint32 indexed member, bool yes);
    event Executed(uint256 indexed proposal);

    /// @notice No vote has this number.
    error UnknownProposal(uint256 proposal);
    /// @notice The member is too new, has left or is suspended.
    error NotAVoter(uint32 member);
    /// @notice A member votes once.
    error AlreadyVoted(uint256 proposal, uint32 member);
    /// @notice The vote is over.
    error VoteClosed(uint256 proposal, uint40 closesAt);
    /// @notice The vote is open and a majority of the electorate is not reached.
    error VoteOpen(uint256 proposal, uint40 closesAt);
    /// @notice Too few voted, or not more than half of them for it.
    error NotAccepted(uint256 proposal, uint32 yes, uint32 no, uint32 electorate);
    /// @notice Done, or too late.
    error NotExecutable(uint256 proposal);
    /// @notice Members listed as inactive must ascend, be inactive and else have been voters.
    error NotInactive(uint32 member);

    /// @notice The calling member opens a vote.
    /// @param inactive voters that left or are suspended, ascending: they do not count for the turnout. Those left out
    /// do count
    /// @return proposal its number
    function propose(Change calldata change, uint32[] calldata inactive) external returns (uint256 proposal) {
        uint40 closesAt = uint40(block.timestamp) + parameters.votingTime;
        bool timely =
            change.charter == 0 || (change.charterFrom > closesAt && change.charterFrom <= block.timestamp + MAX_AHEAD);
        require(timely, InvalidCharter(change.charter, change.charterFrom));
        uint32 voters = _voters();
        uint32 member = _requireVoter(voters);
        proposal = _proposals.length;
        Proposal storage opened = _proposals.push();
        opened.change = change;
        opened.closesAt = closesAt;
        opened.voters = voters;
        opened.electorate = voters - _countInactive(inactive, voters);
        emit Proposed(proposal, member, change, closesAt, opened.electorate);
    }

    /// @notice The calling member votes.
    function vote(uint256 proposal, bool yes) external {
        Proposal storage open = _proposal(proposal);
        uint32 member = _requireVoter(open.voters);
        require(block.timestamp < open.closesAt, VoteClosed(proposal, open.closesAt));
        require(!hasVoted[proposal][member], AlreadyVoted(proposal, member));
        hasVoted[proposal][member] = true;
        if (yes) open.yes += 1;
        else open.no += 1;
        emit Voted(proposal, member, yes);
    }

    /// @notice Does what was decided: after the vote, or as soon as more than half of the electorate is for it.
    /// Anybody may.
    function execute(uint256 proposal) external {
        Proposal storage decided = _proposal(proposal);
        (uint32 yes, uint32 no, uint32 electorate) = (decided.yes, decided.no, decided.electorate);
        (uint40 closesAt, uint256 turnout) = (decided.closesAt, parameters.turnout);
        require(!decided.executed && block.timestamp <= closesAt + VALIDITY, NotExecutable(proposal));
        require(block.timestamp >= closesAt || 2 * uint256(yes) > electorate, VoteOpen(proposal, closesAt));
        bool enough = (uint256(yes) + no) * 100 >= turnout * electorate;
        require(enough && yes > no, NotAccepted(proposal, yes, no, electorate));

        decided.executed = true;
        Change memory change = decided.change;
        Parameters memory next = _changed(change);
        if (change.removed != address(0)) _remove(next, change.removed);
        if (change.admitted != address(0)) _appoint(next, change.admitted);
        _set(next);
        if (change.charter != 0) _adopt(change.charter, change.charterFrom);
        emit Executed(proposal);
    }

    /// @notice A vote: what it is about and how it stands.
    function proposalOf(uint256 proposal) external view returns (Proposal memory) {
        return _proposal(proposal);
    }

    function _proposal(uint256 proposal) private view returns (Proposal storage) {
        require(proposal < _proposals.length, UnknownProposal(proposal));
        return _proposals[proposal];
    }

    function _requireVoter(uint32 voters) private view returns (uint32 member) {
        member = memberOf(msg.sender);
        require(member < voters && isActive(member), NotAVoter(member));
    }

    /// @dev How many members, which come first, were registered for as long as a vote lasts.
    function _voters() private view returns (uint32) {
        uint256 low = 0;
        uint256 high = memberCount;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (uint256(_members[middle].registeredAt) + parameters.votingTime <= block.timestamp) low = middle + 1;
            else high = middle;
        }
        return uint32(low);
    }

    function _countInactive(uint32[] calldata inactive, uint32 voters) private view returns (uint32) {
        for (uint256 i = 0; i < inactive.length; ++i) {
            uint32 member = inactive[i];
            bool follows = i == 0 || member > inactive[i - 1];
            require(follows && member < voters && !isActive(member), NotInactive(member));
        }
        return uint32(inactive.length);
    }

    function _changed(Change memory change) private view returns (Parameters memory next) {
        next = parameters;
        if (change.threshold != 0) next.threshold = change.threshold;
        if (change.turnout != 0) next.turnout = change.turnout;
        if (change.votingTime != 0) next.votingTime = change.votingTime;
        if (change.recoveryTime != 0) next.recoveryTime = change.recoveryTime;
    }
}
