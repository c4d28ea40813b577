// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Community} from "./Community.sol";
import {hashPost} from "./Hashing.sol";
import {Post} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @title What all objections to posts need
abstract contract Judge {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// @notice Whose posts are judged.
    Settlement public immutable settlement;
    /// @notice The community of that settlement.
    Community public immutable community;

    /// @notice The contract was created. The transaction that did it shows by what code, and so what it began with.
    event Created(address indexed serves);

    /// @notice Another record than the one that is named.
    error OtherRecord(bytes32 named, bytes32 given);
    /// @notice This is not what is posted and not final; `posted` is zero when nothing is.
    error NotPending(uint64 slot, uint32 revision, bytes32 posted, bytes32 given);

    constructor(Settlement settlement_) {
        settlement = settlement_;
        community = settlement_.community();
        emit Created(address(settlement_));
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
