// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Community} from "./Community.sol";
import {Operated} from "./Operated.sol";

/// @title Voting tokens and hash chains of the members who seal blocks by stake
/// @notice Once a day a quorum of operators signs a table: how many tokens each member has from the energy that it
/// traded, and the tip of the hash chain whose secrets it reveals block by block. The nodes read the table as it stood
/// at the end of the day before, so nobody can place it between two blocks whose draw is known.
contract Stake is EIP712, Operated {
    struct Entry {
        /// Last value of the member's hash chain, one never used before; zero = it seals no blocks (any more).
        bytes32 tip;
        /// Voting tokens; only their shares matter.
        uint256 tokens;
    }

    bytes32 private constant STAKES_TYPEHASH = keccak256("Stakes(uint64 day,bytes32 table)");

    /// @notice Length of a day in seconds; the same number stands in the chain's genesis.
    uint64 public immutable daySeconds;

    /// @notice Everybody who was ever in a table, in order of appearance.
    address[] public members;
    /// @notice The last published row of a member.
    mapping(address member => Entry) public entries;
    mapping(address member => bool) private _known;
    /// @notice Day of the last table: unix seconds / daySeconds.
    uint64 public day;

    event StakesPublished(uint64 indexed day, bytes32 table);

    /// @notice A day must be longer than nothing.
    error InvalidDay();
    /// @notice Days go upwards, one table each, and none before it begins.
    error WrongDay(uint64 day, uint64 last, uint64 today);
    /// @notice Members, tips and tokens belong together.
    error UnequalColumns(uint256 members, uint256 tips, uint256 tokens);
    /// @notice The zero address seals no blocks.
    error InvalidMember(address member);

    constructor(Community community_, uint64 daySeconds_) EIP712("Commonwatt", "1") Operated(community_) {
        require(daySeconds_ != 0, InvalidDay());
        daySeconds = daySeconds_;
    }

    /// @notice Publishes a day's table. Rows of members that it leaves out stay. Anybody may bring it.
    /// @param day_ unix seconds / daySeconds
    /// @param who accounts of the members
    /// @param tips tips of their hash chains
    /// @param tokens their voting tokens
    /// @param signatures of operators over Stakes(day, keccak256(abi.encode(who, tips, tokens))), ascending by signer
    function publish(
        uint64 day_,
        address[] calldata who,
        bytes32[] calldata tips,
        uint256[] calldata tokens,
        bytes[] calldata signatures
    ) external {
        uint64 today = uint64(block.timestamp / daySeconds);
        require(day_ > day && day_ <= today, WrongDay(day_, day, today));
        bool equal = who.length == tips.length && who.length == tokens.length;
        require(equal, UnequalColumns(who.length, tips.length, tokens.length));
        bytes32 table = keccak256(abi.encode(who, tips, tokens));
        community.requireQuorum(_hashTypedDataV4(keccak256(abi.encode(STAKES_TYPEHASH, day_, table))), signatures);
        day = day_;
        for (uint256 i = 0; i < who.length; ++i) {
            _set(who[i], Entry(tips[i], tokens[i]));
        }
        emit StakesPublished(day_, table);
    }

    /// @notice Number of members that were ever in a table.
    function memberCount() external view returns (uint256) {
        return members.length;
    }

    function _set(address member, Entry memory entry) private {
        require(member != address(0), InvalidMember(member));
        if (!_known[member]) {
            _known[member] = true;
            members.push(member);
        }
        entries[member] = entry;
    }
}
