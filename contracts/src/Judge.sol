// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Community} from "./Community.sol";
import {hashPost, hashStatement} from "./Hashing.sol";
import {Proofs} from "./Proofs.sol";
import {Post, Statement} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @notice A line of the statements and its way to their root.
struct Leaf {
    Statement statement;
    /// Place among all leaves, from 0.
    uint256 position;
    /// From the bottom.
    bytes32[] siblings;
}

/// @title What all disputes over posts need
abstract contract Judge {
    /// @dev Member of the leaf that ends the statements.
    uint32 internal constant SENTINEL = type(uint32).max;
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// @notice Whose posts are judged.
    Settlement public immutable settlement;
    /// @notice The community of that settlement.
    Community public immutable community;

    /// @notice The contract was created. The transaction that did it shows by what code, and so what it began with.
    event Created(address indexed serves);

    /// @notice What was shown agrees: it is no fault.
    error NoFault(uint64 slot, uint32 revision, uint32 member);
    /// @notice The line is of another slot or revision than the post.
    error ForeignLine(uint64 slot, uint32 revision);
    /// @notice Lines must stand side by side in one tree.
    error NotAdjacent(uint256 first, uint256 second);
    /// @notice So many lines do not show this.
    error WrongLines(uint256 given, uint256 needed);
    /// @notice Another record than the one that is named.
    error OtherRecord(bytes32 named, bytes32 given);
    /// @notice The line is another member's.
    error OtherMember(uint32 expected, uint32 given);
    /// @notice This is not what is posted and not final; `posted` is zero when nothing is.
    error NotPending(uint64 slot, uint32 revision, bytes32 posted, bytes32 given);

    constructor(Settlement settlement_) {
        settlement = settlement_;
        community = settlement_.community();
        emit Created(address(settlement_));
    }

    /// @dev Deletes the post, or reverts when `fault` is false.
    function _strikeIf(bool fault, Post calldata p, uint32 member) internal {
        require(fault, NoFault(p.slot, p.revision, member));
        settlement.strike(p, msg.sender);
    }

    /// @dev A line of the post.
    function _line(Post calldata p, Leaf calldata leaf) internal pure returns (Statement calldata statement) {
        statement = leaf.statement;
        _requireHere(p, statement);
        Proofs.requireAt(hashStatement(statement), leaf.position, leaf.siblings, p.statements);
    }

    /// @dev Two lines of the post that stand side by side.
    function _pair(Post calldata p, Leaf calldata first, Leaf calldata second)
        internal
        pure
        returns (Statement calldata, Statement calldata)
    {
        bool adjacent = first.position + 1 == second.position && first.siblings.length == second.siblings.length;
        require(adjacent, NotAdjacent(first.position, second.position));
        return (_line(p, first), _line(p, second));
    }

    /// @dev A member's last line of the post, shown by the line of a higher member behind it.
    function _last(Post calldata p, Leaf[] calldata ends) internal pure returns (Statement calldata last) {
        require(ends.length == 2, WrongLines(ends.length, 2));
        Statement calldata next;
        (last, next) = _pair(p, ends[0], ends[1]);
        require(next.member > last.member, OtherMember(last.member, next.member));
    }

    /// @dev Whether a member has lines in a post, and what the last one sums up to.
    /// @param ends the member's last line and the one behind it; where it has none, the two lines around its missing
    /// place, or the first line of all alone when that comes too late
    function _stated(Post calldata p, Leaf[] calldata ends, uint32 member)
        internal
        pure
        returns (bool stated, int256 money)
    {
        if (ends.length == 1) {
            Statement calldata first = _line(p, ends[0]);
            require(ends[0].position == 0, NotAdjacent(0, ends[0].position));
            require(first.member > member, OtherMember(member, first.member));
            return (false, 0);
        }
        require(ends.length == 2, WrongLines(ends.length, 2));
        (Statement calldata low, Statement calldata high) = _pair(p, ends[0], ends[1]);
        require(low.member <= member && member < high.member, OtherMember(member, low.member));
        stated = low.member == member;
        money = stated ? int256(low.money) : int256(0);
    }

    /// @dev Requires the final revision before.
    function _requireBefore(Post calldata p, Post calldata earlier) internal view {
        require(uint256(earlier.revision) + 1 == p.revision, ForeignLine(earlier.slot, earlier.revision));
        _requireFinal(p.slot, earlier);
    }

    /// @dev Requires a final post of the slot.
    function _requireFinal(uint64 slot, Post calldata earlier) internal view {
        require(earlier.slot == slot, ForeignLine(earlier.slot, earlier.revision));
        // Time, hold and poster of a final post do not matter.
        // slither-disable-next-line unused-return
        (bytes32 posted,,, bool finalised,) = settlement.posted(earlier.slot, earlier.revision);
        bytes32 digest = _digest(hashPost(earlier));
        require(finalised && posted == digest, NotPending(earlier.slot, earlier.revision, posted, digest));
    }

    function _requireHere(Post calldata p, Statement calldata statement) internal pure {
        bool here = statement.slot == p.slot && statement.revision == p.revision;
        require(here, ForeignLine(statement.slot, statement.revision));
    }

    function _requireSame(bytes32 named, bytes32 given) internal pure {
        require(named == given, OtherRecord(named, given));
    }

    /// @dev Whether this is the account of the member, or was when what counts for the slot could be agreed.
    function _isAccountOf(uint32 member, address account, uint64 slot) internal view returns (bool) {
        try community.memberOfAccountAt(account, slot) returns (uint32 found) {
            return found == member;
        } catch {
            return false;
        }
    }

    /// @dev Whether this meter measured the member's home when the slot began.
    function _isMeterOf(uint32 member, address meter, uint64 slot) internal view returns (bool) {
        try community.homeOfMeterAt(meter, slot) returns (uint32 found) {
            return found == member;
        } catch {
            return false;
        }
    }

    /// @dev What is signed for a record: records are signed for the settlement, on the chain where this runs.
    function _digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Commonwatt"), keccak256("1"), block.chainid, address(settlement))
        );
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }

    /// @dev Digest and time of a post that is not final.
    function _pending(Post calldata p) internal view returns (bytes32 digest, uint40 postedAt) {
        bool finalised;
        bytes32 posted;
        // Poster and hold do not matter here.
        // slither-disable-next-line unused-return
        (posted, postedAt,, finalised,) = settlement.posted(p.slot, p.revision);
        digest = _digest(hashPost(p));
        require(posted == digest && !finalised, NotPending(p.slot, p.revision, posted, digest));
    }
}
