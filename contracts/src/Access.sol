// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Members} from "./Members.sol";

/// @title Who may read a member's data
/// @notice The data is not on the chain. Whoever keeps it asks here before handing it out, and everybody can see later
/// what the member had allowed and when.
abstract contract Access is Members {
    mapping(uint32 member => mapping(address grantee => mapping(bytes32 scope => uint40))) private _until;

    event AccessGranted(uint32 indexed member, address indexed grantee, bytes32 indexed scope, uint40 until);
    event AccessWithdrawn(uint32 indexed member, address indexed grantee, bytes32 indexed scope);

    /// @notice A grant ends in the future, and the zero address reads nothing.
    error InvalidGrant(address grantee, uint40 until);
    /// @notice There is nothing to withdraw.
    error NotGranted(uint32 member, address grantee, bytes32 scope);

    /// @notice The calling member lets somebody read; a later grant of the same takes the place of an earlier one.
    /// @param scope hash of what may be read, such as keccak256("readings")
    /// @param until unix seconds at which the grant ends
    function grantAccess(address grantee, bytes32 scope, uint40 until) external {
        uint32 member = memberOf(msg.sender);
        require(grantee != address(0) && until > block.timestamp, InvalidGrant(grantee, until));
        _until[member][grantee][scope] = until;
        emit AccessGranted(member, grantee, scope, until);
    }

    /// @notice The calling member takes a grant back, at once.
    function withdrawAccess(address grantee, bytes32 scope) external {
        uint32 member = memberOf(msg.sender);
        require(_until[member][grantee][scope] != 0, NotGranted(member, grantee, scope));
        delete _until[member][grantee][scope];
        emit AccessWithdrawn(member, grantee, scope);
    }

    /// @notice Whether somebody may read this of a member now.
    function hasAccess(uint32 member, address grantee, bytes32 scope) external view returns (bool) {
        return _until[member][grantee][scope] > block.timestamp;
    }
}
