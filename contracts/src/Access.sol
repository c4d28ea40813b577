// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Members} from "./Members.sol";
import {WrongNonce} from "./Operators.sol";
import {GRANT_TYPEHASH, Grant} from "./Records.sol";

/// @title Who may read a member's data
/// @notice The data is not on the chain. Whoever keeps it asks here before handing it out, and everybody can see later
/// what the member had allowed and when.
abstract contract Access is Members {
    /// @notice How many signed grants of a member were used: the nonce of the next one. They have a number of their own,
    /// so that no member voids what operators sign about it.
    mapping(uint32 member => uint64) public grantsOf;
    mapping(uint32 member => mapping(address grantee => mapping(bytes32 scope => uint40))) private _until;

    event AccessGranted(uint32 indexed member, address indexed grantee, bytes32 indexed scope, uint40 until);
    event AccessWithdrawn(uint32 indexed member, address indexed grantee, bytes32 indexed scope);

    /// @notice A grant ends in the future, and the zero address reads nothing.
    error InvalidGrant(address grantee, uint256 until);
    /// @notice There is nothing to withdraw.
    error NotGranted(uint32 member, address grantee, bytes32 scope);

    /// @notice The calling member lets somebody read; a later grant of the same takes the place of an earlier one.
    /// @param scope hash of what may be read, such as keccak256("readings")
    /// @param until unix seconds at which the grant ends
    function grantAccess(address grantee, bytes32 scope, uint40 until) external {
        _grant(memberOf(msg.sender), grantee, scope, until);
    }

    /// @notice The calling member takes a grant back, at once.
    function withdrawAccess(address grantee, bytes32 scope) external {
        _withdraw(memberOf(msg.sender), grantee, scope);
    }

    /// @notice Grants or takes back what a member signed. Anybody may bring it.
    /// @param grant whose `until` of zero takes back; `grantsOf` the member is the nonce
    /// @param signature of the member's account; 65 bytes (r, s, v)
    function grantAccessBySignature(Grant calldata grant, bytes calldata signature) external {
        _requireSigned(grant.member, keccak256(abi.encode(GRANT_TYPEHASH, grant)), signature);
        require(grant.nonce == grantsOf[grant.member], WrongNonce(grant.nonce, grantsOf[grant.member]));
        grantsOf[grant.member] = grant.nonce + 1;
        require(grant.until <= type(uint40).max, InvalidGrant(grant.grantee, grant.until));
        if (grant.until == 0) _withdraw(grant.member, grant.grantee, grant.scope);
        else _grant(grant.member, grant.grantee, grant.scope, uint40(grant.until));
    }

    /// @notice Whether somebody may read this of a member now.
    function hasAccess(uint32 member, address grantee, bytes32 scope) external view returns (bool) {
        return _until[member][grantee][scope] > block.timestamp;
    }

    function _grant(uint32 member, address grantee, bytes32 scope, uint40 until) private {
        require(grantee != address(0) && until > block.timestamp, InvalidGrant(grantee, until));
        _until[member][grantee][scope] = until;
        emit AccessGranted(member, grantee, scope, until);
    }

    function _withdraw(uint32 member, address grantee, bytes32 scope) private {
        require(_until[member][grantee][scope] != 0, NotGranted(member, grantee, scope));
        delete _until[member][grantee][scope];
        emit AccessWithdrawn(member, grantee, scope);
    }
}
