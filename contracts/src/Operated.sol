// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Community, NotAnOperator} from "./Community.sol";

/// @title A contract that serves one community
abstract contract Operated {
    /// @notice The community whose operators run this contract.
    Community public immutable community;

    /// @notice The contract was created. The transaction that did it shows by what code, and so what it began with.
    event Created(address indexed serves);

    modifier onlyOperator() {
        require(community.isOperator(msg.sender), NotAnOperator(msg.sender));
        _;
    }

    constructor(Community community_) {
        community = community_;
        emit Created(address(community_));
    }
}
